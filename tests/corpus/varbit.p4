// varbit: two-argument extract with a computed length, emit, validity-dependent assignment (7.1.6.4).
#include <core.p4>
#include <v1model.p4>

header option_t {
    bit<8>      length;
    varbit<320> body;
}

struct headers_t {
    option_t first;
    option_t second;
}

struct meta_t { }

parser VarbitParser(packet_in packet, out headers_t hdr, inout meta_t meta,
                    inout standard_metadata_t sm) {
    state start {
        packet.extract(hdr.first, (bit<32>)packet.lookahead<bit<8>>() * 8);
        packet.extract(hdr.second, (bit<32>)packet.lookahead<bit<8>>() * 8);
        transition accept;
    }
}

control NoVerify(inout headers_t hdr, inout meta_t meta) {
    apply { }
}

control Feature(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 2;
        if (hdr.first.length == 2) {
            hdr.first.setInvalid();
        }
        if (sm.parser_error == error.HeaderTooShort) {
            sm.egress_spec = 3;
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
        packet.emit(hdr.second);
        packet.emit(hdr.first);
    }
}

V1Switch(VarbitParser(), NoVerify(), Feature(), NoEgress(), NoUpdate(), Emit()) main;
