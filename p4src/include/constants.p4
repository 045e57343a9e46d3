// Numbers of the hybrid NIC: identifiers, protocols, address prefixes.
#ifndef CONSTANTS_P4
#define CONSTANTS_P4

#include "nic.p4"

typedef bit<32> ipv4_t;
typedef bit<128> ipv6_t;
typedef bit<16> tenant_t;   // address space: networks of a tenant route to each other
typedef bit<16> policy_t;   // one version of one rule set; 0 = no rules, everything passes
typedef bit<16> tunnel_t;   // a server to which frames go by VXLAN; 0 = none

const port_t PORT_UPLINK2 = 2;
const port_t PORT_VF0 = 16;

const bit<16> ETHERTYPE_IPV4 = 0x0800;
const bit<16> ETHERTYPE_ARP = 0x0806;
const bit<16> ETHERTYPE_IPV6 = 0x86dd;

const bit<8> PROTOCOL_ICMP = 1;
const bit<8> PROTOCOL_TCP = 6;
const bit<8> PROTOCOL_UDP = 17;
const bit<8> PROTOCOL_ICMPV6 = 58;

// IPv6 extension headers that may stand before the upper protocol.
const bit<8> EXTENSION_HOP_BY_HOP = 0;
const bit<8> EXTENSION_ROUTING = 43;
const bit<8> EXTENSION_FRAGMENT = 44;
const bit<8> EXTENSION_DESTINATION = 60;
const bit<8> EXTENSION_LONGEST = 16;  // in units of 8 bytes beyond the first

const bit<8> ICMP_ECHO_REPLY = 0;
const bit<8> ICMP_UNREACHABLE = 3;
const bit<8> ICMP_ECHO = 8;
const bit<8> ICMP_TIME_EXCEEDED = 11;
const bit<8> ICMP_PARAMETER = 12;
const bit<8> ICMPV6_PARAMETER = 4;  // the last of the errors, 1 to 4
const bit<8> ICMPV6_ECHO = 128;
const bit<8> ICMPV6_ECHO_REPLY = 129;
const bit<8> ICMPV6_ROUTER_SOLICITATION = 133;
const bit<8> ICMPV6_ROUTER_ADVERTISEMENT = 134;
const bit<8> ICMPV6_SOLICITATION = 135;
const bit<8> ICMPV6_ADVERTISEMENT = 136;
const bit<8> ICMPV6_REDIRECT = 137;

const bit<8> TCP_FIN = 0x01;
const bit<8> TCP_RST = 0x04;

const bit<16> ARP_REQUEST = 1;
const bit<16> ARP_REPLY = 2;

const bit<16> UDP_PORT_VXLAN = 4789;
// Tunnel end points have MAC addresses 06:4e:49:43:xx:xx, so that the parser tells underlay
// frames from a guest's own VXLAN by the destination alone.
const bit<32> VTEP_MAC_PREFIX = 0x064e4943;

// 01:80:c2:00:00:0x: frames of the link itself, which no bridge forwards (IEEE 802.1Q, 8.6.3).
const bit<44> LINK_MAC_PREFIX = 0x0180c200000;

// Frames to 06:4e:49:52:xx:xx are for the router in the NIC.
const bit<32> ROUTER_MAC_PREFIX = 0x064e4952;

#endif
