// Ports, roles and sizes that both NIC programs share: one lab programs either.
#ifndef NIC_P4
#define NIC_P4

typedef bit<9> port_t;
typedef bit<48> mac_t;
typedef bit<16> network_t;  // broadcast domain: one VLAN or one VNI; also its flood group
typedef bit<8> reason_t;

// Ports: 1 uplink (2 second uplink), 8 PF, 16 + n VF n, 510 host CPU.
const port_t PORT_UPLINK = 1;
const port_t PORT_CPU = 510;
const port_t PORT_DROP = 511;

typedef bit<2> role_t;
const role_t ROLE_UPLINK = 1;
const role_t ROLE_VF = 3;

const bit<16> ETHERTYPE_VLAN = 0x8100;
const bit<16> ETHERTYPE_QINQ = 0x88a8;

// Of a meter.
const bit<2> COLOR_RED = 2;

// Of standard_metadata.instance_type.
const bit<32> INSTANCE_REPLICA = 5;

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
