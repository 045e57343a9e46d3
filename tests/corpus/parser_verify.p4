// verify with own errors, lookahead, advance, local variables and a sub-parser (13.7, 13.8).
// What a parser has written when it fails is seen, by the sub-parser, too.
#include <core.p4>
#include <v1model.p4>

error {
    BadVersion,
    BadLength
}

header fixed_t {
    bit<4>  version;
    bit<4>  skip;
    bit<8>  length;
}

header tail_t {
    bit<16> value;
}

struct headers_t {
    fixed_t fixed;
    tail_t  tail;
}

struct meta_t {
    bit<16> peeked;
    bit<8>  progress;
}

parser TailParser(packet_in packet, in bit<8> skip, out tail_t tail, inout bit<16> peeked,
                  out bit<8> progress) {
    bit<32> distance;
    state start {
        progress = skip + 1;
        distance = (bit<32>)skip * 8;
        packet.advance(distance);
        peeked = packet.lookahead<bit<16>>();
        packet.extract(tail);
        transition accept;
    }
}

parser VerifyParser(packet_in packet, out headers_t hdr, inout meta_t meta,
                    inout standard_metadata_t sm) {
    TailParser() sub;
    state start {
        transition select(packet.lookahead<bit<8>>()[7:4]) {
            0xf: reject;
            default: checked;
        }
    }
    state checked {
        packet.extract(hdr.fixed);
        verify(hdr.fixed.version == 4, error.BadVersion);
        verify(hdr.fixed.length < 100, error.BadLength);
        sub.apply(packet, 4w0 ++ hdr.fixed.skip, hdr.tail, meta.peeked, meta.progress);
        transition accept;
    }
}

control NoVerify(inout headers_t hdr, inout meta_t meta) {
    apply { }
}

control Feature(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 2;
        if (sm.parser_error == error.BadVersion) {
            hdr.fixed.length = 0xe1;
        } else if (sm.parser_error == error.BadLength) {
            hdr.fixed.length = 0xe2;
        } else if (sm.parser_error == error.NoError && hdr.fixed.isValid()) {
            hdr.tail.value = meta.peeked + 1;
        } else if (sm.parser_error == error.PacketTooShort) {
            hdr.fixed.length = meta.progress;
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

V1Switch(VerifyParser(), NoVerify(), Feature(), NoEgress(), NoUpdate(), Emit()) main;
