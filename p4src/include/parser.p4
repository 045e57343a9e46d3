// Wire to headers and back. Underlay frames are told by the tunnel end point's MAC prefix, so
// that the VM's frame is always in the same headers, with or without VXLAN around it.
#ifndef PARSER_P4
#define PARSER_P4

#include "metadata.p4"

parser NicParser(packet_in packet, out headers_t hdr, inout metadata_t meta,
                 inout standard_metadata_t std) {
    state start {
        meta.in_port = std.ingress_port;
        transition select(std.ingress_port) {
            PORT_CPU: parse_packet_out;
            PORT_UPLINK: parse_uplink;
            PORT_UPLINK2: parse_uplink;
            default: parse_ethernet;
        }
    }

    state parse_packet_out {
        packet.extract(hdr.packet_out);
        meta.in_port = (port_t)hdr.packet_out.port;
        meta.network = hdr.packet_out.network;
        meta.next_network = hdr.packet_out.network;
        transition parse_ethernet;
    }

    state parse_uplink {
        bit<112> ethernet = packet.lookahead<bit<112>>();
        transition select(ethernet[111:80], ethernet[15:0]) {
            (VTEP_MAC_PREFIX, ETHERTYPE_IPV4): parse_outer;
            default: parse_uplink_ethernet;
        }
    }

    state parse_outer {
        packet.extract(hdr.outer_ethernet);
        packet.extract(hdr.outer_ipv4);
        transition select(hdr.outer_ipv4.ihl, hdr.outer_ipv4.protocol) {
            (5, PROTOCOL_UDP): parse_outer_udp;
            default: accept;
        }
    }

    state parse_outer_udp {
        packet.extract(hdr.outer_udp);
        transition select(hdr.outer_udp.dst_port) {
            UDP_PORT_VXLAN: parse_vxlan;
            default: accept;
        }
    }

    state parse_vxlan {
        packet.extract(hdr.vxlan);
        transition parse_ethernet;
    }

    state parse_uplink_ethernet {
        packet.extract(hdr.ethernet);
        transition select(hdr.ethernet.ether_type) {
            ETHERTYPE_VLAN: parse_network_tag;
            ETHERTYPE_QINQ: parse_network_tag;
            ETHERTYPE_ARP: parse_arp;
            ETHERTYPE_IPV4: parse_ipv4;
            ETHERTYPE_IPV6: parse_ipv6;
            default: accept;
        }
    }

    state parse_network_tag {
        packet.extract(hdr.network_tag);
        transition select(hdr.network_tag.ether_type) {
            ETHERTYPE_VLAN: parse_vlan;
            ETHERTYPE_QINQ: parse_vlan;
            ETHERTYPE_ARP: parse_arp;
            ETHERTYPE_IPV4: parse_ipv4;
            ETHERTYPE_IPV6: parse_ipv6;
            default: accept;
        }
    }

    state parse_ethernet {
        packet.extract(hdr.ethernet);
        transition select(hdr.ethernet.ether_type) {
            ETHERTYPE_VLAN: parse_vlan;
            ETHERTYPE_QINQ: parse_vlan;
            ETHERTYPE_ARP: parse_arp;
            ETHERTYPE_IPV4: parse_ipv4;
            ETHERTYPE_IPV6: parse_ipv6;
            default: accept;
        }
    }

    state parse_vlan {
        packet.extract(hdr.vlan);
        transition select(hdr.vlan.ether_type) {
            ETHERTYPE_ARP: parse_arp;
            ETHERTYPE_IPV4: parse_ipv4;
            ETHERTYPE_IPV6: parse_ipv6;
            default: accept;
        }
    }

    state parse_arp {
        packet.extract(hdr.arp);
        transition accept;
    }

    // Later fragments have no ports to show: they meet only rules without ports.
    state parse_ipv4 {
        packet.extract(hdr.ipv4);
        meta.src = hdr.ipv4.src;
        meta.dst = hdr.ipv4.dst;
        transition select(hdr.ipv4.ihl, hdr.ipv4.fragment_offset, hdr.ipv4.protocol) {
            (5, 0, PROTOCOL_TCP): parse_tcp;
            (5, 0, PROTOCOL_UDP): parse_udp;
            (5, 0, PROTOCOL_ICMP): parse_icmp;
            (6 .. 15, 0, _): parse_ipv4_options;
            default: accept;
        }
    }

    state parse_ipv4_options {
        packet.extract(hdr.ipv4_options, (bit<32>)(hdr.ipv4.ihl - 5) * 32);
        transition select(hdr.ipv4.protocol) {
            PROTOCOL_TCP: parse_tcp;
            PROTOCOL_UDP: parse_udp;
            PROTOCOL_ICMP: parse_icmp;
            default: accept;
        }
    }

    state parse_ipv6 {
        packet.extract(hdr.ipv6);
        meta.upper_protocol = hdr.ipv6.next_header;
        transition parse_upper;
    }

    // Nothing hides from rules and guard behind extension headers: what the NIC cannot read whole,
    // too many or too long ones, is malformed.
    state parse_upper {
        transition select(meta.upper_protocol) {
            PROTOCOL_TCP: parse_tcp;
            PROTOCOL_UDP: parse_udp;
            PROTOCOL_ICMPV6: parse_icmpv6;
            EXTENSION_HOP_BY_HOP: parse_extension;
            EXTENSION_ROUTING: parse_extension;
            EXTENSION_DESTINATION: parse_extension;
            EXTENSION_FRAGMENT: parse_fragment;
            default: accept;
        }
    }

    state parse_extension {
        bit<16> head = packet.lookahead<bit<16>>();
        verify(head[7:0] <= EXTENSION_LONGEST, error.ParserInvalidArgument);
        packet.extract(hdr.extension.next, (bit<32>)head[7:0] * 64 + 48);
        meta.upper_protocol = head[15:8];
        transition parse_upper;
    }

    state parse_fragment {
        bit<32> head = packet.lookahead<bit<32>>();
        packet.extract(hdr.extension.next, 48);
        meta.upper_protocol = head[31:24];
        transition select(head[15:3]) {
            0: parse_upper;
            default: parse_later_fragment;
        }
    }

    state parse_later_fragment {
        meta.later_fragment = 1;
        transition accept;
    }

    state parse_tcp {
        packet.extract(hdr.tcp);
        meta.l4_known = 1;
        meta.l4_src = hdr.tcp.src_port;
        meta.l4_dst = hdr.tcp.dst_port;
        transition accept;
    }

    state parse_udp {
        packet.extract(hdr.udp);
        meta.l4_known = 1;
        meta.l4_src = hdr.udp.src_port;
        meta.l4_dst = hdr.udp.dst_port;
        transition accept;
    }

    state parse_icmp {
        packet.extract(hdr.icmp);
        transition select(hdr.icmp.type) {
            ICMP_ECHO: parse_echo;
            ICMP_ECHO_REPLY: parse_echo;
            ICMP_UNREACHABLE: parse_icmp_error;
            ICMP_TIME_EXCEEDED: parse_icmp_error;
            ICMP_PARAMETER: parse_icmp_error;
            default: accept;
        }
    }

    // A solicitation is read whole only as hosts send it when they resolve: with one option. Of an
    // advertisement the guard wants the target alone.
    state parse_icmpv6 {
        packet.extract(hdr.icmp);
        transition select(hdr.icmp.type, hdr.ipv6.payload_length) {
            (ICMPV6_ECHO, _): parse_echo;
            (ICMPV6_ECHO_REPLY, _): parse_echo;
            (ICMPV6_SOLICITATION, 32): parse_solicitation;
            (ICMPV6_ADVERTISEMENT, _): parse_advertisement;
            (1 .. ICMPV6_PARAMETER, _): parse_icmp_error;
            (ICMPV6_ROUTER_SOLICITATION .. ICMPV6_REDIRECT, _): parse_other_neighbor;
            default: accept;
        }
    }

    // Echo: the identifier stands for both ports, so that a reply mirrors its request.
    state parse_echo {
        packet.extract(hdr.echo);
        meta.l4_known = 1;
        meta.l4_src = hdr.echo.identifier;
        meta.l4_dst = hdr.echo.identifier;
        transition accept;
    }

    state parse_icmp_error {
        meta.icmp_error = 1;
        transition accept;
    }

    state parse_other_neighbor {
        meta.neighbor = 1;
        transition accept;
    }

    state parse_solicitation {
        packet.extract(hdr.nd);
        packet.extract(hdr.nd_option);
        meta.neighbor = 1;
        transition accept;
    }

    state parse_advertisement {
        packet.extract(hdr.nd);
        meta.neighbor = 1;
        transition accept;
    }
}

