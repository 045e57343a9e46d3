// resubmit and recirculate, with a preserved field list; truncate counts the whole packet (v1model).
#include <core.p4>
#include <v1model.p4>

header note_t {
    bit<8> op;
    bit<8> rounds;
    bit<8> kept;
}

struct headers_t {
    note_t note;
}

struct meta_t {
    @field_list(3, 4)
    bit<8> kept;
}

parser NoteParser(packet_in packet, out headers_t hdr, inout meta_t meta,
                  inout standard_metadata_t sm) {
    state start {
        packet.extract(hdr.note);
        transition accept;
    }
}

control NoVerify(inout headers_t hdr, inout meta_t meta) {
    apply { }
}

control Feature(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 2;
        hdr.note.rounds = hdr.note.rounds + 1;
        if (hdr.note.op == 1) {
            if (sm.instance_type == 0) {
                meta.kept = 0x55;
                resubmit_preserving_field_list(3);
            }
        } else if (hdr.note.op == 3) {
            truncate(5);
        } else if (hdr.note.op == 4) {
            if (sm.instance_type == 0) {
                meta.kept = 0x55;
                resubmit_preserving_field_list(9);
            }
        }
        hdr.note.kept = meta.kept;
        if (sm.instance_type != 0) {
            hdr.note.op = (bit<4>)sm.instance_type ++ hdr.note.op[3:0];
        }
    }
}

control Out(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    apply {
        if (hdr.note.op[3:0] == 2 && hdr.note.rounds < 3) {
            meta.kept = meta.kept + 0x10;
            recirculate_preserving_field_list(4);
        }
    }
}

control NoUpdate(inout headers_t hdr, inout meta_t meta) {
    apply { }
}

control Emit(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr);
    }
}

V1Switch(NoteParser(), NoVerify(), Feature(), Out(), NoUpdate(), Emit()) main;
