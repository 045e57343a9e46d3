// Port stage: what the port is that the packet came from, and for a VF how it is set.
//
//   in:  in_port
//   out: in_role, network and tenant (of untagged frames), VF settings, rate colour
//
// A miss is a port nobody has assigned: an unused VF is dead. One lookup gives everything that
// later stages want to know of the sender, so that none of them asks again.
#ifndef STAGES_PORT_P4
#define STAGES_PORT_P4

control PortStage(inout headers_t hdr, inout metadata_t meta) {
    @id(0x15000001)
    direct_meter<bit<2>>(MeterType.bytes) rate_meter;

    // Index: port (7 bits), class (2 bits: 0 unicast, 1 multicast, 2 broadcast).
    @id(0x12000001)
    counter(TRAFFIC_COUNTER_SIZE, CounterType.packets_and_bytes) from_port_counter;

    // `ip link set PF vf N mac, vlan+qos, spoofchk, trust`: the VF as the operator set it.
    @id(0x01000001)
    action admit_vf(@id(1) mac_t mac, @id(2) network_t network, @id(3) tenant_t tenant,
                    @id(4) policy_t policy, @id(5) bit<1> stateful, @id(6) bit<1> tracked,
                    @id(7) bit<1> spoof_check, @id(8) bit<1> source_guard, @id(9) bit<1> trusted,
                    @id(10) mode_t mode, @id(11) bit<3> priority, @id(12) bit<16> mirror,
                    @id(13) bit<1> rules_mirror) {
        meta.in_role = ROLE_VF;
        meta.mac_mismatch = hdr.ethernet.src == mac ? 1w0 : 1w1;
        meta.network = network;
        meta.tenant = tenant;
        meta.policy = policy;
        meta.stateful = stateful;
        meta.tracked = tracked;
        meta.spoof_check = spoof_check;
        meta.source_guard = source_guard;
        meta.trusted = trusted;
        meta.mode = mode;
        meta.priority = priority;
        meta.mirror = mirror;
        meta.rules_mirror = rules_mirror;
        rate_meter.read(meta.color);
    }

    // `router`: the low bits of this NIC's own router MAC. A VF's frames to any router MAC are for
    // this NIC; from outside, only those to its own.
    @id(0x01000002)
    action admit_pf(@id(1) network_t network, @id(2) tenant_t tenant, @id(3) bit<1> tracked,
                    @id(4) bit<16> router, @id(5) mode_t mode) {
        meta.router = router;
        meta.mode = mode;
        meta.in_role = ROLE_PF;
        meta.network = network;
        meta.tenant = tenant;
        meta.tracked = tracked;
        rate_meter.read(meta.color);
    }

    // `network` is that of untagged frames; 0 refuses them. The backup of a bond admits nothing.
    @id(0x01000003)
    action admit_uplink(@id(1) network_t network, @id(2) tenant_t tenant,
                        @id(3) bit<1> tracked, @id(4) bit<16> router) {
        meta.router = router;
        meta.in_role = ROLE_UPLINK;
        meta.network = network;
        meta.tenant = tenant;
        meta.tracked = tracked;
        rate_meter.read(meta.color);
    }

    @id(0x01000004)
    action port_down() {
        meta.drop = DROP_PORT_DOWN;
    }

    @id(0x02000001)
    table port_table {
        key = {
            meta.in_port : exact @id(1) @name("port");
        }
        actions = {
            admit_vf;
            admit_pf;
            admit_uplink;
            @defaultonly port_down;
        }
        const default_action = port_down;
        meters = rate_meter;
        size = PORT_TABLE_SIZE;
    }

    apply {
        meta.drop_port = meta.in_port;
        bit<2> class = 0;
        if (hdr.ethernet.dst[40:40] == 1) {
            class = hdr.ethernet.dst == 0xffffffffffff ? 2w2 : 2w1;
            meta.group_addressed = 1;
        }
        port_table.apply();
        if (meta.resumed == 0) {
            from_port_counter.count((bit<32>)(meta.in_port[6:0] ++ class));
        }
    }
}

#endif
