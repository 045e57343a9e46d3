// Controls with constructor parameters, instantiated several times at two depths, each instance
// with its own tables and state (14.1, 15).
#include "include/probe.p4"

control Leaf(inout bit<32> value, in bit<8> op)(bit<32> weight) {
    action add_one(bit<32> by) {
        value = value + by * weight;
    }
    table leaf_table {
        key = { op : exact; }
        actions = { add_one; NoAction; }
        default_action = add_one(1);
        size = 8;
    }
    apply {
        leaf_table.apply();
    }
}

control Branch(inout headers_t hdr)(bit<32> weight) {
    Leaf(weight) near;
    Leaf(weight * 2) far;
    apply {
        near.apply(hdr.probe.a, hdr.probe.op);
        far.apply(hdr.probe.b, hdr.probe.op);
    }
}

control Feature(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    Branch(1) left;
    Branch(0x10) right;
    apply {
        sm.egress_spec = 2;
        left.apply(hdr);
        right.apply(hdr);
    }
}

PROBE_SWITCH(Feature)
