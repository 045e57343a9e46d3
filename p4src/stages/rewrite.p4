// Rewrite stage: writes into the packet what the stages before it decided: next hop, TTL,
// translated addresses and ports, and the checksums that cover them.
//
//   in:  routed, next_mac, router_mac; src, dst, l4_src, l4_dst, ip_delta, l4_delta
//
// Not for a packet that goes to the host to be decided: the host sees it as it came.
//
// A VM's checksums are adjusted by constants that come with the entry (RFC 1624), never summed
// again: the cost does not depend on the packet's length. Where the sender left its checksum to
// the NIC, the NIC makes it from the headers as they leave, whatever was added to it here.
#ifndef STAGES_REWRITE_P4
#define STAGES_REWRITE_P4

// Ones' complement: adding `delta` to the sum is subtracting it from the checksum.
#define ADJUST(checksum, delta) \
    { \
        bit<17> sum = (bit<17>)(~checksum) + (bit<17>)delta; \
        checksum = ~(sum[15:0] + (bit<16>)sum[16:16]); \
    }

control RouteRewriteStage(inout headers_t hdr, inout metadata_t meta) {
    apply {
        hdr.ethernet.dst = meta.next_mac;
        hdr.ethernet.src = meta.router_mac;
        if (hdr.ipv4.isValid()) {
            // One less in the high byte of its word: the checksum grows by 0x100.
            hdr.ipv4.ttl = hdr.ipv4.ttl - 1;
            bit<17> sum = (bit<17>)hdr.ipv4.checksum + 0x100;
            hdr.ipv4.checksum = sum[15:0] + (bit<16>)sum[16:16];
        } else {
            hdr.ipv6.hop_limit = hdr.ipv6.hop_limit - 1;
        }
    }
}

control AddressRewriteStage(inout headers_t hdr, inout metadata_t meta) {
    apply {
        hdr.ipv4.src = meta.src;
        hdr.ipv4.dst = meta.dst;
        ADJUST(hdr.ipv4.checksum, meta.ip_delta)
        if (hdr.tcp.isValid()) {
            hdr.tcp.src_port = meta.l4_src;
            hdr.tcp.dst_port = meta.l4_dst;
            ADJUST(hdr.tcp.checksum, meta.l4_delta)
        } else if (hdr.udp.isValid()) {
            hdr.udp.src_port = meta.l4_src;
            hdr.udp.dst_port = meta.l4_dst;
            if (hdr.udp.checksum != 0) {
                ADJUST(hdr.udp.checksum, meta.l4_delta)
                if (hdr.udp.checksum == 0) {
                    hdr.udp.checksum = 0xffff;
                }
            }
        } else if (hdr.echo.isValid()) {
            // ICMP sums no addresses: the delta is the identifier's alone.
            bit<17> sum = (bit<17>)(~hdr.icmp.checksum) + (bit<17>)(~hdr.echo.identifier);
            bit<17> more = (bit<17>)(sum[15:0] + (bit<16>)sum[16:16]) + (bit<17>)meta.l4_src;
            hdr.icmp.checksum = ~(more[15:0] + (bit<16>)more[16:16]);
            hdr.echo.identifier = meta.l4_src;
        }
    }
}

control RewriteStage(inout headers_t hdr, inout metadata_t meta) {
    RouteRewriteStage() route;
    AddressRewriteStage() address;

    apply {
        if (meta.routed == 1) {
            route.apply(hdr, meta);
        }
        if (meta.ip_delta != 0) {
            address.apply(hdr, meta);
        }
    }
}

#endif
