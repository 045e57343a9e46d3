// Leave stage (egress): one copy of the packet at the port it leaves by.
//
//   CPU:      the packet_in header
//   mirrored: cut to the session's length, otherwise as it arrived
//   replica:  dropped where the sender is, where VFs must not see each other, and where it would
//             pass a VM's rules by
//   uplink:   the network's tag, or VXLAN towards the server of `tunnel` (for floods, of the
//             replica's instance)
//
// A network without an entry has no way over the uplink: the copy is dropped.
#ifndef STAGES_LEAVE_P4
#define STAGES_LEAVE_P4

const bit<32> INSTANCE_INGRESS_COPY = 1;
const bit<32> INSTANCE_EGRESS_COPY = 2;

control ReplicaStage(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    bit<1> has_rules = 0;
    ipv4_t broadcast = 0;

    // Its own MAC tells what a ToR reflects to the VF (or PF) that sent it.
    @id(0x010000c0)
    action copy_to_vf(@id(1) mac_t mac, @id(2) bit<16> mirror, @id(3) bit<1> rules,
                      @id(4) ipv4_t subnet_broadcast) {
        if (hdr.ethernet.src == mac) {
            mark_to_drop(std);
        }
        meta.in_mirror = mirror;
        has_rules = rules;
        broadcast = subnet_broadcast;
    }

    @id(0x020000c0)
    table replica_table {
        key = {
            std.egress_port : exact @id(1) @name("port");
        }
        actions = {
            copy_to_vf;
            @defaultonly NoAction;
        }
        const default_action = NoAction;
        size = PORT_TABLE_SIZE;
    }

    apply {
        bool to_uplink = std.egress_port == PORT_UPLINK || std.egress_port == PORT_UPLINK2;
        if (std.egress_port == meta.in_port || (to_uplink && meta.in_role == ROLE_UPLINK)) {
            mark_to_drop(std);
        } else if (to_uplink) {
            meta.tunnel = std.egress_rid;
        } else if (meta.mode != MODE_VEB
                   && (meta.mode == MODE_VEPA || std.egress_port >= PORT_VF0)) {
            mark_to_drop(std);
        } else if (std.egress_port >= PORT_VF0 && hdr.ethernet.dst[47:4] == LINK_MAC_PREFIX) {
            mark_to_drop(std);
        } else {
            replica_table.apply();
            // Receivers take a packet to their own address also out of a frame to a group, which
            // their rules have not seen.
            if (has_rules == 1 && meta.group_addressed == 1) {
                bool to_one = hdr.ipv4.isValid() && hdr.ipv4.dst[31:28] != 0xe
                              && hdr.ipv4.dst != 0xffffffff && hdr.ipv4.dst != broadcast;
                if (to_one || (hdr.ipv6.isValid() && hdr.ipv6.dst[127:120] != 0xff)) {
                    mark_to_drop(std);
                }
            }
        }
    }
}

