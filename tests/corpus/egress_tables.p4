// Tables and conditionals in egress, a table inside a control of its own,
// egress keys, counters in egress (v1model).
#include "include/probe.p4"

control Rewrite(inout headers_t hdr, inout standard_metadata_t sm) {
    counter(512, CounterType.packets) sent;
    action rewrite(bit<16> tag) {
        hdr.probe.tag = tag;
    }
    action refuse() {
        mark_to_drop(sm);
    }
    table port_table {
        key = { sm.egress_port : exact; }
        actions = { rewrite; refuse; NoAction; }
        default_action = NoAction();
        size = 16;
    }
    apply {
        if (port_table.apply().hit) {
            sent.count((bit<32>)sm.egress_port);
        }
    }
}

control Feature(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = (bit<9>)hdr.probe.op;
    }
}

control Out(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    Rewrite() rewrite;
    apply {
        bool late = hdr.probe.flags == 1 && !(hdr.probe.a > hdr.probe.b);
        if (hdr.probe.flags == 0 || hdr.probe.a > hdr.probe.b || late) {
            rewrite.apply(hdr, sm);
        }
        if (late) {
            hdr.probe.r = 1;
        }
    }
}

V1Switch(ProbeParser(), NoVerify(), Feature(), Out(), NoUpdate(), EmitProbe()) main;
