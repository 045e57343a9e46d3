// Headers in wire order.
#ifndef HEADERS_P4
#define HEADERS_P4

#include "constants.p4"

// To the host: the packet as the NIC saw it after decapsulation and removal of network tags,
// with what is needed to send it on from where it stopped.
@controller_header("packet_in")
header packet_in_h {
    @id(1) bit<16> ingress_port;
    @id(2) bit<16> network;
    @id(3) bit<16> destination_port;
    @id(4) bit<8> reason;
}

// From the host: to one port as it is, or (1) into the pipeline as if received at `port` in
// `network`, or (2) the same and its rules and connections are the host's business.
const bit<8> OUT_TO_PORT = 0;
const bit<8> OUT_RESUME_APPROVED = 2;
const bit<32> PACKET_OUT_BYTES = 5;

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

header arp_h {
    bit<16> hardware;
    bit<16> protocol;
    bit<8> hardware_length;
    bit<8> protocol_length;
    bit<16> operation;
    mac_t sender_mac;
    ipv4_t sender_ip;
    mac_t target_mac;
    ipv4_t target_ip;
}

header ipv4_h {
    bit<4> version;
    bit<4> ihl;
    bit<8> tos;
    bit<16> total_length;
    bit<16> identification;
    bit<3> flags;
    bit<13> fragment_offset;
    bit<8> ttl;
    bit<8> protocol;
    bit<16> checksum;
    ipv4_t src;
    ipv4_t dst;
}

header ipv6_h {
    bit<4> version;
    bit<8> traffic_class;
    bit<20> flow_label;
    bit<16> payload_length;
    bit<8> next_header;
    bit<8> hop_limit;
    ipv6_t src;
    ipv6_t dst;
}

header ipv4_options_h {
    varbit<320> options;
}

// Hop-by-hop, routing, destination or fragment header, whole.
header ipv6_extension_h {
    bit<8> next_header;
    bit<8> length;
    varbit<1072> rest;
}

header tcp_h {
    bit<16> src_port;
    bit<16> dst_port;
    bit<32> sequence;
    bit<32> acknowledgement;
    bit<4> data_offset;
    bit<4> reserved;
    bit<8> flags;
    bit<16> window;
    bit<16> checksum;
    bit<16> urgent;
}

header udp_h {
    bit<16> src_port;
    bit<16> dst_port;
    bit<16> length;
    bit<16> checksum;
}

header icmp_h {
    bit<8> type;
    bit<8> code;
    bit<16> checksum;
}

header icmp_echo_h {
    bit<16> identifier;
    bit<16> sequence;
}

// Neighbour solicitation or advertisement.
header nd_h {
    bit<32> flags;
    ipv6_t target;
}

// A link-layer address, as the only option of a solicitation.
header nd_option_h {
    bit<8> type;
    bit<8> length;
    mac_t mac;
}

header vxlan_h {
    bit<8> flags;
    bit<24> reserved;
    bit<24> vni;
    bit<8> reserved2;
}

struct headers_t {
    packet_in_h packet_in;
    packet_out_h packet_out;
    ethernet_h outer_ethernet;  // underlay, when the frame is in VXLAN
    ipv4_h outer_ipv4;
    udp_h outer_udp;
    vxlan_h vxlan;
    ethernet_h ethernet;
    vlan_h network_tag;         // the network's own tag, on uplinks only
    vlan_h vlan;                // a trusted guest's own tag: carried, not interpreted
    arp_h arp;
    ipv4_h ipv4;
    ipv4_options_h ipv4_options;
    ipv6_h ipv6;
    ipv6_extension_h[4] extension;
    tcp_h tcp;
    udp_h udp;
    icmp_h icmp;                // ICMP and ICMPv6
    icmp_echo_h echo;
    nd_h nd;
    nd_option_h nd_option;
}

#endif
