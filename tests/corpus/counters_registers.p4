// Indirect and direct counters, registers with read and write, indices out of range (v1model).
#include "include/probe.p4"

control Feature(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    counter(4, CounterType.packets_and_bytes) by_op;
    direct_counter(CounterType.packets) per_entry;
    register<bit<48>>(8) cells;
    action touch() {
        per_entry.count();
        hdr.probe.flags = hdr.probe.flags + 1;
    }
    table counted_table {
        key = { hdr.probe.tag : exact; }
        actions = { touch; NoAction; }
        counters = per_entry;
        size = 4;
    }
    apply {
        bit<48> value;
        sm.egress_spec = 2;
        by_op.count((bit<32>)hdr.probe.op);
        counted_table.apply();
        cells.read(value, hdr.probe.a);
        value = value + (bit<48>)hdr.probe.b;
        cells.write(hdr.probe.a, value);
        hdr.probe.r = value[31:0];
    }
}

PROBE_SWITCH(Feature)
