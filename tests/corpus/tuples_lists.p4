// Tuples with indexing, list and struct-valued expressions, default initialisation (7.2.6, 8.13, 8.26).
#include "include/probe.p4"

struct plain_t {
    bit<32> first;
    bit<32> second;
}

struct pair_t<T> {
    T first;
    T second;
}

control Feature(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 2;
        tuple<bit<32>, bit<8>> both = { hdr.probe.a, hdr.probe.op };
        pair_t<bit<32>> pair = { second = hdr.probe.b, first = both[0] };
        pair_t<bit<32>> other = { 1, 2 };
        if (pair == other) {
            hdr.probe.r = 0xeeeeeeee;
        } else {
            hdr.probe.r = pair.first - pair.second + (bit<32>)both[1];
        }
        if (both == { 32w5, 8w0 }) {
            hdr.probe.flags = 1;
        }
        plain_t plain = { first = 7, ... };
        hdr.probe.b = plain.second;
    }
}

PROBE_SWITCH(Feature)
