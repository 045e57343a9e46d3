// A digest does not change the packet; its fields appear in P4Info (v1model).
#include "include/probe.p4"

struct learn_t {
    bit<32> address;
    bit<9>  port;
    bit<1>  fresh;
}

control Feature(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 2;
        if (hdr.probe.op == 1) {
            digest<learn_t>(1, { hdr.probe.a, sm.ingress_port, 1 });
        }
    }
}

PROBE_SWITCH(Feature)
