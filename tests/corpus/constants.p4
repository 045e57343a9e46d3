// Compile-time values: arbitrary-precision constants, division and modulo, shifts, concatenation,
// the preprocessor, typedef and newtype (8.1, 11.1, 6.4).
#include "include/probe.p4"

#define SHIFT_OF(x) (1 << (x))
#ifdef NEVER_DEFINED
#error "conditional text must be skipped"
#endif

typedef bit<32> word_t;
type bit<32> key_t;

const int huge = 1 << 100;
const word_t quotient = (word_t)(huge / ((1 << 90) + 1));
const word_t rest = (word_t)(huge % 1000007);
const bit<8> folded = 4w0xa ++ 4w5;
const bool flag = quotient > 1000 && !(rest == 0);

control Feature(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    apply {
        key_t key = (key_t)hdr.probe.a;
        if (hdr.probe.op == 0) {
            hdr.probe.r = quotient;
        } else if (hdr.probe.op == 1) {
            hdr.probe.r = rest;
        } else if (hdr.probe.op == SHIFT_OF(2)) {
            hdr.probe.r = (bit<32>)key + (flag ? 32w1 : 0);
        } else {
            hdr.probe.r = (bit<32>)folded;
        }
        sm.egress_spec = 2;
    }
}

PROBE_SWITCH(Feature)
