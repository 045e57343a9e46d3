// select on several keys: exact, mask, range, set, default; what no case matches leaves the parser (12.6).
#include <core.p4>
#include <v1model.p4>

header first_t {
    bit<8>  kind;
    bit<16> port;
}

header mark_t {
    bit<8> value;
}

struct headers_t {
    first_t first;
    mark_t  mark;
}

struct meta_t {
    bit<8> path;
}

parser SelectParser(packet_in packet, out headers_t hdr, inout meta_t meta,
                    inout standard_metadata_t sm) {
    state start {
        packet.extract(hdr.first);
        transition select(hdr.first.kind, hdr.first.port) {
            (1, 80): exact_case;
            (1, 0xff00 &&& 0xff00): mask_case;
            (2, 100 .. 1000): range_case;
            (2, _): any_port;
            (3, default): default_port;
            (0xf0 &&& 0xf0, 7): mask_both;
        }
    }
    state exact_case {
        meta.path = 1;
        transition accept;
    }
    state mask_case {
        meta.path = 2;
        transition accept;
    }
    state range_case {
        meta.path = 3;
        packet.extract(hdr.mark);
        transition select(hdr.mark.value) {
            0: reject;
            default: accept;
        }
    }
    state any_port {
        meta.path = 4;
        transition accept;
    }
    state default_port {
        meta.path = 5;
        transition accept;
    }
    state mask_both {
        meta.path = 6;
        transition accept;
    }
}

control NoVerify(inout headers_t hdr, inout meta_t meta) {
    apply { }
}

control Feature(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 2;
        hdr.first.kind = meta.path;
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

V1Switch(SelectParser(), NoVerify(), Feature(), NoEgress(), NoUpdate(), Emit()) main;
