// Deliver stage: the state of the VF that the frame is for.
//
//   in:  out_port of a VF
//   out: in_policy, in_stateful, in_mirror | out_port + tunnel (VM has moved) | held |
//        drop = VF_DOWN | ISOLATED
//
// A VM that moves changes this one entry: deliver -> hold (frozen) -> redirect (at its new
// server). A VF without an entry receives nothing.
#ifndef STAGES_DELIVER_P4
#define STAGES_DELIVER_P4

control DeliverStage(inout metadata_t meta) {
    // Tells when nothing arrives any more for a VM that has moved away.
    @id(0x13000005)
    direct_counter(CounterType.packets_and_bytes) destination_counter;

    @id(0x010000a0)
    action deliver(@id(1) policy_t policy, @id(2) bit<1> stateful, @id(3) bit<16> mirror,
                   @id(4) bit<1> rules_mirror) {
        meta.in_policy = policy;
        meta.in_rules_mirror = rules_mirror;
        meta.in_stateful = stateful;
        meta.in_mirror = mirror;
        destination_counter.count();
    }

    // The rules still judge: a held frame is delivered later without being looked at again.
    @id(0x010000a1)
    action hold_for_migration(@id(1) policy_t policy, @id(2) bit<1> stateful) {
        meta.in_policy = policy;
        meta.in_stateful = stateful;
        meta.held = 1;
        destination_counter.count();
    }

    @id(0x010000a2)
    action redirect_moved(@id(1) tunnel_t tunnel) {
        meta.out_port = PORT_UPLINK;
        meta.tunnel = tunnel;
        destination_counter.count();
    }

    @id(0x010000a3)
    action vf_down() {
        meta.drop = DROP_VF_DOWN;
        meta.drop_port = meta.out_port;
        destination_counter.count();
    }

    @id(0x020000a0)
    table destination_table {
        key = {
            meta.out_port : exact @id(1) @name("port");
        }
        actions = {
            deliver;
            hold_for_migration;
            redirect_moved;
            @defaultonly vf_down;
        }
        const default_action = vf_down;
        counters = destination_counter;
        size = PORT_TABLE_SIZE;
    }

    apply {
        if (meta.mode == MODE_VEPA) {
            meta.out_port = PORT_UPLINK;
        } else if (meta.out_port >= PORT_VF0) {
            if (meta.mode == MODE_PRIVATE) {
                meta.drop = DROP_ISOLATED;
            } else {
                destination_table.apply();
            }
        }
    }
}

#endif
