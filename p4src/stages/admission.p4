// Admission stage: what a port may send at all, before anyone looks at what it says.
//
//   in:  VF settings and rate colour from the port stage
//   out: drop = SPOOFED_MAC | GUEST_TAG | LINK_CONTROL | RATE | STORM
//
// No tables: the port stage has fetched the settings. A VF within its guaranteed rate
// (`min_tx_rate`, green) always passes; between that and its maximum (yellow) it shares with the
// others what the guarantees leave of the link.
#ifndef STAGES_ADMISSION_P4
#define STAGES_ADMISSION_P4

const bit<2> COLOR_YELLOW = 1;

control AdmissionStage(inout headers_t hdr, inout metadata_t meta) {
    @id(0x14000001)
    meter(PORT_METER_SIZE, MeterType.packets) storm_meter;

    // Index 0: what the guarantees of all VFs leave of the link.
    @id(0x14000002)
    meter(1, MeterType.bytes) excess_meter;

    apply {
        if (meta.in_role == ROLE_VF) {
            if (meta.spoof_check == 1 && meta.mac_mismatch == 1) {
                meta.drop = DROP_SPOOFED_MAC;
            } else if (meta.trusted == 0 && hdr.vlan.isValid()) {
                meta.drop = DROP_GUEST_TAG;
            } else if (meta.trusted == 0 && hdr.ethernet.dst[47:4] == LINK_MAC_PREFIX) {
                meta.drop = DROP_LINK_CONTROL;
            } else if (meta.color == COLOR_YELLOW) {
                excess_meter.execute_meter(0, meta.color);
            }
        }
        if (meta.color == COLOR_RED && meta.drop == DROP_NONE) {
            meta.drop = DROP_RATE;
        }
        if (meta.group_addressed == 1 && meta.drop == DROP_NONE) {
            bit<2> color;
            storm_meter.execute_meter((bit<32>)meta.in_port[6:0], color);
            if (color == COLOR_RED) {
                meta.drop = DROP_STORM;
            }
        }
    }
}

#endif
