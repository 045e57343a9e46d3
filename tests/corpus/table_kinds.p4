// Every match kind, alone and mixed; priorities decide among overlapping ternary and range entries,
// length among prefixes (14.2, v1model).
#include "include/probe.p4"

control Feature(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    action set_r(bit<32> value) {
        hdr.probe.r = value;
    }
    action set_flags(bit<8> value) {
        hdr.probe.flags = value;
    }
    table lpm_table {
        key = { hdr.probe.a : lpm; }
        actions = { set_r; NoAction; }
        size = 16;
    }
    table ternary_table {
        key = {
            hdr.probe.a : ternary;
            hdr.probe.op : exact;
        }
        actions = { set_r; NoAction; }
        size = 16;
    }
    table range_table {
        key = {
            hdr.probe.tag : range;
            hdr.probe.b : optional;
        }
        actions = { set_flags; NoAction; }
        size = 16;
    }
    table mixed_table {
        key = {
            hdr.probe.op : exact;
            hdr.probe.b : lpm;
        }
        actions = { set_flags; NoAction; }
        size = 16;
    }
    apply {
        sm.egress_spec = 2;
        if (hdr.probe.op == 0) {
            lpm_table.apply();
        } else if (hdr.probe.op == 1) {
            ternary_table.apply();
        } else if (hdr.probe.op == 2) {
            range_table.apply();
        } else {
            mixed_table.apply();
        }
    }
}

PROBE_SWITCH(Feature)
