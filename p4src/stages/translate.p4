// Translate stages: the outside addresses of a tenant's VMs.
//
//   inside  (before connections): outside address of a VM -> its own address and tenant
//   outside (once the way is known): a VM's own address -> its outside address
//
// A miss inside: not an address of ours. A miss outside: the connection needs a source port,
// which the host chooses (punt = NAT).
#ifndef STAGES_TRANSLATE_P4
#define STAGES_TRANSLATE_P4

control InsideStage(inout headers_t hdr, inout metadata_t meta) {
    @id(0x01000070)
    action to_inside(@id(1) ipv4_t address, @id(2) tenant_t tenant, @id(3) bit<1> tracked,
                     @id(4) bit<16> delta) {
        meta.dst = address;
        meta.tenant = tenant;
        meta.tracked = tracked;
        meta.ip_delta = delta;
        meta.l4_delta = delta;
    }

    @id(0x02000070)
    table floating_in_table {
        key = {
            meta.network : exact @id(1) @name("network");
            meta.dst : exact @id(2) @name("address");
        }
        actions = {
            to_inside;
            @defaultonly NoAction;
        }
        const default_action = NoAction;
        size = FORWARD_TABLE_SIZE;
    }

    apply {
        if (meta.in_role != ROLE_VF && meta.routed == 1 && hdr.ipv4.isValid()) {
            floating_in_table.apply();
        }
    }
}

control OutsideStage(inout headers_t hdr, inout metadata_t meta) {
    @id(0x01000071)
    action to_outside(@id(1) ipv4_t address, @id(2) bit<16> delta) {
        meta.src = address;
        meta.ip_delta = delta;
        meta.l4_delta = delta;
    }

    @id(0x01000072)
    action choose_port() {
        meta.punt = PUNT_NAT;
    }

    @id(0x02000071)
    table floating_out_table {
        key = {
            meta.tenant : exact @id(1) @name("tenant");
            meta.src : exact @id(2) @name("address");
        }
        actions = {
            to_outside;
            @defaultonly choose_port;
        }
        const default_action = choose_port;
        size = FORWARD_TABLE_SIZE;
    }

    apply {
        if (meta.translate == 1 && meta.ip_delta == 0 && meta.approved == 0) {
            if (meta.icmp_error == 1) {
                meta.punt = PUNT_RELATED;
            } else {
                floating_out_table.apply();
            }
        }
    }
}

#endif
