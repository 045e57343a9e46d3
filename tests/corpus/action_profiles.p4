// Tables whose actions live in an action profile and in a selector (v1model).
#include "include/probe.p4"

control Feature(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    action set_r(bit<32> value) {
        hdr.probe.r = value;
    }
    table profile_table {
        key = { hdr.probe.a : exact; }
        actions = { set_r; NoAction; }
        @name("plain_members") implementation = action_profile(16);
        default_action = NoAction();
    }
    table selector_table {
        key = {
            hdr.probe.a : lpm;
            hdr.probe.b : selector;
            hdr.probe.tag : selector;
        }
        actions = { set_r; NoAction; }
        @name("members") implementation = action_selector(HashAlgorithm.crc32, 16, 8);
        size = 8;
    }
    apply {
        sm.egress_spec = 2;
        if (hdr.probe.op == 0) {
            profile_table.apply();
        } else {
            selector_table.apply();
        }
    }
}

PROBE_SWITCH(Feature)