control NicVerifyChecksum(inout headers_t hdr, inout metadata_t meta) {
    apply {}
}

// Only headers that the NIC itself makes are summed here: the underlay's, and ND answers. A VM's
// checksums are never recomputed, only adjusted where an address changes (stages/translate.p4).
control NicComputeChecksum(inout headers_t hdr, inout metadata_t meta) {
    apply {
        update_checksum(
            hdr.outer_ipv4.isValid(),
            { hdr.outer_ipv4.version, hdr.outer_ipv4.ihl, hdr.outer_ipv4.tos,
              hdr.outer_ipv4.total_length, hdr.outer_ipv4.identification, hdr.outer_ipv4.flags,
              hdr.outer_ipv4.fragment_offset, hdr.outer_ipv4.ttl, hdr.outer_ipv4.protocol,
              hdr.outer_ipv4.src, hdr.outer_ipv4.dst },
            hdr.outer_ipv4.checksum, HashAlgorithm.csum16);
        update_checksum(
            meta.nd_answer == 1,
            { hdr.ipv6.src, hdr.ipv6.dst, 16w0, hdr.ipv6.payload_length, 24w0,
              hdr.ipv6.next_header, hdr.icmp.type, hdr.icmp.code, hdr.nd.flags, hdr.nd.target,
              hdr.nd_option.type, hdr.nd_option.length, hdr.nd_option.mac },
            hdr.icmp.checksum, HashAlgorithm.csum16);
    }
}

control NicDeparser(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr.packet_in);
        packet.emit(hdr.outer_ethernet);
        packet.emit(hdr.outer_ipv4);
        packet.emit(hdr.outer_udp);
        packet.emit(hdr.vxlan);
        packet.emit(hdr.ethernet);
        packet.emit(hdr.network_tag);
        packet.emit(hdr.vlan);
        packet.emit(hdr.arp);
        packet.emit(hdr.ipv4);
        packet.emit(hdr.ipv4_options);
        packet.emit(hdr.ipv6);
        packet.emit(hdr.extension);
        packet.emit(hdr.tcp);
        packet.emit(hdr.udp);
        packet.emit(hdr.icmp);
        packet.emit(hdr.echo);
        packet.emit(hdr.nd);
        packet.emit(hdr.nd_option);
    }
}

#endif
