// Header stacks: next and last in a parser loop, lastIndex, push_front, pop_front, constant
// indices, deparsing of the valid elements only (8.18).
#include <core.p4>
#include <v1model.p4>

header command_t {
    bit<8> op;
}

header label_t {
    bit<7> value;
    bit<1> bottom;
}

struct headers_t {
    command_t  command;
    label_t[4] labels;
}

struct meta_t {
    bit<32> last_index;
}

parser StackParser(packet_in packet, out headers_t hdr, inout meta_t meta,
                   inout standard_metadata_t sm) {
    state start {
        packet.extract(hdr.command);
        transition next_label;
    }
    state next_label {
        packet.extract(hdr.labels.next);
        meta.last_index = hdr.labels.lastIndex;
        transition select(hdr.labels.last.bottom) {
            0: next_label;
            1: accept;
        }
    }
}

control NoVerify(inout headers_t hdr, inout meta_t meta) {
    apply { }
}

control Feature(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 2;
        if (hdr.command.op == 1) {
            hdr.labels.push_front(1);
            hdr.labels[0] = { 0x7f, 0 };
        } else if (hdr.command.op == 2) {
            hdr.labels.pop_front(2);
        } else if (hdr.command.op == 3) {
            hdr.labels[1].setInvalid();
        } else if (hdr.command.op == 4) {
            hdr.labels[0].value = (bit<7>)meta.last_index;
        } else if (hdr.command.op == 5) {
            hdr.labels.push_front(2);
        }
        if (sm.parser_error == error.StackOutOfBounds) {
            hdr.command.op = 0xee;
        } else if (sm.parser_error == error.PacketTooShort) {
            hdr.command.op = 0xdd;
        }
    }
}

control NoEgress(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    apply { }
}

control NoUpdate(inout headers_t hdr, inout meta_t meta) {
    apply { }
}

control Emit(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr.command);
        packet.emit(hdr.labels);
    }
}

V1Switch(StackParser(), NoVerify(), Feature(), NoEgress(), NoUpdate(), Emit()) main;
