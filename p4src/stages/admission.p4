// Admission stage: what a guest may send at all, before anyone looks at what it sends.
//
//   in:  VF settings from the port stage
//   out: drop = GUEST_TAG | SPOOFED_MAC | RATE
//
// No table: the port stage has fetched the settings.
#ifndef STAGES_ADMISSION_P4
#define STAGES_ADMISSION_P4

const bit<2> COLOR_RED = 2;

control AdmissionStage(inout headers_t hdr, inout metadata_t meta) {
    apply {
        if (meta.in_role == ROLE_VF && meta.resumed == 0) {
            if (meta.spoof_check == 1 && meta.mac_mismatch == 1) {
                meta.drop = DROP_SPOOFED_MAC;
            } else if (meta.trusted == 0 && hdr.vlan.isValid()) {
                meta.drop = DROP_GUEST_TAG;
            } else if (meta.color == COLOR_RED) {
                meta.drop = DROP_RATE;
            }
        }
    }
}

#endif
