// Deliver stage: the state of the VF that the frame is for.
//
//   in:  out_port of a VF
//   out: in_policy | out_port + tunnel (VM has moved) | punt = HELD | drop = VF_DOWN | ISOLATED
//
// A VM that moves changes this one entry: deliver -> hold (frozen) -> redirect (at its new
// server). A VF without an entry receives nothing; a VF being prepared for an arriving VM holds.
#ifndef STAGES_DELIVER_P4
#define STAGES_DELIVER_P4

control DeliverStage(inout headers_t hdr, inout metadata_t meta) {
    @id(0x01000040)
    action deliver(@id(1) policy_t policy) {
        meta.in_policy = policy;
    }

    @id(0x01000041)
    action hold_for_migration() {
        meta.punt = PUNT_HELD;
    }

    @id(0x01000042)
    action redirect_moved(@id(1) tunnel_t tunnel) {
        meta.out_port = PORT_UPLINK;
        meta.tunnel = tunnel;
    }

    @id(0x01000043)
    action vf_down() {
        meta.drop = DROP_VF_DOWN;
        meta.drop_port = meta.out_port;
    }

    @id(0x02000040)
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
        size = PORT_TABLE_SIZE;
    }

    apply {
        if (meta.out_port >= PORT_VF0) {
            if (meta.in_role == ROLE_VF && meta.mode == MODE_PRIVATE) {
                meta.drop = DROP_ISOLATED;
            } else if (meta.in_role == ROLE_VF && meta.mode == MODE_VEPA) {
                meta.out_port = PORT_UPLINK;
            } else {
                destination_table.apply();
            }
        }
    }
}

#endif
