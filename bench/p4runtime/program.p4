/* Two tables to fill: five-tuple exact, and five-tuple ternary with a priority. */
#include <core.p4>
#include <v1model.p4>

header ethernet_t {
    bit<48> dst;
    bit<48> src;
    bit<16> type;
}

header flow_t {
    bit<32> src;
    bit<32> dst;
    bit<8>  protocol;
    bit<16> src_port;
    bit<16> dst_port;
}

struct headers_t {
    ethernet_t ethernet;
    flow_t     flow;
}

struct metadata_t { }

parser PacketParser(packet_in packet, out headers_t hdr, inout metadata_t meta,
                    inout standard_metadata_t std) {
    state start {
        packet.extract(hdr.ethernet);
        packet.extract(hdr.flow);
        transition accept;
    }
}

control Verify(inout headers_t hdr, inout metadata_t meta) { apply { } }

control SwitchIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    action drop() { mark_to_drop(std); }
    action forward(bit<9> port) { std.egress_spec = port; }

    table exact_table {
        key = {
            hdr.flow.src: exact @name("src");
            hdr.flow.dst: exact @name("dst");
            hdr.flow.protocol: exact @name("protocol");
            hdr.flow.src_port: exact @name("src_port");
            hdr.flow.dst_port: exact @name("dst_port");
        }
        actions = { forward; drop; }
        default_action = drop();
        size = 2000000;
    }
    table ternary_table {
        key = {
            hdr.flow.src: ternary @name("src");
            hdr.flow.dst: ternary @name("dst");
            hdr.flow.protocol: ternary @name("protocol");
            hdr.flow.src_port: ternary @name("src_port");
            hdr.flow.dst_port: ternary @name("dst_port");
        }
        actions = { forward; drop; }
        default_action = drop();
        size = 200000;
    }

    apply {
        if (!exact_table.apply().hit) {
            ternary_table.apply();
        }
    }
}

control SwitchEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply { }
}

control Compute(inout headers_t hdr, inout metadata_t meta) { apply { } }

control PacketDeparser(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr.ethernet);
        packet.emit(hdr.flow);
    }
}

V1Switch(PacketParser(), Verify(), SwitchIngress(), SwitchEgress(), Compute(),
         PacketDeparser()) main;
