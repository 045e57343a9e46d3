// Neighbour stage: answers ARP and ND for addresses that the controller knows.
//
//   in:  ARP request or neighbour solicitation
//   out: the answer, out_port = in_port, answered
//
// A miss goes on as any other frame: flooded in its network. Announcements (sender = target) and
// IPv6's duplicate address detection are never answered, nor is the owner of an address who asks
// whether another one has it.
#ifndef STAGES_NEIGHBOR_P4
#define STAGES_NEIGHBOR_P4

control NeighborStage(inout headers_t hdr, inout metadata_t meta) {
    mac_t owner = 0;

    @id(0x01000020)
    action answer_arp(@id(1) mac_t mac) {
        owner = mac;
    }

    @id(0x02000020)
    table arp_table {
        key = {
            meta.network : exact @id(1) @name("network");
            meta.in_role : exact @id(2) @name("from");
            hdr.arp.target_ip : exact @id(3) @name("address");
        }
        actions = {
            answer_arp;
            @defaultonly NoAction;
        }
        const default_action = NoAction;
        size = FORWARD_TABLE_SIZE;
    }

    // `flags`: solicited and override, and router where the address is a gateway.
    @id(0x01000021)
    action answer_nd(@id(1) mac_t mac, @id(2) bit<32> flags) {
        hdr.ethernet.dst = hdr.ethernet.src;
        hdr.ethernet.src = mac;
        hdr.ipv6.dst = hdr.ipv6.src;
        hdr.ipv6.src = hdr.nd.target;
        hdr.ipv6.hop_limit = 255;
        hdr.icmp.type = ICMPV6_ADVERTISEMENT;
        hdr.icmp.code = 0;
        hdr.nd.flags = flags;
        hdr.nd_option.type = 2;
        hdr.nd_option.mac = mac;
        meta.nd_answer = 1;
        meta.out_port = meta.in_port;
        meta.answered = 1;
    }

    @id(0x02000021)
    table nd_table {
        key = {
            meta.network : exact @id(1) @name("network");
            meta.in_role : exact @id(2) @name("from");
            hdr.nd.target : exact @id(3) @name("address");
        }
        actions = {
            answer_nd;
            @defaultonly NoAction;
        }
        const default_action = NoAction;
        size = FORWARD_TABLE_SIZE;
    }

    apply {
        if (hdr.arp.isValid()) {
            if (hdr.arp.operation == ARP_REQUEST && hdr.arp.sender_ip != hdr.arp.target_ip
                && arp_table.apply().hit && owner != hdr.arp.sender_mac) {
                hdr.ethernet.dst = hdr.ethernet.src;
                hdr.ethernet.src = owner;
                ipv4_t asked = hdr.arp.target_ip;
                hdr.arp.operation = ARP_REPLY;
                hdr.arp.target_mac = hdr.arp.sender_mac;
                hdr.arp.target_ip = hdr.arp.sender_ip;
                hdr.arp.sender_mac = owner;
                hdr.arp.sender_ip = asked;
                meta.out_port = meta.in_port;
                meta.answered = 1;
            }
        } else if (hdr.nd_option.isValid() && hdr.ipv6.src != 0) {
            nd_table.apply();
        }
    }
}

#endif
