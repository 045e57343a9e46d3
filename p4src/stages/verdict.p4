// Verdict stage: acts on what the stages before it recorded, and counts every drop under the
// port whose traffic it was and its reason.
//
//   new connections: to the host within the VF's quota
//   mirror:          a copy of what the sender sent, as it arrived
//   uplink:          the port of the bond that carries this flow
#ifndef STAGES_VERDICT_P4
#define STAGES_VERDICT_P4

control VerdictStage(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    // Index: port (7 bits), reason (6 bits).
    @id(0x12000002)
    counter(DROP_COUNTER_SIZE, CounterType.packets_and_bytes) drop_counter;

    // Per VF: what may go to the host to be decided there, in packets.
    @id(0x14000003)
    meter(PORT_METER_SIZE, MeterType.packets) slow_path_meter;

    @id(0x010000b0)
    action use_uplink(@id(1) port_t port) {
        meta.out_port = port;
    }

    // Active-backup: every bucket names the active port. Hash: buckets are shared out.
    @id(0x020000b0)
    table uplink_table {
        key = {
            meta.flow_bucket : exact @id(1) @name("bucket");
        }
        actions = {
            use_uplink;
            @defaultonly NoAction;
        }
        const default_action = NoAction;
        size = UPLINK_TABLE_SIZE;
    }

    apply {
        if (meta.punt > PUNT_HELD && meta.drop == DROP_NONE) {
            bit<2> color;
            bit<7> payer = meta.in_role == ROLE_VF ? meta.in_port[6:0] : meta.out_port[6:0];
            slow_path_meter.execute_meter((bit<32>)payer, color);
            if (color == COLOR_RED) {
                meta.drop = DROP_CONNECTION_RATE;
            }
        }
        if (meta.drop != DROP_NONE) {
            drop_counter.count((bit<32>)(meta.drop_port[6:0] ++ meta.drop[5:0]));
            mark_to_drop(std);
        } else if (meta.punt != PUNT_NONE) {
            std.egress_spec = PORT_CPU;
        } else {
            if (meta.mirror != 0) {
                clone_preserving_field_list(
                    CloneType.I2E, (bit<32>)meta.mirror, FIELDS_OF_COPY);
            }
            if (meta.group != 0) {
                std.mcast_grp = meta.group;
            } else {
                if (meta.out_port == PORT_UPLINK) {
                    if (hdr.ipv4.isValid()) {
                        bit<16> fold = hdr.ipv4.src[15:0] ^ hdr.ipv4.dst[15:0]
                                       ^ meta.l4_src ^ meta.l4_dst;
                        meta.flow_bucket = fold[2:0] ^ fold[10:8];
                        meta.entropy = fold;
                    } else {
                        bit<16> fold = hdr.ethernet.src[15:0] ^ hdr.ethernet.dst[15:0]
                                       ^ meta.l4_src ^ meta.l4_dst;
                        meta.flow_bucket = fold[2:0] ^ fold[10:8];
                        meta.entropy = fold;
                    }
                    uplink_table.apply();
                }
                std.egress_spec = meta.out_port;
            }
        }
    }
}

#endif
