// const entries (ternary order, explicit priority, ranges, default keyset), entries that are not
// const, const default_action with arguments (14.2.1.4).
#include "include/probe.p4"

control Feature(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    action set_r(bit<32> value) {
        hdr.probe.r = value;
    }
    table const_table {
        key = {
            hdr.probe.a : ternary;
            hdr.probe.tag : range;
        }
        actions = { set_r; }
        const default_action = set_r(0xff);
        const entries = {
            (0x11 &&& 0xff, 1 .. 5) : set_r(1);
            (0x11 &&& 0x0f, _) : set_r(2);
            (_, 7) : set_r(3);
        }
    }
    table open_table {
        key = { hdr.probe.b : ternary; }
        actions = { set_r; NoAction; }
        default_action = NoAction();
        largest_priority_wins = false;
        priority_delta = 10;
        entries = {
            const priority = 5: 0x20 &&& 0xf0 : set_r(0x10);
            priority = 1: 0x22 : set_r(0x11);
            _ : set_r(0x12);
        }
        size = 32;
    }
    table exact_table {
        key = {
            hdr.probe.op : exact;
            hdr.probe.flags[0:0] : exact @name("low_bit");
        }
        actions = { @defaultonly NoAction; set_r; }
        const entries = {
            (0, 0) : set_r(0x100);
            (3, 1) : set_r(0x101);
        }
    }
    apply {
        sm.egress_spec = 2;
        if (hdr.probe.op == 1) {
            const_table.apply();
        } else if (hdr.probe.op == 2) {
            open_table.apply();
        } else {
            exact_table.apply();
        }
    }
}

PROBE_SWITCH(Feature)
