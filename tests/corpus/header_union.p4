// Header unions: at most one member valid; setValid of one invalidates the others (8.20).
#include <core.p4>
#include <v1model.p4>

header tag_t {
    bit<8> kind;
}

header short_t {
    bit<8> value;
}

header long_t {
    bit<16> value;
}

header_union either_t {
    short_t small;
    long_t  large;
}

struct headers_t {
    tag_t    tag;
    either_t either;
}

struct meta_t { }

parser UnionParser(packet_in packet, out headers_t hdr, inout meta_t meta,
                   inout standard_metadata_t sm) {
    state start {
        packet.extract(hdr.tag);
        transition select(hdr.tag.kind) {
            1: parse_small;
            2: parse_large;
            default: accept;
        }
    }
    state parse_small {
        packet.extract(hdr.either.small);
        transition accept;
    }
    state parse_large {
        packet.extract(hdr.either.large);
        transition accept;
    }
}

control NoVerify(inout headers_t hdr, inout meta_t meta) {
    apply { }
}

control Feature(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 2;
        if (hdr.either.small.isValid()) {
            bit<8> value = hdr.either.small.value;
            hdr.either.large.setValid();
            hdr.either.large.value = 8w0xff ++ value;
        } else if (hdr.either.large.isValid()) {
            hdr.either.large.setInvalid();
        } else {
            hdr.either.small.setValid();
            hdr.either.small.value = 0x77;
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

V1Switch(UnionParser(), NoVerify(), Feature(), NoEgress(), NoUpdate(), Emit()) main;
