// Functions: early return, nested calls, default and named arguments, generic functions,
// left-to-right evaluation (10.1, 6.8.2, 6.8.4).
#include "include/probe.p4"

bit<32> larger(in bit<32> x, in bit<32> y) {
    if (x > y) {
        return x;
    }
    return y;
}

bit<32> bump(inout bit<32> x, in bit<32> by = 1) {
    x = x + by;
    return x;
}

T second<T>(in T x, in T y) {
    return y;
}

control Feature(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 2;
        if (hdr.probe.op == 0) {
            hdr.probe.r = larger(larger(hdr.probe.a, hdr.probe.b), 0x100);
        } else if (hdr.probe.op == 1) {
            hdr.probe.r = (bump(hdr.probe.a) << 16) | bump(hdr.probe.a, 2);
        } else if (hdr.probe.op == 2) {
            hdr.probe.r = bump(by = 4, x = hdr.probe.b);
        } else {
            hdr.probe.r = second(hdr.probe.a, 32w9);
        }
    }
}

PROBE_SWITCH(Feature)
