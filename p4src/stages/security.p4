// Security stages: the rules of the sending VM, then those of the receiving VM.
//
//   in:  policy (0: no rules), addresses, protocol, ports of an unknown connection
//   out: drop = POLICY_OUT | POLICY_IN | FRAGMENT; punt = RELATED | OVERFLOW; mirror
//
// The policy number is one version of one rule set. A new version is installed beside the old
// one and the VF is switched to it by one entry, so that no packet meets a mixture. What no rule
// allows is denied. An ICMP error that the rules deny may belong to a connection: the host knows.
// A frame to a group address is judged by its sender's rules only.
#ifndef STAGES_SECURITY_P4
#define STAGES_SECURITY_P4

control SecurityOutStage(inout headers_t hdr, inout metadata_t meta) {
    @id(0x13000001)
    direct_counter(CounterType.packets) rules_out_v4_counter;

    @id(0x01000080)
    action allow_out_v4() {
        rules_out_v4_counter.count();
    }

    @id(0x01000081)
    action deny_out_v4() {
        rules_out_v4_counter.count();
        meta.drop = DROP_POLICY_OUT;
    }

    @id(0x01000082)
    action allow_and_mirror_out_v4(@id(1) bit<16> mirror) {
        rules_out_v4_counter.count();
        meta.mirror = mirror;
    }

    @id(0x02000080)
    table rules_out_v4_table {
        key = {
            meta.policy : ternary @id(1) @name("policy");
            meta.src : ternary @id(2) @name("src");
            meta.dst : ternary @id(3) @name("dst");
            hdr.ipv4.protocol : ternary @id(4) @name("protocol");
            meta.l4_src : range @id(5) @name("src_port");
            meta.l4_dst : range @id(6) @name("dst_port");
        }
        actions = {
            allow_out_v4;
            deny_out_v4;
            allow_and_mirror_out_v4;
        }
        const default_action = deny_out_v4;
        counters = rules_out_v4_counter;
        size = RULE_TABLE_SIZE;
    }

    @id(0x13000002)
    direct_counter(CounterType.packets) rules_out_v6_counter;

    @id(0x01000084)
    action allow_out_v6() {
        rules_out_v6_counter.count();
    }

    @id(0x01000085)
    action deny_out_v6() {
        rules_out_v6_counter.count();
        meta.drop = DROP_POLICY_OUT;
    }

    @id(0x01000086)
    action allow_and_mirror_out_v6(@id(1) bit<16> mirror) {
        rules_out_v6_counter.count();
        meta.mirror = mirror;
    }

    @id(0x02000081)
    table rules_out_v6_table {
        key = {
            meta.policy : ternary @id(1) @name("policy");
            hdr.ipv6.src : ternary @id(2) @name("src");
            hdr.ipv6.dst : ternary @id(3) @name("dst");
            meta.upper_protocol : ternary @id(4) @name("protocol");
            meta.l4_src : range @id(5) @name("src_port");
            meta.l4_dst : range @id(6) @name("dst_port");
        }
        actions = {
            allow_out_v6;
            deny_out_v6;
            allow_and_mirror_out_v6;
        }
        const default_action = deny_out_v6;
        counters = rules_out_v6_counter;
        size = RULE_TABLE_SIZE;
    }

    apply {
        if (meta.policy != 0) {
            if (hdr.ipv4.isValid()) {
                rules_out_v4_table.apply();
            } else if (hdr.ipv6.isValid() && meta.neighbor == 0) {
                rules_out_v6_table.apply();
            }
            if (meta.drop != DROP_NONE) {
                if (meta.icmp_error == 1) {
                    meta.drop = DROP_NONE;
                    meta.punt = PUNT_RELATED;
                } else if (meta.later_fragment == 1
                    || (hdr.ipv4.isValid() && hdr.ipv4.fragment_offset != 0)) {
                    meta.drop = DROP_FRAGMENT;
                }
            }
        }
    }
}

control SecurityInStage(inout headers_t hdr, inout metadata_t meta) {
    @id(0x13000003)
    direct_counter(CounterType.packets) rules_in_v4_counter;

    @id(0x01000088)
    action allow_in_v4() {
        rules_in_v4_counter.count();
    }

    @id(0x01000089)
    action deny_in_v4() {
        rules_in_v4_counter.count();
        meta.drop = DROP_POLICY_IN;
    }

    @id(0x0100008a)
    action allow_and_mirror_in_v4(@id(1) bit<16> mirror) {
        rules_in_v4_counter.count();
        meta.in_mirror = mirror;
    }

    @id(0x02000082)
    table rules_in_v4_table {
        key = {
            meta.in_policy : ternary @id(1) @name("policy");
            meta.src : ternary @id(2) @name("src");
            meta.dst : ternary @id(3) @name("dst");
            hdr.ipv4.protocol : ternary @id(4) @name("protocol");
            meta.l4_src : range @id(5) @name("src_port");
            meta.l4_dst : range @id(6) @name("dst_port");
        }
        actions = {
            allow_in_v4;
            deny_in_v4;
            allow_and_mirror_in_v4;
        }
        const default_action = deny_in_v4;
        counters = rules_in_v4_counter;
        size = RULE_TABLE_SIZE;
    }

    @id(0x13000004)
    direct_counter(CounterType.packets) rules_in_v6_counter;

    @id(0x0100008c)
    action allow_in_v6() {
        rules_in_v6_counter.count();
    }

    @id(0x0100008d)
    action deny_in_v6() {
        rules_in_v6_counter.count();
        meta.drop = DROP_POLICY_IN;
    }

    @id(0x0100008e)
    action allow_and_mirror_in_v6(@id(1) bit<16> mirror) {
        rules_in_v6_counter.count();
        meta.in_mirror = mirror;
    }

    @id(0x02000083)
    table rules_in_v6_table {
        key = {
            meta.in_policy : ternary @id(1) @name("policy");
            hdr.ipv6.src : ternary @id(2) @name("src");
            hdr.ipv6.dst : ternary @id(3) @name("dst");
            meta.upper_protocol : ternary @id(4) @name("protocol");
            meta.l4_src : range @id(5) @name("src_port");
            meta.l4_dst : range @id(6) @name("dst_port");
        }
        actions = {
            allow_in_v6;
            deny_in_v6;
            allow_and_mirror_in_v6;
        }
        const default_action = deny_in_v6;
        counters = rules_in_v6_counter;
        size = RULE_TABLE_SIZE;
    }

    // Set while the host has connections for which the connection tables had no room.
    @id(0x0100008f)
    action ask_host() {
        meta.drop = DROP_NONE;
        meta.punt = PUNT_OVERFLOW;
    }

    @id(0x02000084)
    table overflow_table {
        actions = {
            NoAction;
            ask_host;
        }
        default_action = NoAction;
        size = 1;
    }

    apply {
        if (meta.in_policy != 0) {
            if (hdr.ipv4.isValid()) {
                rules_in_v4_table.apply();
            } else if (hdr.ipv6.isValid() && meta.neighbor == 0) {
                rules_in_v6_table.apply();
            }
            if (meta.drop != DROP_NONE) {
                meta.drop_port = meta.out_port;
                if (meta.icmp_error == 1) {
                    meta.drop = DROP_NONE;
                    meta.punt = PUNT_RELATED;
                } else if (meta.later_fragment == 1
                    || (hdr.ipv4.isValid() && hdr.ipv4.fragment_offset != 0)) {
                    meta.drop = DROP_FRAGMENT;
                } else if (meta.in_stateful == 1 && meta.l4_known == 1) {
                    overflow_table.apply();
                }
            }
        }
    }
}

#endif
