// Slices read and written, concatenation, and shifts past the width (8.6).
#include "include/probe.p4"

control Feature(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    apply {
        if (hdr.probe.op == 0) {
            hdr.probe.r = hdr.probe.a[15:0] ++ hdr.probe.b[31:16];
        } else if (hdr.probe.op == 1) {
            hdr.probe.r[31:24] = hdr.probe.a[7:0];
            hdr.probe.r[3:0] = hdr.probe.b[31:28];
        } else if (hdr.probe.op == 2) {
            hdr.probe.r = hdr.probe.a << 40;
        } else if (hdr.probe.op == 3) {
            hdr.probe.r = hdr.probe.a << hdr.probe.flags;
        } else {
            bit<4> middle = hdr.probe.a[19:4][7:4];
            hdr.probe.r = 4w0xf ++ middle ++ 24w0;
        }
        sm.egress_spec = 2;
    }
}

PROBE_SWITCH(Feature)
