// && and || evaluate their right side only when needed; ?: only the side it takes (8.5, 8.3).
#include "include/probe.p4"

bool touch(inout bit<32> x) {
    x = x + 1;
    return true;
}

control Feature(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 2;
        bool yes = hdr.probe.op[0:0] == 1;
        if (yes && touch(hdr.probe.a)) {
            hdr.probe.r = hdr.probe.r | 1;
        }
        if (yes || touch(hdr.probe.b)) {
            hdr.probe.r = hdr.probe.r | 2;
        }
        if (!yes != (hdr.probe.op == 0)) {
            hdr.probe.r = hdr.probe.r | 4;
        }
    }
}

PROBE_SWITCH(Feature)
