// |+| and |-| stop at the bounds of unsigned and signed types (8.6).
#include "include/probe.p4"

control Feature(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    apply {
        int<32> a = (int<32>)hdr.probe.a;
        int<32> b = (int<32>)hdr.probe.b;
        if (hdr.probe.op == 0) {
            hdr.probe.r = hdr.probe.a |+| hdr.probe.b;
        } else if (hdr.probe.op == 1) {
            hdr.probe.r = hdr.probe.a |-| hdr.probe.b;
        } else if (hdr.probe.op == 2) {
            hdr.probe.r = (bit<32>)(a |+| b);
        } else {
            hdr.probe.r = (bit<32>)(a |-| b);
        }
        sm.egress_spec = 2;
    }
}

PROBE_SWITCH(Feature)
