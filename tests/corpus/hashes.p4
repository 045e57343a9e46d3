// hash with every algorithm, its base and its bound (v1model). Expected values: CRC-16/ARC,
// CRC-32/ISO-HDLC, RFC 1071 checksum, XOR of 16-bit words, the data itself for identity.
#include "include/probe.p4"

control Feature(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    apply {
        bit<16> short_hash = 0;
        bit<32> long_hash = 0;
        sm.egress_spec = 2;
        if (hdr.probe.op == 0) {
            hash(short_hash, HashAlgorithm.crc16, 16w0, { hdr.probe.a, hdr.probe.b }, 32w0x10000);
        } else if (hdr.probe.op == 1) {
            hash(long_hash, HashAlgorithm.crc32, 32w0, { hdr.probe.a, hdr.probe.b },
                 64w0x100000000);
        } else if (hdr.probe.op == 2) {
            hash(short_hash, HashAlgorithm.csum16, 16w0, { hdr.probe.a, hdr.probe.b },
                 32w0x10000);
        } else if (hdr.probe.op == 3) {
            hash(short_hash, HashAlgorithm.xor16, 16w0, { hdr.probe.a, hdr.probe.b }, 32w0x10000);
        } else if (hdr.probe.op == 4) {
            hash(long_hash, HashAlgorithm.identity, 32w0, { hdr.probe.a }, 64w0x100000000);
        } else if (hdr.probe.op == 5) {
            hash(long_hash, HashAlgorithm.crc32, 32w1000, { hdr.probe.a, hdr.probe.b }, 32w100);
        } else if (hdr.probe.op == 6) {
            hash(long_hash, HashAlgorithm.crc32, 32w1000, { hdr.probe.a }, 32w1);
        } else {
            hash(long_hash, HashAlgorithm.crc32, 32w0,
                 { 4w5, hdr.probe.a[27:0], hdr.probe.flags[2:0] }, 64w0x100000000);
        }
        hdr.probe.tag = short_hash;
        hdr.probe.r = long_hash;
    }
}

PROBE_SWITCH(Feature)
