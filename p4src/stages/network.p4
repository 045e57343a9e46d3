// Network stage: takes the VXLAN header or the network's VLAN tag off a frame from the uplink
// and tells which network and tenant it belongs to.
//
//   in:  outer headers or network_tag; of a resumed packet the network it was in
//   out: network, tenant, routed, frame_length; the VM's frame alone in the headers
//
// A miss is a VLAN or VNI that no VM here uses: dropped, and counted as such. Tunnel ends are for no
// guest: what it sent to one in VXLAN would be unpacked there, in whatever network it named.
#ifndef STAGES_NETWORK_P4
#define STAGES_NETWORK_P4

control NetworkStage(inout headers_t hdr, inout metadata_t meta, in standard_metadata_t std) {
    @id(0x01000010)
    action set_network(@id(1) network_t network, @id(2) tenant_t tenant, @id(3) bit<1> tracked) {
        meta.network = network;
        meta.tenant = tenant;
        meta.tracked = tracked;
    }

    @id(0x01000011)
    action unknown_network() {
        meta.drop = DROP_UNKNOWN_NETWORK;
    }

    @id(0x02000010)
    table vlan_table {
        key = {
            hdr.ethernet.ether_type : exact @id(1) @name("tag_protocol");
            hdr.network_tag.vid : exact @id(2) @name("vlan");
        }
        actions = {
            set_network;
            @defaultonly unknown_network;
        }
        const default_action = unknown_network;
        size = NETWORK_TABLE_SIZE;
    }

    @id(0x02000011)
    table vni_table {
        key = {
            hdr.outer_ipv4.dst : exact @id(1) @name("tunnel_end");
            hdr.vxlan.vni : exact @id(2) @name("vni");
        }
        actions = {
            set_network;
            @defaultonly unknown_network;
        }
        const default_action = unknown_network;
        size = NETWORK_TABLE_SIZE;
    }

    // Only a packet that the host resumes at an uplink comes without its tag or tunnel.
    @id(0x02000012)
    table resume_table {
        key = {
            hdr.packet_out.network : exact @id(1) @name("network");
        }
        actions = {
            set_network;
            @defaultonly unknown_network;
        }
        const default_action = unknown_network;
        size = NETWORK_TABLE_SIZE;
    }

    apply {
        meta.frame_length = std.packet_length;
        if (meta.resumed == 1) {
            meta.frame_length = std.packet_length - PACKET_OUT_BYTES;
            resume_table.apply();
        } else if (meta.in_role == ROLE_UPLINK) {
            if (hdr.vxlan.isValid()) {
                vni_table.apply();
                hdr.outer_ethernet.setInvalid();
                hdr.outer_ipv4.setInvalid();
                hdr.outer_udp.setInvalid();
                hdr.vxlan.setInvalid();
                meta.frame_length = std.packet_length - 50;
            } else if (hdr.network_tag.isValid()) {
                vlan_table.apply();
                hdr.ethernet.ether_type = hdr.network_tag.ether_type;
                hdr.network_tag.setInvalid();
                meta.frame_length = std.packet_length - 4;
            } else if (meta.network == 0 || hdr.outer_ethernet.isValid()) {
                meta.drop = DROP_UNKNOWN_NETWORK;
            }
        }
        meta.next_network = meta.network;
        meta.next_mac = hdr.ethernet.dst;
        if (hdr.ethernet.dst[47:16] == ROUTER_MAC_PREFIX
            && (meta.in_role == ROLE_VF || hdr.ethernet.dst[15:0] == meta.router)) {
            meta.routed = 1;
        } else if (hdr.ethernet.dst[47:16] == VTEP_MAC_PREFIX && meta.in_role == ROLE_VF) {
            meta.drop = DROP_UNKNOWN_DESTINATION;
        }
    }
}

#endif
