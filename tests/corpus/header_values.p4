// Headers as values: assignment copies validity, comparison of valid and invalid headers,
// struct assignment and comparison, setValid of a header that was never parsed (8.17).
#include <core.p4>
#include <v1model.p4>

header cell_t {
    bit<8> x;
    bit<8> y;
}

struct pair_t {
    cell_t left;
    cell_t right;
}

struct headers_t {
    cell_t command;
    pair_t pair;
    cell_t extra;
}

struct meta_t { }

parser CellParser(packet_in packet, out headers_t hdr, inout meta_t meta,
                  inout standard_metadata_t sm) {
    state start {
        packet.extract(hdr.command);
        transition select(hdr.command.x) {
            0 .. 9: both;
            default: only_left;
        }
    }
    state both {
        packet.extract(hdr.pair.left);
        packet.extract(hdr.pair.right);
        transition accept;
    }
    state only_left {
        packet.extract(hdr.pair.left);
        transition accept;
    }
}

control NoVerify(inout headers_t hdr, inout meta_t meta) {
    apply { }
}

control Feature(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 2;
        if (hdr.command.x[3:0] == 1) {
            hdr.extra = hdr.pair.right;
        } else if (hdr.command.x[3:0] == 2) {
            pair_t saved = hdr.pair;
            hdr.pair.left = saved.right;
            hdr.pair.right = saved.left;
        } else if (hdr.command.x[3:0] == 3) {
            if (hdr.pair.left == hdr.pair.right) {
                hdr.command.y = 0xee;
            }
            if (hdr.extra == hdr.pair.right) {
                hdr.command.y = 0xdd;
            }
        } else if (hdr.command.x[3:0] == 4) {
            hdr.extra = { 0x12, 0x34 };
        } else if (hdr.command.x[3:0] == 5) {
            hdr.extra.setValid();
            hdr.extra.x = 1;
            hdr.extra.y = 2;
            hdr.pair.left = (cell_t){#};
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
        packet.emit(hdr);
    }
}

V1Switch(CellParser(), NoVerify(), Feature(), NoEgress(), NoUpdate(), Emit()) main;
