// Connection stage: what the host has decided for this connection, verdict and rewrite.
//
//   in:  zone (the VF, or the tenant for what comes from outside), 5-tuple
//   out: known_connection; translated addresses and ports; deltas for the checksums
//
// A hit skips guard, rules, balancer and NAT. A miss decides nothing: the stages after it do.
// Entries end by idle timeout; a FIN or RST is told to the controller, which ends the pair.
#ifndef STAGES_CONNECTION_P4
#define STAGES_CONNECTION_P4

// Told when a TCP connection in the table is being closed. IPv4 addresses are in the low bits.
struct closing_connection_t {
    bit<16> zone;
    ipv6_t src;
    ipv6_t dst;
    bit<16> src_port;
    bit<16> dst_port;
    bit<8> flags;
}

// From a VF: 0x8000 + port, so that a guest cannot enter a connection of another one.
const bit<16> ZONE_OF_VF = 0x8000;

control ConnectionStage(inout headers_t hdr, inout metadata_t meta) {
    bit<16> zone = 0;

    @id(0x01000040)
    action pass_connection() {
        meta.known_connection = 1;
    }

    // `tenant` is the address space of the translated packet. The deltas are what the change of
    // addresses and ports adds to the checksums: constant for a connection.
    @id(0x01000041)
    action translate_v4(@id(1) ipv4_t src, @id(2) ipv4_t dst, @id(3) bit<16> src_port,
                        @id(4) bit<16> dst_port, @id(5) tenant_t tenant,
                        @id(6) bit<16> ip_delta, @id(7) bit<16> l4_delta) {
        meta.known_connection = 1;
        meta.src = src;
        meta.dst = dst;
        meta.l4_src = src_port;
        meta.l4_dst = dst_port;
        meta.tenant = tenant;
        meta.ip_delta = ip_delta;
        meta.l4_delta = l4_delta;
    }

    @id(0x02000040)
    table connection_v4_table {
        key = {
            zone : exact @id(1) @name("zone");
            meta.src : exact @id(2) @name("src");
            meta.dst : exact @id(3) @name("dst");
            hdr.ipv4.protocol : exact @id(4) @name("protocol");
            meta.l4_src : exact @id(5) @name("src_port");
            meta.l4_dst : exact @id(6) @name("dst_port");
        }
        actions = {
            pass_connection;
            translate_v4;
            @defaultonly NoAction;
        }
        const default_action = NoAction;
        support_timeout = true;
        size = CONNECTION_TABLE_SIZE;
    }

    @id(0x02000041)
    table connection_v6_table {
        key = {
            zone : exact @id(1) @name("zone");
            hdr.ipv6.src : exact @id(2) @name("src");
            hdr.ipv6.dst : exact @id(3) @name("dst");
            meta.upper_protocol : exact @id(4) @name("protocol");
            meta.l4_src : exact @id(5) @name("src_port");
            meta.l4_dst : exact @id(6) @name("dst_port");
        }
        actions = {
            pass_connection;
            @defaultonly NoAction;
        }
        const default_action = NoAction;
        support_timeout = true;
        size = CONNECTION_V6_TABLE_SIZE;
    }

    apply {
        if (meta.tracked == 1 && meta.l4_known == 1) {
            zone = meta.in_role == ROLE_VF ? ZONE_OF_VF | (bit<16>)meta.in_port : meta.tenant;
            ipv6_t src = 0;
            ipv6_t dst = 0;
            bit<16> src_port = meta.l4_src;
            bit<16> dst_port = meta.l4_dst;
            if (hdr.ipv4.isValid()) {
                src = (ipv6_t)meta.src;
                dst = (ipv6_t)meta.dst;
                connection_v4_table.apply();
            } else {
                src = hdr.ipv6.src;
                dst = hdr.ipv6.dst;
                connection_v6_table.apply();
            }
            if (meta.known_connection == 1 && hdr.tcp.isValid()
                && hdr.tcp.flags & (TCP_FIN | TCP_RST) != 0) {
                digest<closing_connection_t>(
                    1, { zone, src, dst, src_port, dst_port, hdr.tcp.flags });
            }
        }
    }
}

#endif
