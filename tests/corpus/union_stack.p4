// A stack of header unions filled in a parser loop; deparsing emits what is valid (8.20).
#include <core.p4>
#include <v1model.p4>

header byte_t {
    bit<8> kind;
    bit<8> value;
}

header pair_t {
    bit<8>  kind;
    bit<16> value;
}

header_union item_t {
    byte_t single;
    pair_t double;
}

header end_t {
    bit<8> kind;
}

struct headers_t {
    item_t[3] items;
    end_t     end;
}

struct meta_t { }

parser ItemParser(packet_in packet, out headers_t hdr, inout meta_t meta,
                  inout standard_metadata_t sm) {
    state start {
        transition select(packet.lookahead<bit<8>>()) {
            1: parse_single;
            2: parse_double;
            default: parse_end;
        }
    }
    state parse_single {
        packet.extract(hdr.items.next.single);
        transition start;
    }
    state parse_double {
        packet.extract(hdr.items.next.double);
        transition start;
    }
    state parse_end {
        packet.extract(hdr.end);
        transition accept;
    }
}

control NoVerify(inout headers_t hdr, inout meta_t meta) {
    apply { }
}

control Feature(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 2;
        if (hdr.items[1].double.isValid()) {
            hdr.items[1].double.value = hdr.items[1].double.value + 1;
        }
        if (hdr.items[2].single.isValid()) {
            hdr.items[2].single.setInvalid();
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
        packet.emit(hdr.items);
        packet.emit(hdr.end);
    }
}

V1Switch(ItemParser(), NoVerify(), Feature(), NoEgress(), NoUpdate(), Emit()) main;
