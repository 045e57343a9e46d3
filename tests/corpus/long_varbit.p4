// varbit longer than any bit<>: extracted, copied, hashed and emitted whole.
#include <core.p4>
#include <v1model.p4>

header block_t {
    bit<16>       bytes;
    varbit<16000> body;
}

header sum_t {
    bit<16> value;
    bit<32> crc;
}

struct headers_t {
    sum_t   sum;
    block_t block;
    block_t copied;
}

struct meta_t { }

parser LongParser(packet_in packet, out headers_t hdr, inout meta_t meta,
                  inout standard_metadata_t sm) {
    state start {
        packet.extract(hdr.block, (bit<32>)packet.lookahead<bit<16>>() * 8);
        transition accept;
    }
}

control NoVerify(inout headers_t hdr, inout meta_t meta) {
    apply { }
}

control Feature(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 2;
        hdr.copied = hdr.block;
        hdr.sum = { 0, 0 };
        hash(hdr.sum.value, HashAlgorithm.csum16, 16w0, { hdr.copied.bytes, hdr.copied.body },
             32w0x10000);
        hash(hdr.sum.crc, HashAlgorithm.crc32, 32w0, { hdr.block.body }, 64w0x100000000);
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
        packet.emit(hdr.sum);
        packet.emit(hdr.copied);
    }
}

V1Switch(LongParser(), NoVerify(), Feature(), NoEgress(), NoUpdate(), Emit()) main;
