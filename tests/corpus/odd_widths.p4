// Arithmetic at widths that are no machine words: wrap-around, comparison, casts between bit, int
// and bool, sign extension and truncation (8.6, 8.11).
#include "include/probe.p4"

control Feature(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 2;
        bit<7> seven = hdr.probe.a[6:0];
        int<5> five = (int<5>)hdr.probe.b[4:0];
        bit<33> wide = (bit<33>)hdr.probe.a;
        if (hdr.probe.op == 0) {
            hdr.probe.r = (bit<32>)(bit<7>)(seven * 3 + 100);
        } else if (hdr.probe.op == 1) {
            hdr.probe.r = (bit<32>)(int<32>)(five * five);
        } else if (hdr.probe.op == 2) {
            hdr.probe.r = (wide + 1)[32:1];
        } else if (hdr.probe.op == 3) {
            hdr.probe.r = (bit<32>)(bit<1>)(five < -3);
        } else if (hdr.probe.op == 4) {
            hdr.probe.r = (bit<32>)(bit<13>)(bit<33>)~wide;
        } else if (hdr.probe.op == 5) {
            hdr.probe.r = (bit<32>)(seven |-| 7w100);
        } else {
            bit<65> big = hdr.probe.a ++ hdr.probe.b ++ 1w1;
            hdr.probe.r = (big * 3)[64:33];
        }
    }
}

PROBE_SWITCH(Feature)
