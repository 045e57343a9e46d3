// Copy-in/copy-out: an inout argument is written back when the call returns, even by exit;
// aliased arguments are written left to right; out starts anew (6.8).
#include "include/probe.p4"

control Feature(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    action both(inout bit<32> x, inout bit<32> y) {
        x = x + 1;
        y = y + 2;
    }
    action produce(out bit<32> x, in bit<32> y) {
        hdr.probe.b = 7;
        x = y + 1;
    }
    action leave(inout bit<32> x) {
        x = 0x55;
        exit;
    }
    apply {
        sm.egress_spec = 2;
        if (hdr.probe.op == 0) {
            both(hdr.probe.a, hdr.probe.a);
        } else if (hdr.probe.op == 1) {
            produce(hdr.probe.a, hdr.probe.b);
        } else if (hdr.probe.op == 2) {
            leave(hdr.probe.a);
        } else {
            both(hdr.probe.a, hdr.probe.b);
        }
        hdr.probe.r = 1;
    }
}

PROBE_SWITCH(Feature)
