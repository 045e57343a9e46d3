// What one stage hands to the next. Stages record intent here; the verdict stage acts on it.
#ifndef METADATA_P4
#define METADATA_P4

#include "headers.p4"

// Kept by a mirrored copy.
#define FIELDS_OF_COPY 1

const role_t ROLE_PF = 2;

typedef bit<2> mode_t;
const mode_t MODE_VEB = 0;      // the NIC switches between VFs
const mode_t MODE_VEPA = 1;     // everything goes to the ToR, which may send it back
const mode_t MODE_PRIVATE = 2;  // VFs do not see each other

struct metadata_t {
    // Where the packet came from (port, network and admission stages).
    @field_list(FIELDS_OF_COPY)
    port_t in_port;             // also when the host resumed it
    @field_list(FIELDS_OF_COPY)
    bit<16> mirror;             // clone session for what the sender sends; 0 = none
    role_t in_role;
    network_t network;          // in which it was sent
    tenant_t tenant;
    bit<32> frame_length;       // bytes of the VM's frame alone
    bit<1> group_addressed;     // broadcast or multicast
    bit<1> resumed;             // came from the host
    bit<1> approved;            // the host has judged it
    bit<1> trusted;
    bit<1> spoof_check;
    bit<1> source_guard;
    bit<1> mac_mismatch;
    bit<16> router;             // low bits of the router MAC that outsiders may use
    bit<1> tracked;             // someone in this tenant has connections here
    bit<1> stateful;            // the sender's rules are stateful
    bit<3> priority;            // VLAN priority of the VF (`vf set VM qos`)
    mode_t mode;                // how VFs see each other
    bit<2> color;               // of the VF's rate meter
    policy_t policy;            // rules of the sending VM
    bit<1> rules_mirror;        // one of them mirrors what it allows

    // What it is.
    bit<8> upper_protocol;      // IPv6: what follows the extension headers
    bit<1> later_fragment;      // IPv6: has no ports
    bit<1> l4_known;            // ports below are those of a connection
    bit<1> icmp_error;
    bit<1> neighbor;            // neighbour discovery: no matter for rules
    bit<16> l4_src;             // ICMP echo: its identifier, as source and as destination
    bit<16> l4_dst;
    ipv4_t src;                 // IPv4 addresses, translated ones once they are known
    ipv4_t dst;

    // What becomes of it.
    reason_t drop;              // DROP_*: goes nowhere
    port_t drop_port;           // whose drop it is
    reason_t punt;              // PUNT_*: goes to the host
    port_t out_port;
    bit<16> group;              // multicast group; 0 = one destination
    tunnel_t tunnel;
    bit<1> known_connection;    // hit: rules and translations are cached
    bit<1> settled;             // by a connection or by the host: rules decide nothing
    bit<1> answered;            // turned into an answer to the sender
    bit<1> routed;              // addressed to the router
    bit<1> translate;           // leaves for outside: needs an outside address
    bit<1> held;                // for a VM that is frozen
    network_t next_network;     // in which it is delivered
    mac_t next_mac;
    mac_t router_mac;           // source MAC of a routed frame
    bit<1> nd_answer;
    bit<1> in_stateful;         // the receiver's rules are stateful
    policy_t in_policy;         // rules of the receiving VM
    bit<1> in_rules_mirror;
    bit<16> in_mirror;          // clone session for what the receiver gets
    bit<3> flow_bucket;         // which uplink of a bond
    bit<16> entropy;            // of the flow, for the underlay's own balancing
    bit<16> ip_delta;           // what a translation adds to the checksums (RFC 1624)
    bit<16> l4_delta;
}

#endif
