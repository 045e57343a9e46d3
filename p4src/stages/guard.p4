// Source guard: a VF sends only from its VM's addresses, speaks for no other in ARP and ND, and is no
// router: its advertisements and redirects would turn the neighbours' traffic to it.
//
//   in:  source_guard, source address, target of a neighbour advertisement
//   out: drop = SPOOFED_IP
//
// Skipped for known connections: their key holds the source address and the VF, and it was
// checked when they were made.
#ifndef STAGES_GUARD_P4
#define STAGES_GUARD_P4

control GuardStage(inout headers_t hdr, inout metadata_t meta) {
    @id(0x01000030)
    action spoofed_address() {
        meta.drop = DROP_SPOOFED_IP;
    }

    @id(0x02000030)
    table source_v4_table {
        key = {
            meta.in_port : exact @id(1) @name("port");
            hdr.ipv4.src : exact @id(2) @name("address");
        }
        actions = {
            NoAction;
            @defaultonly spoofed_address;
        }
        const default_action = spoofed_address;
        size = FORWARD_TABLE_SIZE;
    }

    @id(0x02000031)
    table source_arp_table {
        key = {
            meta.in_port : exact @id(1) @name("port");
            hdr.arp.sender_ip : exact @id(2) @name("address");
        }
        actions = {
            NoAction;
            @defaultonly spoofed_address;
        }
        const default_action = spoofed_address;
        size = FORWARD_TABLE_SIZE;
    }

    @id(0x02000032)
    table source_v6_table {
        key = {
            meta.in_port : exact @id(1) @name("port");
            hdr.ipv6.src : exact @id(2) @name("address");
        }
        actions = {
            NoAction;
            @defaultonly spoofed_address;
        }
        const default_action = spoofed_address;
        size = FORWARD_TABLE_SIZE;
    }

    @id(0x02000033)
    table source_nd_table {
        key = {
            meta.in_port : exact @id(1) @name("port");
            hdr.nd.target : exact @id(2) @name("address");
        }
        actions = {
            NoAction;
            @defaultonly spoofed_address;
        }
        const default_action = spoofed_address;
        size = FORWARD_TABLE_SIZE;
    }

    apply {
        if (meta.source_guard == 1) {
            if (hdr.ipv4.isValid()) {
                source_v4_table.apply();
            } else if (hdr.arp.isValid()) {
                if (hdr.arp.sender_mac != hdr.ethernet.src) {
                    meta.drop = DROP_SPOOFED_MAC;
                } else {
                    source_arp_table.apply();
                }
            } else if (hdr.ipv6.isValid()) {
                source_v6_table.apply();
                if (hdr.nd.isValid() && hdr.icmp.type == ICMPV6_ADVERTISEMENT) {
                    source_nd_table.apply();
                } else if (hdr.icmp.isValid() && (hdr.icmp.type == ICMPV6_ROUTER_ADVERTISEMENT
                                                  || hdr.icmp.type == ICMPV6_REDIRECT)) {
                    meta.drop = DROP_SPOOFED_IP;
                }
            }
        }
    }
}

#endif
