// A learning-free switch with routes and an access list: the bench of the switches runs it.
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

header ports_t {
    bit<16> src;
    bit<16> dst;
}

struct headers_t {
    ethernet_t ethernet;
    ipv4_t ipv4;
    ports_t ports;
}

struct metadata_t {}

parser parse(packet_in pkt, out headers_t hdr, inout metadata_t meta,
             inout standard_metadata_t std) {
    state start {
        pkt.extract(hdr.ethernet);
        transition select(hdr.ethernet.type) {
            0x0800: ipv4;
            default: accept;
        }
    }
    state ipv4 {
        pkt.extract(hdr.ipv4);
        transition select(hdr.ipv4.ihl, hdr.ipv4.protocol) {
            (5, 6): ports;
            (5, 17): ports;
            default: accept;
        }
    }
    state ports {
        pkt.extract(hdr.ports);
        transition accept;
    }
}

control no_checksum(inout headers_t hdr, inout metadata_t meta) {
    apply {}
}

control forward(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    direct_counter(CounterType.packets_and_bytes) acl_hits;

    action drop() {
        mark_to_drop(std);
    }
    action allow() {
        acl_hits.count();
    }
    action deny() {
        acl_hits.count();
        mark_to_drop(std);
    }
    action send(bit<9> port) {
        std.egress_spec = port;
    }
    action flood(bit<16> group) {
        std.mcast_grp = group;
    }
    table acl {
        key = {
            std.ingress_port: exact @name("port");
            hdr.ipv4.src: ternary @name("src");
            hdr.ipv4.dst: ternary @name("dst");
            hdr.ipv4.protocol: ternary @name("protocol");
            hdr.ports.src: range @name("sport");
            hdr.ports.dst: range @name("dport");
        }
        actions = { allow; deny; }
        counters = acl_hits;
        size = 65536;
    }
    table mac {
        key = { hdr.ethernet.dst: exact @name("dst"); }
        actions = { send; flood; drop; }
        const default_action = drop();
        size = 2097152;
        support_timeout = true;
    }
    table route {
        key = { hdr.ipv4.dst: lpm @name("dst"); }
        actions = { send; drop; NoAction; }
        default_action = NoAction();
        size = 1048576;
    }
    apply {
        mac.apply();
        if (hdr.ipv4.isValid()) {
            route.apply();
            acl.apply();
        }
    }
}

control none(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {}
}

control checksum(inout headers_t hdr, inout metadata_t meta) {
    apply {}
}

control deparse(packet_out pkt, in headers_t hdr) {
    apply {
        pkt.emit(hdr.ethernet);
        pkt.emit(hdr.ipv4);
        pkt.emit(hdr.ports);
    }
}

V1Switch(parse(), no_checksum(), forward(), none(), checksum(), deparse()) main;
