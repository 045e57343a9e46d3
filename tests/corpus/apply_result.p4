// hit and miss of apply in conditions, a table without keys, setdefault, $valid$ keys,
// expression keys (14.2.2, 8.17).
#include "include/probe.p4"

control Feature(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    action set_r(bit<32> value) {
        hdr.probe.r = value;
    }
    table keyless_table {
        actions = { set_r; NoAction; }
        default_action = NoAction();
    }
    table expression_table {
        key = {
            hdr.probe.isValid() : exact @name("probe_valid");
            hdr.probe.a + hdr.probe.b : exact @name("sum");
            hdr.probe.tag & 0xff : ternary @name("low_tag");
        }
        actions = { set_r; NoAction; }
        size = 4;
    }
    apply {
        sm.egress_spec = 2;
        keyless_table.apply();
        if (expression_table.apply().hit) {
            hdr.probe.flags = 1;
        } else {
            hdr.probe.flags = 2;
        }
    }
}

PROBE_SWITCH(Feature)
