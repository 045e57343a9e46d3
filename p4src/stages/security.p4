// Security stages: the rules of the sending VM, then those of the receiving VM.
//
//   in:  policy (0: no rules), 5-tuple
//   out: drop = POLICY_OUT | POLICY_IN
//
// The policy number is one version of one rule set. A new version is installed beside the old
// one and the VF is switched to it by one entry, so that no packet meets a mixture. Whatever no
// rule allows is denied. Only IP is judged: ARP has the source guard.
#ifndef STAGES_SECURITY_P4
#define STAGES_SECURITY_P4

control SecurityOutStage(inout headers_t hdr, inout metadata_t meta) {
    @id(0x13000001)
    direct_counter(CounterType.packets) rules_out_v4_counter;

    @id(0x01000020)
    action allow_out_v4() {
        rules_out_v4_counter.count();
    }

    @id(0x01000021)
    action deny_out_v4() {
        rules_out_v4_counter.count();
        meta.drop = DROP_POLICY_OUT;
    }

    @id(0x02000020)
    table rules_out_v4_table {
        key = {
            meta.policy : ternary @id(1) @name("policy");
            hdr.ipv4.src : ternary @id(2) @name("src");
            hdr.ipv4.dst : ternary @id(3) @name("dst");
            hdr.ipv4.protocol : ternary @id(4) @name("protocol");
            meta.l4_src : range @id(5) @name("src_port");
            meta.l4_dst : range @id(6) @name("dst_port");
        }
        actions = {
            allow_out_v4;
            deny_out_v4;
        }
        const default_action = deny_out_v4;
        counters = rules_out_v4_counter;
        size = RULE_TABLE_SIZE;
    }

    apply {
        if (meta.policy != 0 && hdr.ipv4.isValid()) {
            rules_out_v4_table.apply();
        }
    }
}

control SecurityInStage(inout headers_t hdr, inout metadata_t meta) {
    @id(0x13000002)
    direct_counter(CounterType.packets) rules_in_v4_counter;

    @id(0x01000022)
    action allow_in_v4() {
        rules_in_v4_counter.count();
    }

    @id(0x01000023)
    action deny_in_v4() {
        rules_in_v4_counter.count();
        meta.drop = DROP_POLICY_IN;
        meta.drop_port = meta.out_port;
    }

    @id(0x02000021)
    table rules_in_v4_table {
        key = {
            meta.in_policy : ternary @id(1) @name("policy");
            hdr.ipv4.src : ternary @id(2) @name("src");
            hdr.ipv4.dst : ternary @id(3) @name("dst");
            hdr.ipv4.protocol : ternary @id(4) @name("protocol");
            meta.l4_src : range @id(5) @name("src_port");
            meta.l4_dst : range @id(6) @name("dst_port");
        }
        actions = {
            allow_in_v4;
            deny_in_v4;
        }
        const default_action = deny_in_v4;
        counters = rules_in_v4_counter;
        size = RULE_TABLE_SIZE;
    }

    apply {
        if (meta.in_policy != 0 && hdr.ipv4.isValid()) {
            rules_in_v4_table.apply();
        }
    }
}

#endif
