// Why a packet was dropped or sent to the host. Append only: the controller and the operator's
// reports know these numbers (control/policy/reasons.py; a test compares the two).
#ifndef REASONS_P4
#define REASONS_P4

const reason_t DROP_NONE = 0;
const reason_t DROP_PORT_DOWN = 1;            // port not assigned, or its link state is down
const reason_t DROP_UNKNOWN_NETWORK = 2;      // VLAN or VNI that this NIC does not carry
const reason_t DROP_GUEST_TAG = 3;            // untrusted guest sent its own VLAN tag
const reason_t DROP_SPOOFED_MAC = 4;          // source MAC is not the VF's
const reason_t DROP_SPOOFED_IP = 5;           // source address is not the VM's
const reason_t DROP_RATE = 6;                 // VF above max_tx_rate
const reason_t DROP_STORM = 7;                // broadcast and multicast above the storm limit
const reason_t DROP_POLICY_OUT = 8;           // security groups of the sending VM
const reason_t DROP_POLICY_IN = 9;            // security groups of the receiving VM
const reason_t DROP_UNKNOWN_DESTINATION = 10; // no such MAC or address in the network
const reason_t DROP_VF_DOWN = 11;             // destination VF is not in use, or its link is down
const reason_t DROP_ISOLATED = 12;            // VF to VF on a private NIC
const reason_t DROP_SAME_PORT = 13;           // would go back to where it came from
const reason_t DROP_MALFORMED = 14;           // headers cut short or contradictory
const reason_t DROP_NO_ROUTE = 15;            // routed, and the tenant has no route there
const reason_t DROP_CONNECTION_RATE = 16;     // more new connections per second than the quota
const reason_t DROP_FRAGMENT = 17;            // later fragment, and the rules ask for ports
const reason_t DROP_LINK_CONTROL = 18;        // LLDP, STP, pause from a guest that is not trusted

const reason_t PUNT_NONE = 0;
const reason_t PUNT_HELD = 1;                 // for a VM that is frozen: the host holds it
const reason_t PUNT_NEW_CONNECTION = 2;       // allowed by the rules; the host installs the pair
const reason_t PUNT_BALANCE = 3;              // new connection to a virtual service
const reason_t PUNT_NAT = 4;                  // new connection that needs a source port
const reason_t PUNT_RELATED = 5;              // ICMP error, perhaps about a known connection
const reason_t PUNT_TTL = 6;                  // TTL ended at the NIC's router
const reason_t PUNT_OVERFLOW = 8;             // denied, but the host has connections beyond the table
const reason_t PUNT_ROUTER = 7;               // for the router itself: a gateway or service address

#endif
