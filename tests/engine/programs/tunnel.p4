// Port 1 is a host, port 2 a tunnel: VXLAN around everything that leaves, and off what arrives.
#include <core.p4>
#include <v1model.p4>

header ethernet_t {
    bit<48> dst;
    bit<48> src;
    bit<16> type;
}

header ipv4_t {
    bit<4> version;
    bit<4> ihl;
    bit<8> tos;
    bit<16> len;
    bit<16> id;
    bit<16> frag;
    bit<8> ttl;
    bit<8> protocol;
    bit<16> checksum;
    bit<32> src;
    bit<32> dst;
}

header udp_t {
    bit<16> src;
    bit<16> dst;
    bit<16> len;
    bit<16> checksum;
}

header vxlan_t {
    bit<8> flags;
    bit<24> reserved;
    bit<24> vni;
    bit<8> reserved2;
}

struct headers_t {
    ethernet_t outer_ethernet;
    ipv4_t outer_ipv4;
    udp_t outer_udp;
    vxlan_t vxlan;
    ethernet_t ethernet;
}

struct metadata_t {}

parser parse(packet_in pkt, out headers_t hdr, inout metadata_t meta,
             inout standard_metadata_t std) {
    state start {
        transition select(std.ingress_port) {
            2: tunnel;
            default: host;
        }
    }
    state host {
        pkt.extract(hdr.ethernet);
        transition accept;
    }
    state tunnel {
        pkt.extract(hdr.outer_ethernet);
        pkt.extract(hdr.outer_ipv4);
        pkt.extract(hdr.outer_udp);
        pkt.extract(hdr.vxlan);
        transition host;
    }
}

control no_checksum(inout headers_t hdr, inout metadata_t meta) {
    apply {}
}

control forward(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        if (std.ingress_port == 2) {
            hdr.outer_ethernet.setInvalid();
            hdr.outer_ipv4.setInvalid();
            hdr.outer_udp.setInvalid();
            hdr.vxlan.setInvalid();
            std.egress_spec = 1;
        } else {
            bit<16> inner = (bit<16>) std.packet_length;
            hdr.outer_ethernet = { 0x020000000002, 0x020000000001, 0x0800 };
            hdr.outer_ipv4 = { 4, 5, 0, inner + 36, 0, 0, 64, 17, 0, 0x0a000001, 0x0a000002 };
            hdr.outer_udp = { 40000, 4789, inner + 16, 0 };
            hdr.vxlan = { 8, 0, 77, 0 };
            hdr.outer_ethernet.setValid();
            hdr.outer_ipv4.setValid();
            hdr.outer_udp.setValid();
            hdr.vxlan.setValid();
            std.egress_spec = 2;
        }
    }
}

control none(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {}
}

control checksum(inout headers_t hdr, inout metadata_t meta) {
    apply {
        update_checksum(hdr.outer_ipv4.isValid(),
            { hdr.outer_ipv4.version, hdr.outer_ipv4.ihl, hdr.outer_ipv4.tos, hdr.outer_ipv4.len,
              hdr.outer_ipv4.id, hdr.outer_ipv4.frag, hdr.outer_ipv4.ttl,
              hdr.outer_ipv4.protocol, hdr.outer_ipv4.src, hdr.outer_ipv4.dst },
            hdr.outer_ipv4.checksum, HashAlgorithm.csum16);
    }
}

control deparse(packet_out pkt, in headers_t hdr) {
    apply {
        pkt.emit(hdr.outer_ethernet);
        pkt.emit(hdr.outer_ipv4);
        pkt.emit(hdr.outer_udp);
        pkt.emit(hdr.vxlan);
        pkt.emit(hdr.ethernet);
    }
}

V1Switch(parse(), no_checksum(), forward(), none(), checksum(), deparse()) main;
