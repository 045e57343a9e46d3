// Modular arithmetic on bit<32>: +, -, *, unary minus and complement wrap around (8.6).
#include "include/probe.p4"

control Feature(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    apply {
        bit<32> a = hdr.probe.a;
        bit<32> b = hdr.probe.b;
        switch (hdr.probe.op) {
            0: { hdr.probe.r = a + b; }
            1: { hdr.probe.r = a - b; }
            2: { hdr.probe.r = a * b; }
            3: { hdr.probe.r = -a; }
            4: { hdr.probe.r = ~a; }
            5: { hdr.probe.r = a & b; }
            6: { hdr.probe.r = a | b; }
            7: { hdr.probe.r = a ^ b; }
            default: { hdr.probe.r = 0xdeadbeef; }
        }
        sm.egress_spec = 2;
    }
}

PROBE_SWITCH(Feature)
