// Port numbers, protocol numbers and table sizes: everything that is a number and has a name.
#ifndef CONSTANTS_P4
#define CONSTANTS_P4

typedef bit<9> port_t;
typedef bit<48> mac_t;
typedef bit<32> ipv4_t;
typedef bit<128> ipv6_t;
typedef bit<16> network_t;  // broadcast domain: one VLAN or one VNI; also its flood group
typedef bit<16> tenant_t;   // address space: networks of a tenant route to each other
typedef bit<16> policy_t;   // one version of one rule set; 0 = no rules, everything passes
typedef bit<16> tunnel_t;   // a server to which frames go by VXLAN; 0 = none
typedef bit<8> reason_t;

// Ports: 1 uplink (2 second uplink), 8 PF, 16 + n VF n, 510 host CPU.
const port_t PORT_UPLINK = 1;
const port_t PORT_UPLINK2 = 2;
const port_t PORT_VF0 = 16;
const port_t PORT_CPU = 510;
const port_t PORT_DROP = 511;

const bit<16> ETHERTYPE_IPV4 = 0x0800;
const bit<16> ETHERTYPE_ARP = 0x0806;
const bit<16> ETHERTYPE_VLAN = 0x8100;
const bit<16> ETHERTYPE_IPV6 = 0x86dd;
const bit<16> ETHERTYPE_QINQ = 0x88a8;

const bit<8> PROTOCOL_ICMP = 1;
const bit<8> PROTOCOL_TCP = 6;
const bit<8> PROTOCOL_UDP = 17;
const bit<8> PROTOCOL_ICMPV6 = 58;

const bit<8> ICMP_ECHO_REPLY = 0;
const bit<8> ICMP_UNREACHABLE = 3;
const bit<8> ICMP_ECHO = 8;
const bit<8> ICMP_TIME_EXCEEDED = 11;
const bit<8> ICMP_PARAMETER = 12;
const bit<8> ICMPV6_PARAMETER = 4;  // the last of the errors, 1 to 4
const bit<8> ICMPV6_ECHO = 128;
const bit<8> ICMPV6_ECHO_REPLY = 129;
const bit<8> ICMPV6_ROUTER_SOLICITATION = 133;
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

// Frames to 06:4e:49:52:xx:xx are for the router in the NIC.
const bit<32> ROUTER_MAC_PREFIX = 0x064e4952;

// Table sizes. SMALL_NIC models a card with little memory.
#ifdef SMALL_NIC
#define RULE_TABLE_SIZE 2048
#define CONNECTION_TABLE_SIZE 65536
#define CONNECTION_V6_TABLE_SIZE 16384
#define FORWARD_TABLE_SIZE 4096
#else
#define RULE_TABLE_SIZE 16384
#define CONNECTION_TABLE_SIZE 262144
#define CONNECTION_V6_TABLE_SIZE 65536
#define FORWARD_TABLE_SIZE 16384
#endif
#define PORT_TABLE_SIZE 128
#define NETWORK_TABLE_SIZE 4096
#define TUNNEL_TABLE_SIZE 4096
#define SERVICE_TABLE_SIZE 4096
#define MIRROR_TABLE_SIZE 256
#define UPLINK_TABLE_SIZE 8

// Counters are indexed by port (< 128), so that a VF, the PF and an uplink read alike.
#define PORT_METER_SIZE 128
#define TRAFFIC_COUNTER_SIZE 512
#define DROP_COUNTER_SIZE 8192

#endif
