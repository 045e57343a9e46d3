// Balance stage: new connections to a virtual service (VIP and port) go to the host, which
// chooses the member and installs the pair; the connection stage then rewrites every packet.
//
//   in:  tenant, destination, protocol, port of an unknown connection
//   out: punt = BALANCE
#ifndef STAGES_BALANCE_P4
#define STAGES_BALANCE_P4

control BalanceStage(inout headers_t hdr, inout metadata_t meta) {
    @id(0x01000050)
    action choose_member() {
        meta.punt = PUNT_BALANCE;
    }

    @id(0x02000050)
    table service_table {
        key = {
            meta.tenant : exact @id(1) @name("tenant");
            meta.dst : exact @id(2) @name("address");
            hdr.ipv4.protocol : exact @id(3) @name("protocol");
            meta.l4_dst : exact @id(4) @name("port");
        }
        actions = {
            choose_member;
            @defaultonly NoAction;
        }
        const default_action = NoAction;
        size = SERVICE_TABLE_SIZE;
    }

    apply {
        if (meta.tracked == 1 && meta.l4_known == 1 && hdr.ipv4.isValid()) {
            service_table.apply();
        }
    }
}

#endif
