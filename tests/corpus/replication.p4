// Multicast with replication ids, clones from ingress and egress with preserved metadata, and the
// instance types that the copies carry (v1model).
#include <core.p4>
#include <v1model.p4>

header note_t {
    bit<8>  op;
    bit<8>  instance;
    bit<16> rid;
    bit<8>  kept;
    bit<8>  lost;
    bit<16> egress_port;
}

struct headers_t {
    note_t note;
}

struct meta_t {
    @field_list(1)
    bit<8> kept;
    bit<8> lost;
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
        meta.kept = 0x11;
        meta.lost = 0x22;
        hdr.note.instance = 0xee;
        sm.egress_spec = 2;
        if (hdr.note.op == 1) {
            sm.mcast_grp = 7;
        } else if (hdr.note.op == 2) {
            clone_preserving_field_list(CloneType.I2E, 32w5, 1);
        } else if (hdr.note.op == 3) {
            clone(CloneType.I2E, 32w6);
            mark_to_drop(sm);
        }
    }
}

control Out(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    apply {
        if (hdr.note.op == 4 && sm.instance_type == 0) {
            clone_preserving_field_list(CloneType.E2E, 32w5, 1);
        }
        hdr.note.instance = (bit<8>)sm.instance_type;
        hdr.note.rid = sm.egress_rid;
        hdr.note.kept = meta.kept;
        hdr.note.lost = meta.lost;
        hdr.note.egress_port = (bit<16>)sm.egress_port;
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
