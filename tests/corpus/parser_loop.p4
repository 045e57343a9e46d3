// A parser that loops with a counter in a local variable, a select on a concatenation, and
// user metadata written while parsing (13.4).
#include <core.p4>
#include <v1model.p4>

header count_t {
    bit<8> count;
    bit<8> seen;
}

header word_t {
    bit<4> high;
    bit<4> low;
}

struct headers_t {
    count_t   count;
    word_t[8] words;
}

struct meta_t {
    bit<8> sum;
}

parser LoopParser(packet_in packet, out headers_t hdr, inout meta_t meta,
                  inout standard_metadata_t sm) {
    bit<8> left;
    state start {
        packet.extract(hdr.count);
        left = hdr.count.count;
        transition select(left) {
            0: accept;
            default: next_word;
        }
    }
    state next_word {
        packet.extract(hdr.words.next);
        left = left - 1;
        meta.sum = meta.sum + (bit<8>)hdr.words.last.low;
        transition select(hdr.words.last.high ++ hdr.words.last.low, left) {
            (0xff, _): accept;
            (_, 0): accept;
            default: next_word;
        }
    }
}

control NoVerify(inout headers_t hdr, inout meta_t meta) {
    apply { }
}

control Feature(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 2;
        hdr.count.seen = meta.sum;
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

V1Switch(LoopParser(), NoVerify(), Feature(), NoEgress(), NoUpdate(), Emit()) main;
