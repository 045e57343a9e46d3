// for loops with constant and variable bounds, nested, with break and continue (12.8).
#include "include/probe.p4"

control Feature(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    action count() {
        bit<32> total = 0;
        for (bit<8> i = 0; i < 4; i = i + 1) {
            if (i == hdr.probe.op) {
                continue;
            }
            if (i == hdr.probe.flags) {
                break;
            }
            total = total + (bit<32>)i + 1;
        }
        for (bit<32> k = 2; k <= 4; k = k + 1) {
            for (bit<32> m = 1; m <= hdr.probe.a; m = m + 1) {
                total = total + k * m * 0x100;
            }
        }
        hdr.probe.r = total;
    }
    apply {
        sm.egress_spec = 2;
        count();
    }
}

PROBE_SWITCH(Feature)
