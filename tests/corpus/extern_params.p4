// Extern instances passed to a sub-control, wide registers, random within bounds, log_msg,
// assert and assume that hold (10.3, v1model).
#include "include/probe.p4"

control Accumulate(inout bit<32> value)(register<bit<128>> cells, bit<32> index) {
    apply {
        bit<128> cell;
        cells.read(cell, index);
        cell = (cell << 32) | (bit<128>)value;
        cells.write(index, cell);
        value = cell[95:64];
    }
}

control Feature(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    register<bit<128>>(4) history;
    Accumulate(history, 2) third;
    apply {
        sm.egress_spec = 2;
        hdr.probe.r = hdr.probe.a;
        third.apply(hdr.probe.r);
        bit<16> dice;
        random(dice, 16w10, 16w20);
        assert(dice >= 10);
        assume(dice <= 20);
        hdr.probe.flags = dice >= 10 && dice <= 20 ? 8w1 : 0;
        log_msg("value {} of {}", { hdr.probe.r, hdr.probe.a });
    }
}

PROBE_SWITCH(Feature)
