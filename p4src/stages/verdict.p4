// Verdict stage: acts on what the stages before it recorded, and counts every drop under the
// port whose traffic it was and its reason.
#ifndef STAGES_VERDICT_P4
#define STAGES_VERDICT_P4

control VerdictStage(inout metadata_t meta, inout standard_metadata_t std) {
    // Index: port (7 bits), reason (6 bits).
    @id(0x12000002)
    counter(DROP_COUNTER_SIZE, CounterType.packets_and_bytes) drop_counter;

    apply {
        if (meta.drop != DROP_NONE) {
            drop_counter.count((bit<32>)(meta.drop_port[6:0] ++ meta.drop[5:0]));
            mark_to_drop(std);
        } else if (meta.punt != PUNT_NONE) {
            std.egress_spec = PORT_CPU;
        } else if (meta.group != 0) {
            std.mcast_grp = meta.group;
        } else {
            std.egress_spec = meta.out_port;
        }
    }
}

#endif
