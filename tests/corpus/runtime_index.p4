// A header stack indexed by a value known at run time, and by loop-free constants (8.18).
#include <core.p4>
#include <v1model.p4>

header index_t {
    bit<8> read;
    bit<8> write;
    bit<8> result;
}

header item_t {
    bit<8> value;
}

struct headers_t {
    index_t   index;
    item_t[3] items;
}

struct meta_t { }

parser ItemParser(packet_in packet, out headers_t hdr, inout meta_t meta,
                  inout standard_metadata_t sm) {
    state start {
        packet.extract(hdr.index);
        packet.extract(hdr.items.next);
        packet.extract(hdr.items.next);
        packet.extract(hdr.items.next);
        transition accept;
    }
}

control NoVerify(inout headers_t hdr, inout meta_t meta) {
    apply { }
}

control Feature(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 2;
        hdr.index.result = hdr.items[hdr.index.read].value;
        hdr.items[hdr.index.write].value = 0x99;
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

V1Switch(ItemParser(), NoVerify(), Feature(), NoEgress(), NoUpdate(), Emit()) main;
