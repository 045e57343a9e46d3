/* entities.p4's neighbour: `kept_table` is the same in both halves of a reconcile test, and
 * CHANGED selects another key for `changed_table`. */
#include <core.p4>
#include <v1model.p4>

header ethernet_t {
    bit<48> dst;
    bit<48> src;
    bit<16> type;
}

struct headers_t { ethernet_t ethernet; }
struct metadata_t { }

parser PacketParser(packet_in packet, out headers_t hdr, inout metadata_t meta,
                    inout standard_metadata_t std) {
    state start {
        packet.extract(hdr.ethernet);
        transition accept;
    }
}

control Verify(inout headers_t hdr, inout metadata_t meta) { apply { } }

control SwitchIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    register<bit<32>>(4) seen;
    counter(4, CounterType.packets) ports;
    direct_counter(CounterType.packets) kept_counter;

    action drop() { mark_to_drop(std); }
    action forward(bit<9> port) { std.egress_spec = port; }
    action rewrite(bit<48> src) { hdr.ethernet.src = src; }

    table kept_table {
        key = { hdr.ethernet.dst: exact @name("dst"); }
        actions = { forward; drop; }
        counters = kept_counter;
        default_action = drop();
        size = 1024;
    }
#ifdef CHANGED
    table changed_table {
        key = { hdr.ethernet.src: ternary @name("src"); }
        actions = { rewrite; NoAction; }
        default_action = NoAction();
        size = 1024;
    }
#else
    table changed_table {
        key = { hdr.ethernet.src: exact @name("src"); }
        actions = { rewrite; NoAction; }
        default_action = NoAction();
        size = 1024;
    }
#endif

    apply {
        ports.count((bit<32>) (std.ingress_port & 3));
        seen.write(0, (bit<32>) std.ingress_port);
        kept_table.apply();
        changed_table.apply();
    }
}

control SwitchEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply { }
}

control Compute(inout headers_t hdr, inout metadata_t meta) { apply { } }

control PacketDeparser(packet_out packet, in headers_t hdr) {
    apply { packet.emit(hdr.ethernet); }
}

V1Switch(PacketParser(), Verify(), SwitchIngress(), SwitchEgress(), Compute(),
         PacketDeparser()) main;
