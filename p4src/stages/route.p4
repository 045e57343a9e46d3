// Route stage: frames to the router's MAC find their next hop in the tenant's address space.
//
//   in:  routed, tenant, destination address
//   out: next_network, next_mac, router_mac; translate; drop = NO_ROUTE;
//        punt = TTL | ROUTER
//
// Known VMs first (one exact lookup), then prefixes. The forward stage then finds the port.
#ifndef STAGES_ROUTE_P4
#define STAGES_ROUTE_P4

control RouteStage(inout headers_t hdr, inout metadata_t meta) {
    @id(0x01000060)
    action route_to(@id(1) network_t network, @id(2) mac_t mac, @id(3) mac_t router_mac) {
        meta.next_network = network;
        meta.next_mac = mac;
        meta.router_mac = router_mac;
    }

    // Leaves the tenant's address space: the translate stage gives it an outside address.
    @id(0x01000061)
    action route_outside(@id(1) network_t network, @id(2) mac_t mac, @id(3) mac_t router_mac) {
        meta.next_network = network;
        meta.next_mac = mac;
        meta.router_mac = router_mac;
        meta.translate = 1;
    }

    // Pings of gateways, answers to health checks.
    @id(0x01000063)
    action for_router() {
        meta.punt = PUNT_ROUTER;
    }

    @id(0x01000062)
    action no_route() {
        meta.drop = DROP_NO_ROUTE;
    }

    @id(0x02000060)
    table host_v4_table {
        key = {
            meta.tenant : exact @id(1) @name("tenant");
            meta.dst : exact @id(2) @name("address");
        }
        actions = {
            route_to;
            for_router;
            @defaultonly NoAction;
        }
        const default_action = NoAction;
        size = FORWARD_TABLE_SIZE;
    }

    @id(0x02000061)
    table route_v4_table {
        key = {
            meta.tenant : exact @id(1) @name("tenant");
            meta.dst : lpm @id(2) @name("prefix");
        }
        actions = {
            route_to;
            route_outside;
            no_route;
        }
        const default_action = no_route;
        size = FORWARD_TABLE_SIZE;
    }

    @id(0x02000062)
    table host_v6_table {
        key = {
            meta.tenant : exact @id(1) @name("tenant");
            hdr.ipv6.dst : exact @id(2) @name("address");
        }
        actions = {
            route_to;
            for_router;
            @defaultonly NoAction;
        }
        const default_action = NoAction;
        size = FORWARD_TABLE_SIZE;
    }

    @id(0x02000063)
    table route_v6_table {
        key = {
            meta.tenant : exact @id(1) @name("tenant");
            hdr.ipv6.dst : lpm @id(2) @name("prefix");
        }
        actions = {
            route_to;
            no_route;
        }
        const default_action = no_route;
        size = FORWARD_TABLE_SIZE;
    }

    apply {
        if (meta.routed == 1) {
            if (hdr.ipv4.isValid()) {
                if (!host_v4_table.apply().hit) {
                    route_v4_table.apply();
                }
                if (hdr.ipv4.ttl <= 1 && meta.punt == PUNT_NONE) {
                    meta.punt = PUNT_TTL;
                }
            } else if (hdr.ipv6.isValid()) {
                if (!host_v6_table.apply().hit) {
                    route_v6_table.apply();
                }
                if (hdr.ipv6.hop_limit <= 1 && meta.punt == PUNT_NONE) {
                    meta.punt = PUNT_TTL;
                }
            } else {
                meta.drop = DROP_NO_ROUTE;
            }
        }
    }
}

#endif
