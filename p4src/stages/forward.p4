// Forward stage: where the frame goes in its network. Records the intent; nothing is sent here.
//
//   in:  next_network, next_mac
//   out: out_port (+ tunnel) | group | drop = UNKNOWN_DESTINATION | SAME_PORT
//
// Group addresses that no entry knows flood their network (group number = network number).
// Unknown unicast is a matter of policy per network and direction: the unknown_table.
// What came by the uplink leaves by it again only if it is routed and of a known connection: its VM
// is on another server, as a virtual service's member may be, or one that moved and keeps its
// connections through a shared address here.
#ifndef STAGES_FORWARD_P4
#define STAGES_FORWARD_P4

control ForwardStage(inout metadata_t meta) {
    @id(0x01000090)
    action forward_to_port(@id(1) port_t port) {
        meta.out_port = port;
    }

    // The VM is on another server: over the underlay to that server's tunnel end point.
    @id(0x01000091)
    action forward_to_tunnel(@id(1) tunnel_t tunnel) {
        meta.out_port = PORT_UPLINK;
        meta.tunnel = tunnel;
    }

    @id(0x01000092)
    action forward_to_group(@id(1) bit<16> group) {
        meta.group = group;
    }

    @id(0x02000090)
    table l2_table {
        key = {
            meta.next_network : exact @id(1) @name("network");
            meta.next_mac : exact @id(2) @name("mac");
        }
        actions = {
            forward_to_port;
            forward_to_tunnel;
            forward_to_group;
            @defaultonly NoAction;
        }
        const default_action = NoAction;
        size = FORWARD_TABLE_SIZE;
    }

    @id(0x01000093)
    action unknown_to_uplink() {
        meta.out_port = PORT_UPLINK;
    }

    @id(0x01000094)
    action unknown_to_group(@id(1) bit<16> group) {
        meta.group = group;
    }

    @id(0x01000095)
    action unknown_drop() {
        meta.drop = DROP_UNKNOWN_DESTINATION;
    }

    @id(0x02000091)
    table unknown_table {
        key = {
            meta.next_network : exact @id(1) @name("network");
            meta.in_role : exact @id(2) @name("from");
        }
        actions = {
            unknown_to_uplink;
            unknown_to_group;
            @defaultonly unknown_drop;
        }
        const default_action = unknown_drop;
        size = NETWORK_TABLE_SIZE;
    }

    apply {
        bool from_uplink = meta.in_role == ROLE_UPLINK;
        bool turns = from_uplink && meta.settled == 1 && meta.routed == 1;
        if (!l2_table.apply().hit) {
            if (meta.group_addressed == 1) {
                meta.group = meta.next_network;
            } else if (turns) {
                meta.out_port = PORT_UPLINK;
            } else {
                unknown_table.apply();
            }
        }
        if (meta.drop == DROP_NONE && meta.group == 0) {
            bool back = from_uplink && meta.out_port == PORT_UPLINK;
            if ((back && !turns) || (!back && meta.out_port == meta.in_port)) {
                meta.drop = DROP_SAME_PORT;
            }
        }
    }
}

#endif
