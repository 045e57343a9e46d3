/* One object of each kind that P4Runtime can address, each wired to an effect that a packet shows.
 *
 * Frames are Ethernet + an 8-byte probe header:
 * ingress drops what no table sends anywhere; each table refines what the ones before decided.
 * The controller speaks through CPU_PORT with packet_in / packet_out headers.
 */
#include <core.p4>
#include <v1model.p4>

#define CPU_PORT 510

const bit<16> TYPE_PROBE = 0x88B5;

@controller_header("packet_in")
header packet_in_t {
    bit<9> ingress_port;
    bit<7> reason;
}

@controller_header("packet_out")
header packet_out_t {
    bit<9> egress_port;
    bit<7> _pad;
}

header ethernet_t {
    bit<48> dst;
    bit<48> src;
    bit<16> type;
}

header probe_t {
    bit<8>  op;      // what ingress does, see Ingress.apply
    bit<8>  mark;    // written by actions, so that tests see which action ran
    bit<16> key;
    bit<32> value;
}

struct headers_t {
    packet_in_t  packet_in;
    packet_out_t packet_out;
    ethernet_t   ethernet;
    probe_t      probe;
}

struct learn_t {
    bit<48> src;
    bit<9>  port;
}

struct pair_t {
    bit<16> key;
    bit<8>  op;
}

struct metadata_t {
    bit<1>  in_value_set;
    bit<2>  color;
    bit<16> hash;
    learn_t learn;
}

parser PacketParser(packet_in packet, out headers_t hdr, inout metadata_t meta,
                    inout standard_metadata_t std) {
    value_set<bit<16>>(4) special_types;
    value_set<pair_t>(4) special_pairs;

    state start {
        transition select(std.ingress_port) {
            CPU_PORT: parse_packet_out;
            default: parse_ethernet;
        }
    }
    state parse_packet_out {
        packet.extract(hdr.packet_out);
        transition parse_ethernet;
    }
    state parse_ethernet {
        packet.extract(hdr.ethernet);
        transition select(hdr.ethernet.type) {
            TYPE_PROBE: parse_probe;
            special_types: mark_special;
            default: accept;
        }
    }
    state mark_special {
        meta.in_value_set = 1;
        transition accept;
    }
    state parse_probe {
        packet.extract(hdr.probe);
        transition select(hdr.probe.key, hdr.probe.op) {
            special_pairs: mark_special;
            default: accept;
        }
    }
}

control Verify(inout headers_t hdr, inout metadata_t meta) { apply { } }

control ProbeIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    counter(16, CounterType.packets_and_bytes) port_counter;
    meter(16, MeterType.packets) port_meter;
    register<bit<32>>(16) values;
    register<bit<48>>(8) wide_values;
    direct_counter(CounterType.packets_and_bytes) exact_counter;
    direct_counter(CounterType.packets) ternary_counter;
    direct_meter<bit<2>>(MeterType.packets) metered_meter;
    @max_group_size(8)
    action_selector(HashAlgorithm.identity, 32w64, 32w14) spread;  // tests know its choice
    action_profile(32w32) profile;

    action drop() { mark_to_drop(std); }
    action forward(bit<9> port) { std.egress_spec = port; }
    action forward_marked(bit<9> port, bit<8> mark) {
        std.egress_spec = port;
        hdr.probe.mark = mark;
    }
    action mark(bit<8> value) { hdr.probe.mark = value; }
    action multicast(bit<16> group) { std.mcast_grp = group; }
    action clone_to(bit<32> session) { clone(CloneType.I2E, session); }
    action learn() {
        meta.learn.src = hdr.ethernet.src;
        meta.learn.port = std.ingress_port;
        digest<learn_t>(1, meta.learn);
    }
    action to_cpu(bit<7> reason) {
        std.egress_spec = CPU_PORT;
        hdr.packet_in.setValid();
        hdr.packet_in.ingress_port = std.ingress_port;
        hdr.packet_in.reason = reason;
    }

    table exact_table {
        key = {
            hdr.ethernet.dst: exact @name("dst");
            std.ingress_port: exact @name("port");
        }
        actions = { forward; forward_marked; multicast; to_cpu; drop; @defaultonly NoAction; }
        counters = exact_counter;
        default_action = NoAction();
        size = 65536;
    }
    table small_table {
        key = { hdr.ethernet.src: exact @name("src"); }
        actions = { mark; @tableonly drop; NoAction; }
        const default_action = NoAction();
        size = 8;
    }
    table lpm_table {
        key = { hdr.probe.value: lpm @name("value"); }
        actions = { forward; drop; NoAction; }
        default_action = NoAction();
        size = 1024;
    }
    table ternary_table {
        key = {
            hdr.ethernet.type: ternary @name("type");
            hdr.ethernet.src: ternary @name("src");
            std.ingress_port: exact @name("port");
        }
        actions = { forward; forward_marked; learn; clone_to; drop; NoAction; }
        counters = ternary_counter;
        default_action = NoAction();
        size = 16384;
    }
    table range_table {
        key = {
            hdr.probe.key: range @name("key");
            hdr.probe.op: optional @name("op");
        }
        actions = { forward; mark; NoAction; }
        default_action = NoAction();
        size = 1024;
    }
    action metered() { metered_meter.read(meta.color); }
    table metered_table {
        key = { hdr.ethernet.src: exact @name("src"); }
        actions = { metered; NoAction; }
        meters = metered_meter;
        default_action = NoAction();
        size = 64;
    }
    table idle_table {
        key = { hdr.ethernet.src: exact @name("src"); }
        actions = { mark; NoAction; }
        support_timeout = true;
        default_action = NoAction();
        size = 64;
    }
    table selector_table {
        key = {
            hdr.probe.key: exact @name("key");
            hdr.ethernet.src: selector;
            hdr.probe.value: selector;
        }
        actions = { forward; forward_marked; drop; }
        implementation = spread;
        size = 64;
    }
    table profile_table {
        key = { hdr.probe.key: exact @name("key"); }
        actions = { forward; mark; }
        implementation = profile;
        size = 64;
    }
    table const_table {
        key = { hdr.probe.op: exact @name("op"); }
        actions = { mark; NoAction; }
        const entries = {
            200: mark(1);
            201: mark(2);
        }
        default_action = NoAction();
    }
    table const_ternary_table {
        key = { hdr.probe.op: ternary @name("op"); }
        actions = { mark; NoAction; }
        const entries = {
            0xD0 &&& 0xF0: mark(3);
            _: NoAction();
        }
        default_action = NoAction();
    }
    table keyless_table {
        actions = { mark; NoAction; }
        default_action = NoAction();
    }

    apply {
        if (hdr.packet_out.isValid()) {
            std.egress_spec = hdr.packet_out.egress_port;
            hdr.packet_out.setInvalid();
            exit;
        }
        port_counter.count((bit<32>) std.ingress_port);
        drop();
        exact_table.apply();
        small_table.apply();
        metered_table.apply();
        idle_table.apply();
        if (meta.in_value_set == 1) {
            std.egress_spec = 7;
        }
        if (hdr.probe.isValid()) {
            keyless_table.apply();
            lpm_table.apply();
            range_table.apply();
            selector_table.apply();
            profile_table.apply();
            const_table.apply();
            const_ternary_table.apply();
            if (hdr.probe.op == 1) {
                values.read(hdr.probe.value, (bit<32>) hdr.probe.key);
            } else if (hdr.probe.op == 2) {
                values.write((bit<32>) hdr.probe.key, hdr.probe.value);
            } else if (hdr.probe.op == 3) {
                wide_values.write((bit<32>) hdr.probe.key, hdr.ethernet.src);
            } else if (hdr.probe.op == 4) {
                port_meter.execute_meter((bit<32>) std.ingress_port, meta.color);
                hdr.probe.mark = (bit<8>) meta.color;
            } else if (hdr.probe.op == 5) {
                hdr.probe.mark = (bit<8>) meta.color;
            }
        }
        ternary_table.apply();
    }
}

control ProbeEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        if (std.egress_rid != 0 && hdr.probe.isValid()) {
            hdr.probe.key = std.egress_rid;
        }
        if (std.egress_port == CPU_PORT && !hdr.packet_in.isValid()) {
            hdr.packet_in.setValid();
            hdr.packet_in.ingress_port = std.ingress_port;
            hdr.packet_in.reason = 127;
        }
    }
}

control Compute(inout headers_t hdr, inout metadata_t meta) { apply { } }

control PacketDeparser(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr.packet_in);
        packet.emit(hdr.ethernet);
        packet.emit(hdr.probe);
    }
}

V1Switch(PacketParser(), Verify(), ProbeIngress(), ProbeEgress(), Compute(), PacketDeparser()) main;
