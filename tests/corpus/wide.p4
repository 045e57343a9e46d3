// Arithmetic, comparison, slices and shifts on values far wider than a machine word (7.1.6.2).
#include <core.p4>
#include <v1model.p4>

header wide_t {
    bit<8>   op;
    bit<200> x;
    bit<200> y;
    bit<8>   flag;
}

struct headers_t {
    wide_t wide;
}

struct meta_t { }

parser WideParser(packet_in packet, out headers_t hdr, inout meta_t meta,
                  inout standard_metadata_t sm) {
    state start {
        packet.extract(hdr.wide);
        transition accept;
    }
}

control Verify(inout headers_t hdr, inout meta_t meta) {
    apply { }
}

control Feature(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 2;
        if (hdr.wide.op == 0) {
            hdr.wide.x = hdr.wide.x + hdr.wide.y;
        } else if (hdr.wide.op == 1) {
            hdr.wide.x = hdr.wide.x << 100;
        } else if (hdr.wide.op == 2) {
            hdr.wide.x[199:100] = hdr.wide.y[99:0];
        } else if (hdr.wide.op == 3) {
            hdr.wide.x = hdr.wide.x - 1;
        } else {
            hdr.wide.x = hdr.wide.x & ~hdr.wide.y;
        }
        if (hdr.wide.x > hdr.wide.y) {
            hdr.wide.flag = 1;
        }
    }
}

control NoEgress(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    apply { }
}

control Update(inout headers_t hdr, inout meta_t meta) {
    apply { }
}

control Emit(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr);
    }
}

V1Switch(WideParser(), Verify(), Feature(), NoEgress(), Update(), Emit()) main;
