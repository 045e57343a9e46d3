// exit ends the whole pipeline part, return only the control; both skip what follows (12.4, 12.5).
#include "include/probe.p4"

control Inner(inout headers_t hdr) {
    action leave() {
        hdr.probe.r = 3;
        exit;
    }
    apply {
        if (hdr.probe.op == 1) {
            hdr.probe.r = 1;
            return;
        }
        if (hdr.probe.op == 2) {
            hdr.probe.r = 2;
            exit;
        }
        if (hdr.probe.op == 3) {
            leave();
            hdr.probe.r = 99;
        }
        hdr.probe.a = 0xaaaaaaaa;
    }
}

control Feature(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    Inner() inner;
    apply {
        sm.egress_spec = 2;
        inner.apply(hdr);
        hdr.probe.b = 0xbbbbbbbb;
    }
}

PROBE_SWITCH(Feature)
