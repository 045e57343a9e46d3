// The baseline: what fixed-function SR-IOV hardware does, and nothing else. MAC and VLAN filters
// lead to VFs, the embedded bridge (VEB) switches between them, source MACs are checked, VLAN
// tags inserted and stripped, rates policed, packets counted. No rules on addresses or ports, no
// connections, no tunnels, no redirect: a VF that leaves the card takes nothing along.
//
//   port -> network of its tag -> spoof check, rate -> VEB -> tag, count
#include <core.p4>
#include <v1model.p4>

#include "include/nic.p4"

// Numbers are those of include/reasons.p4.
const reason_t DROP_PORT_DOWN = 1;
const reason_t DROP_UNKNOWN_NETWORK = 2;
const reason_t DROP_GUEST_TAG = 3;
const reason_t DROP_SPOOFED_MAC = 4;
const reason_t DROP_RATE = 6;
const reason_t DROP_UNKNOWN_DESTINATION = 10;
const reason_t DROP_SAME_PORT = 13;
const reason_t DROP_MALFORMED = 14;

@controller_header("packet_in")
header packet_in_h {
    @id(1) bit<16> ingress_port;
    @id(2) bit<16> network;
    @id(3) bit<16> destination_port;
    @id(4) bit<8> reason;
}

// The driver's own frames, such as announcements: straight out of a port.
@controller_header("packet_out")
header packet_out_h {
    @id(1) bit<8> mode;
    @id(2) bit<16> port;
    @id(3) bit<16> network;
}

header ethernet_h {
    mac_t dst;
    mac_t src;
    bit<16> ether_type;
}

header vlan_h {
    bit<3> priority;
    bit<1> drop_eligible;
    bit<12> vid;
    bit<16> ether_type;
}

struct headers_t {
    packet_in_h packet_in;
    packet_out_h packet_out;
    ethernet_h ethernet;
    vlan_h network_tag;  // on the uplink only
    vlan_h tag;          // a trusted guest's own
}

struct metadata_t {
    role_t in_role;
    network_t network;
    bit<1> group_addressed;
    bit<1> trusted;
    bit<1> spoof_check;
    bit<1> mac_mismatch;
    bit<3> priority;
    bit<2> color;
    reason_t drop;
    port_t out_port;
    bit<16> group;
}

parser SriovParser(packet_in packet, out headers_t hdr, inout metadata_t meta,
                   inout standard_metadata_t std) {
    state start {
        transition select(std.ingress_port) {
            PORT_CPU: parse_packet_out;
            PORT_UPLINK: parse_uplink;
            default: parse_ethernet;
        }
    }

    state parse_packet_out {
        packet.extract(hdr.packet_out);
        transition parse_ethernet;
    }

    state parse_ethernet {
        packet.extract(hdr.ethernet);
        transition select(hdr.ethernet.ether_type) {
            ETHERTYPE_VLAN: parse_tag;
            ETHERTYPE_QINQ: parse_tag;
            default: accept;
        }
    }

    state parse_uplink {
        packet.extract(hdr.ethernet);
        transition select(hdr.ethernet.ether_type) {
            ETHERTYPE_VLAN: parse_network_tag;
            ETHERTYPE_QINQ: parse_network_tag;
            default: accept;
        }
    }

    state parse_network_tag {
        packet.extract(hdr.network_tag);
        transition accept;
    }

    state parse_tag {
        packet.extract(hdr.tag);
        transition accept;
    }
}

control SriovVerifyChecksum(inout headers_t hdr, inout metadata_t meta) {
    apply {}
}

control SriovComputeChecksum(inout headers_t hdr, inout metadata_t meta) {
    apply {}
}

control SriovIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    @id(0x15000001)
    direct_meter<bit<2>>(MeterType.bytes) rate_meter;

    // Index: port (7 bits), class (2 bits: 0 unicast, 1 multicast, 2 broadcast).
    @id(0x12000001)
    counter(TRAFFIC_COUNTER_SIZE, CounterType.packets_and_bytes) from_port_counter;

    // Index: port (7 bits), reason (6 bits).
    @id(0x12000002)
    counter(DROP_COUNTER_SIZE, CounterType.packets_and_bytes) drop_counter;

    @id(0x01000001)
    action admit_vf(@id(1) mac_t mac, @id(2) network_t network, @id(3) bit<1> spoof_check,
                    @id(4) bit<1> trusted, @id(5) bit<3> priority) {
        meta.in_role = ROLE_VF;
        meta.mac_mismatch = hdr.ethernet.src == mac ? 1w0 : 1w1;
        meta.network = network;
        meta.spoof_check = spoof_check;
        meta.trusted = trusted;
        meta.priority = priority;
        rate_meter.read(meta.color);
    }

    @id(0x01000002)
    action admit_pf(@id(1) network_t network) {
        meta.network = network;
        rate_meter.read(meta.color);
    }

    @id(0x01000003)
    action admit_uplink(@id(1) network_t network) {
        meta.in_role = ROLE_UPLINK;
        meta.network = network;
        rate_meter.read(meta.color);
    }

    @id(0x01000004)
    action port_down() {
        meta.drop = DROP_PORT_DOWN;
    }

    @id(0x02000001)
    table port_table {
        key = {
            std.ingress_port : exact @id(1) @name("port");
        }
        actions = {
            admit_vf;
            admit_pf;
            admit_uplink;
            @defaultonly port_down;
        }
        const default_action = port_down;
        meters = rate_meter;
        size = PORT_TABLE_SIZE;
    }

    @id(0x01000010)
    action set_network(@id(1) network_t network) {
        meta.network = network;
        hdr.ethernet.ether_type = hdr.network_tag.ether_type;
        hdr.network_tag.setInvalid();
    }

    @id(0x01000011)
    action unknown_network() {
        meta.drop = DROP_UNKNOWN_NETWORK;
    }

    @id(0x02000010)
    table vlan_table {
        key = {
            hdr.ethernet.ether_type : exact @id(1) @name("tag_protocol");
            hdr.network_tag.vid : exact @id(2) @name("vlan");
        }
        actions = {
            set_network;
            @defaultonly unknown_network;
        }
        const default_action = unknown_network;
        size = NETWORK_TABLE_SIZE;
    }

    @id(0x01000090)
    action forward_to_port(@id(1) port_t port) {
        meta.out_port = port;
    }

    @id(0x02000090)
    table l2_table {
        key = {
            meta.network : exact @id(1) @name("network");
            hdr.ethernet.dst : exact @id(2) @name("mac");
        }
        actions = {
            forward_to_port;
            @defaultonly NoAction;
        }
        const default_action = NoAction;
        size = FORWARD_TABLE_SIZE;
    }

    apply {
        if (hdr.packet_out.isValid()) {
            meta.network = hdr.packet_out.network;
            std.egress_spec = (port_t)hdr.packet_out.port;
            hdr.packet_out.setInvalid();
        } else {
            bit<2> class = 0;
            if (hdr.ethernet.dst[40:40] == 1) {
                class = hdr.ethernet.dst == 0xffffffffffff ? 2w2 : 2w1;
                meta.group_addressed = 1;
            }
            port_table.apply();
            from_port_counter.count((bit<32>)(std.ingress_port[6:0] ++ class));
            if (std.parser_error != error.NoError) {
                meta.drop = DROP_MALFORMED;
            } else if (meta.in_role == ROLE_UPLINK) {
                if (hdr.network_tag.isValid()) {
                    vlan_table.apply();
                }
            } else if (meta.in_role == ROLE_VF) {
                if (meta.spoof_check == 1 && meta.mac_mismatch == 1) {
                    meta.drop = DROP_SPOOFED_MAC;
                } else if (meta.trusted == 0 && hdr.tag.isValid()) {
                    meta.drop = DROP_GUEST_TAG;
                }
            }
            if (meta.color == COLOR_RED && meta.drop == 0) {
                meta.drop = DROP_RATE;
            }
            if (meta.drop == 0) {
                if (meta.group_addressed == 1) {
                    meta.group = meta.network;
                } else if (!l2_table.apply().hit) {
                    meta.out_port = PORT_UPLINK;
                    if (meta.in_role == ROLE_UPLINK) {
                        meta.drop = DROP_UNKNOWN_DESTINATION;
                    }
                } else if (meta.out_port == std.ingress_port) {
                    meta.drop = DROP_SAME_PORT;
                }
            }
            if (meta.drop != 0) {
                drop_counter.count((bit<32>)(std.ingress_port[6:0] ++ meta.drop[5:0]));
                mark_to_drop(std);
            } else if (meta.group != 0) {
                std.mcast_grp = meta.group;
            } else {
                std.egress_spec = meta.out_port;
            }
        }
    }
}

control SriovEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    @id(0x12000003)
    counter(TRAFFIC_COUNTER_SIZE, CounterType.packets_and_bytes) to_port_counter;

    @id(0x010000c1)
    action send_untagged() {
    }

    @id(0x010000c2)
    action send_tagged(@id(1) bit<16> tag_protocol, @id(2) bit<12> vlan) {
        hdr.network_tag.setValid();
        hdr.network_tag.priority = meta.priority;
        hdr.network_tag.drop_eligible = 0;
        hdr.network_tag.vid = vlan;
        hdr.network_tag.ether_type = hdr.ethernet.ether_type;
        hdr.ethernet.ether_type = tag_protocol;
    }

    @id(0x010000c3)
    action no_uplink() {
        mark_to_drop(std);
    }

    @id(0x020000c1)
    table tag_table {
        key = {
            meta.network : exact @id(1) @name("network");
        }
        actions = {
            send_untagged;
            send_tagged;
            @defaultonly no_uplink;
        }
        const default_action = no_uplink;
        size = NETWORK_TABLE_SIZE;
    }

    apply {
        bool to_uplink = std.egress_port == PORT_UPLINK;
        if (std.instance_type == INSTANCE_REPLICA && std.egress_port == std.ingress_port) {
            mark_to_drop(std);
        } else if (to_uplink) {
            tag_table.apply();
        }
        if (std.egress_spec != PORT_DROP) {
            bit<2> class = 0;
            if (meta.group_addressed == 1) {
                class = hdr.ethernet.dst == 0xffffffffffff ? 2w2 : 2w1;
            }
            to_port_counter.count((bit<32>)(std.egress_port[6:0] ++ class));
        }
    }
}

control SriovDeparser(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr.packet_in);
        packet.emit(hdr.ethernet);
        packet.emit(hdr.network_tag);
        packet.emit(hdr.tag);
    }
}

V1Switch(SriovParser(), SriovVerifyChecksum(), SriovIngress(), SriovEgress(),
         SriovComputeChecksum(), SriovDeparser()) main;
