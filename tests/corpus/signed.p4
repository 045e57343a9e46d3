// Signed comparison, arithmetic shift right, sign-extending casts (8.6, 8.11).
#include "include/probe.p4"

control Feature(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    apply {
        int<32> a = (int<32>)hdr.probe.a;
        int<32> b = (int<32>)hdr.probe.b;
        bit<8> shift = hdr.probe.flags;
        if (hdr.probe.op == 0) {
            hdr.probe.r = a < b ? 32w1 : 0;
        } else if (hdr.probe.op == 1) {
            hdr.probe.r = (bit<32>)(a >> shift);
        } else if (hdr.probe.op == 2) {
            int<8> narrow = (int<8>)hdr.probe.a[7:0];
            hdr.probe.r = (bit<32>)(int<32>)narrow;
        } else if (hdr.probe.op == 3) {
            hdr.probe.r = hdr.probe.a >> shift;
        } else {
            hdr.probe.r = (bit<32>)(a * b);
        }
        sm.egress_spec = 2;
    }
}

PROBE_SWITCH(Feature)
