// switch on a value with fall-through labels and default, and on the action a table ran (12.7).
#include "include/probe.p4"

enum bit<8> Kind {
    ONE = 1,
    TWO = 2,
    TEN = 10
}

control Feature(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    action pass() { }
    action set_a(bit<32> value) {
        hdr.probe.a = value;
    }
    action drop_it() {
        mark_to_drop(sm);
    }
    table by_tag_table {
        key = { hdr.probe.tag : exact; }
        actions = { pass; set_a; drop_it; }
        default_action = pass();
        size = 16;
    }
    apply {
        sm.egress_spec = 2;
        switch (hdr.probe.op) {
            (bit<8>)Kind.ONE:
            (bit<8>)Kind.TWO: { hdr.probe.r = 0x12; }
            (bit<8>)Kind.TEN: { hdr.probe.r = 0x10; }
            default: { hdr.probe.r = 0xff; }
        }
        switch (by_tag_table.apply().action_run) {
            set_a: { hdr.probe.b = 1; }
            drop_it: { exit; }
            default: { hdr.probe.b = 2; }
        }
        hdr.probe.flags = 0x77;
    }
}

PROBE_SWITCH(Feature)
