// Header and payload checksums, verified and updated, each under its condition (v1model).
#include <core.p4>
#include <v1model.p4>

header top_t {
    bit<8>  op;
    bit<8>  error_seen;
    bit<16> head_sum;
    bit<16> data_sum;
    bit<16> value;
}

struct headers_t {
    top_t top;
}

struct meta_t { }

parser TopParser(packet_in packet, out headers_t hdr, inout meta_t meta,
                 inout standard_metadata_t sm) {
    state start {
        packet.extract(hdr.top);
        transition accept;
    }
}

control Check(inout headers_t hdr, inout meta_t meta) {
    apply {
        verify_checksum(hdr.top.op[0:0] == 1, { hdr.top.op, 8w0, hdr.top.value },
                        hdr.top.head_sum, HashAlgorithm.csum16);
        verify_checksum_with_payload(hdr.top.op[1:1] == 1, { hdr.top.value },
                                     hdr.top.data_sum, HashAlgorithm.csum16);
    }
}

control Feature(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 2;
        hdr.top.error_seen = (bit<8>)sm.checksum_error;
        if (hdr.top.op[2:2] == 1) {
            hdr.top.value = hdr.top.value + 1;
        }
    }
}

control NoEgress(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    apply { }
}

control Renew(inout headers_t hdr, inout meta_t meta) {
    apply {
        update_checksum(hdr.top.op[2:2] == 1, { hdr.top.op, 8w0, hdr.top.value },
                        hdr.top.head_sum, HashAlgorithm.csum16);
        update_checksum_with_payload(hdr.top.op[3:3] == 1, { hdr.top.value },
                                     hdr.top.data_sum, HashAlgorithm.csum16);
    }
}

control Emit(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr);
    }
}

V1Switch(TopParser(), Check(), Feature(), NoEgress(), Renew(), Emit()) main;
