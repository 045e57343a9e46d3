// Control-plane names: @name on tables, actions, keys and parameters, nested controls, @id,
// @hidden, structured annotations, translated types (18.3, P4Runtime 6); names of match kinds
// are free for tables, actions and constants.
#include "include/probe.p4"

@p4runtime_translation("lab.example/port", 32)
type bit<9> lab_port_t;

const bit<32> ternary = 0x55;

control Feature(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    @name("chosen.action")
    action set_r(@name("the value") bit<32> value, lab_port_t port) {
        hdr.probe.r = value;
        sm.egress_spec = (bit<9>)port;
    }
    @name(".global_action")
    action global_action() {
        hdr.probe.flags = 1;
    }
    @id(0x02001234) @name("renamed_table") @brief("A table with words")
    @my_note[level=3, kind="deep"] @my_list[1, "two", true]
    table first_table {
        key = {
            hdr.probe.a : exact @name("address");
            hdr.probe.tag : ternary @name("tag[0]") @format(HEX_STRING);
        }
        actions = {
            set_r;
            @tableonly global_action;
            @defaultonly NoAction;
        }
        default_action = NoAction();
        size = 0x40;
    }
    @hidden
    table hidden_table {
        actions = { global_action; }
        default_action = global_action();
    }
    action range() {
        hdr.probe.r = ternary;
    }
    table exact {
        key = { hdr.probe.a : exact; hdr.probe.tag : range; }
        actions = { range; NoAction; }
        const entries = { (8, 0x1000..0x2000) : range(); }
        default_action = NoAction();
    }
    apply {
        sm.egress_spec = 2;
        exact.apply();
        first_table.apply();
        if (hdr.probe.op == 1) {
            hidden_table.apply();
        }
    }
}

PROBE_SWITCH(Feature)
