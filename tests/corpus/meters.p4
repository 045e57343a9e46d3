// An indirect and a direct meter; with rates of nearly nothing the burst decides the colour.
#include "include/probe.p4"

control Feature(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    meter(4, MeterType.packets) by_op;
    direct_meter<bit<8>>(MeterType.packets) per_entry;
    bit<8> color = 0;
    action metered() {
        per_entry.read(color);
    }
    table metered_table {
        key = { hdr.probe.tag : exact; }
        actions = { metered; NoAction; }
        meters = per_entry;
        default_action = NoAction();
        size = 4;
    }
    apply {
        bit<2> mark;
        sm.egress_spec = 2;
        by_op.execute_meter((bit<32>)hdr.probe.op, mark);
        hdr.probe.r = (bit<32>)mark;
        metered_table.apply();
        hdr.probe.flags = color;
    }
}

PROBE_SWITCH(Feature)