control UplinkStage(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
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
            meta.next_network : exact @id(1) @name("network");
        }
        actions = {
            send_untagged;
            send_tagged;
            @defaultonly no_uplink;
        }
        const default_action = no_uplink;
        size = NETWORK_TABLE_SIZE;
    }

    @id(0x010000c4)
    action encapsulate(@id(1) mac_t src_mac, @id(2) mac_t dst_mac, @id(3) ipv4_t src,
                       @id(4) ipv4_t dst) {
        hdr.outer_ethernet.setValid();
        hdr.outer_ethernet.dst = dst_mac;
        hdr.outer_ethernet.src = src_mac;
        hdr.outer_ethernet.ether_type = ETHERTYPE_IPV4;
        hdr.outer_ipv4.setValid();
        hdr.outer_ipv4.version = 4;
        hdr.outer_ipv4.ihl = 5;
        hdr.outer_ipv4.tos = 0;
        hdr.outer_ipv4.total_length = (bit<16>)meta.frame_length + 36;
        hdr.outer_ipv4.identification = 0;
        hdr.outer_ipv4.flags = 2;
        hdr.outer_ipv4.fragment_offset = 0;
        hdr.outer_ipv4.ttl = 64;
        hdr.outer_ipv4.protocol = PROTOCOL_UDP;
        hdr.outer_ipv4.checksum = 0;
        hdr.outer_ipv4.src = src;
        hdr.outer_ipv4.dst = dst;
        hdr.outer_udp.setValid();
        hdr.outer_udp.src_port = 0xc000 | meta.entropy;
        hdr.outer_udp.dst_port = UDP_PORT_VXLAN;
        hdr.outer_udp.length = (bit<16>)meta.frame_length + 16;
        hdr.outer_udp.checksum = 0;
        hdr.vxlan.setValid();
        hdr.vxlan.flags = 0x08;
        hdr.vxlan.reserved = 0;
        hdr.vxlan.reserved2 = 0;
    }

    @id(0x020000c2)
    table tunnel_table {
        key = {
            meta.tunnel : exact @id(1) @name("tunnel");
        }
        actions = {
            encapsulate;
            @defaultonly no_uplink;
        }
        const default_action = no_uplink;
        size = TUNNEL_TABLE_SIZE;
    }

    @id(0x010000c5)
    action set_vni(@id(1) bit<24> vni) {
        hdr.vxlan.vni = vni;
    }

    @id(0x020000c3)
    table network_vni_table {
        key = {
            meta.next_network : exact @id(1) @name("network");
        }
        actions = {
            set_vni;
            @defaultonly no_uplink;
        }
        const default_action = no_uplink;
        size = NETWORK_TABLE_SIZE;
    }

    apply {
        if (meta.tunnel == 0) {
            tag_table.apply();
        } else {
            tunnel_table.apply();
            network_vni_table.apply();
        }
    }
}

control CopyStage(inout metadata_t meta) {
    @id(0x010000c6)
    action cut_copy(@id(1) bit<32> bytes) {
        truncate(bytes);
    }

    @id(0x020000c4)
    table mirror_table {
        key = {
            meta.mirror : exact @id(1) @name("mirror");
        }
        actions = {
            cut_copy;
            @defaultonly NoAction;
        }
        const default_action = NoAction;
        size = MIRROR_TABLE_SIZE;
    }

    apply {
        mirror_table.apply();
    }
}

control LeaveStage(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    @id(0x12000003)
    counter(TRAFFIC_COUNTER_SIZE, CounterType.packets_and_bytes) to_port_counter;

    ReplicaStage() replica;
    UplinkStage() uplink;
    CopyStage() copy;

    apply {
        bool copied = std.instance_type == INSTANCE_INGRESS_COPY
                      || std.instance_type == INSTANCE_EGRESS_COPY;
        if (copied) {
            copy.apply(meta);
        } else if (std.egress_port == PORT_CPU) {
            bit<16> destination = (bit<16>)meta.out_port;
            if (std.instance_type == INSTANCE_REPLICA) {
                destination = std.egress_rid;
                meta.punt = PUNT_HELD;
            }
            hdr.packet_in.setValid();
            hdr.packet_in.ingress_port = (bit<16>)meta.in_port;
            hdr.packet_in.network = meta.punt == PUNT_HELD ? meta.next_network : meta.network;
            hdr.packet_in.destination_port = destination;
            hdr.packet_in.reason = meta.punt;
        } else {
            if (std.instance_type == INSTANCE_REPLICA) {
                replica.apply(hdr, meta, std);
            }
            if (std.egress_port == PORT_UPLINK || std.egress_port == PORT_UPLINK2) {
                uplink.apply(hdr, meta, std);
            }
            if (std.egress_spec != PORT_DROP) {
                bit<2> class = 0;
                if (meta.group_addressed == 1) {
                    class = hdr.ethernet.dst == 0xffffffffffff ? 2w2 : 2w1;
                }
                to_port_counter.count((bit<32>)(std.egress_port[6:0] ++ class));
                if (meta.in_mirror != 0) {
                    meta.mirror = meta.in_mirror;
                    clone_preserving_field_list(
                        CloneType.E2E, (bit<32>)meta.in_mirror, FIELDS_OF_COPY);
                }
            }
        }
    }
}

#endif
