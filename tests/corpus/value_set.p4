// A parser value set in select: empty unless the controller fills it (13.11).
#include "include/probe.p4"

parser SetParser(packet_in packet, out headers_t hdr, inout meta_t meta,
                 inout standard_metadata_t sm) {
    @name("allowed") value_set<bit<16>>(4) allowed;
    state start {
        packet.extract(hdr.probe);
        transition select(hdr.probe.tag) {
            allowed: special;
            0x99: special;
            default: accept;
        }
    }
    state special {
        meta.unused = 1;
        transition accept;
    }
}

control Feature(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 2;
        hdr.probe.flags = meta.unused;
    }
}

V1Switch(SetParser(), NoVerify(), Feature(), NoEgress(), NoUpdate(), EmitProbe()) main;
