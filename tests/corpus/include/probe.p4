// A one-header pipeline for programs that test expressions and control flow:
// the ingress reads op, a and b of the probe and writes r; the packet leaves by port 2.
#ifndef PROBE_P4
#define PROBE_P4
#include <core.p4>
#include <v1model.p4>

header probe_t {
    bit<8>  op;
    bit<8>  flags;
    bit<16> tag;
    bit<32> a;
    bit<32> b;
    bit<32> r;
}

struct headers_t {
    probe_t probe;
}

struct meta_t {
    bit<8> unused;
}

parser ProbeParser(packet_in packet, out headers_t hdr, inout meta_t meta,
                   inout standard_metadata_t sm) {
    state start {
        packet.extract(hdr.probe);
        transition accept;
    }
}

control NoVerify(inout headers_t hdr, inout meta_t meta) {
    apply { }
}

control NoEgress(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    apply { }
}

control NoUpdate(inout headers_t hdr, inout meta_t meta) {
    apply { }
}

control EmitProbe(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr.probe);
    }
}

#define PROBE_SWITCH(ingress) \
    V1Switch(ProbeParser(), NoVerify(), ingress(), NoEgress(), NoUpdate(), EmitProbe()) main;
#endif
