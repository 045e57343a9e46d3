// Standard metadata: ports, packet length, the drop port, egress_spec changed in egress, user
// metadata starting at zero for each packet, structs in structs (v1model).
#include "include/probe.p4"

struct inner_t {
    bit<7>  odd;
    bool    seen;
    bit<32> sum;
}

struct local_t {
    inner_t inner;
    bit<9>  port;
}

parser LocalParser(packet_in packet, out headers_t hdr, inout local_t meta,
                   inout standard_metadata_t sm) {
    state start {
        packet.extract(hdr.probe);
        meta.inner.sum = meta.inner.sum + hdr.probe.a;
        transition accept;
    }
}

control LocalVerify(inout headers_t hdr, inout local_t meta) {
    apply { }
}

control Feature(inout headers_t hdr, inout local_t meta, inout standard_metadata_t sm) {
    apply {
        meta.port = (bit<9>)hdr.probe.tag;
        sm.egress_spec = meta.port;
        hdr.probe.r = meta.inner.sum;
        if (!meta.inner.seen) {
            hdr.probe.flags = 1w1 ++ meta.inner.odd;
        }
        meta.inner.seen = true;
        if (hdr.probe.op == 1) {
            mark_to_drop(sm);
        } else if (hdr.probe.op == 2) {
            mark_to_drop(sm);
            sm.egress_spec = 5;
        }
    }
}

control Out(inout headers_t hdr, inout local_t meta, inout standard_metadata_t sm) {
    apply {
        hdr.probe.a = (bit<32>)sm.packet_length;
        hdr.probe.b = (bit<32>)(7w0 ++ sm.ingress_port ++ 7w0 ++ sm.egress_port);
        if (hdr.probe.op == 3) {
            sm.egress_spec = 9;
        } else if (hdr.probe.op == 4) {
            mark_to_drop(sm);
        }
    }
}

control LocalUpdate(inout headers_t hdr, inout local_t meta) {
    apply { }
}

V1Switch(LocalParser(), LocalVerify(), Feature(), Out(), LocalUpdate(), EmitProbe()) main;
