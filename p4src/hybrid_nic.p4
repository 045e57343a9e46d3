// The hybrid NIC: what SR-IOV hardware does, and the match-action stages that give it a virtual
// switch's flexibility. This file includes the stages and applies them; see docs/nic.md.
#include <core.p4>
#include <v1model.p4>

#include "include/constants.p4"
#include "include/reasons.p4"
#include "include/headers.p4"
#include "include/parser.p4"
#include "stages/port.p4"
#include "stages/network.p4"
#include "stages/admission.p4"
#include "stages/security.p4"
#include "stages/forward.p4"
#include "stages/deliver.p4"
#include "stages/verdict.p4"
#include "stages/leave.p4"

control NicIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    PortStage() port;
    NetworkStage() network;
    AdmissionStage() admission;
    SecurityOutStage() security_out;
    ForwardStage() forward;
    DeliverStage() deliver;
    SecurityInStage() security_in;
    VerdictStage() verdict;

    apply {
        if (hdr.packet_out.isValid() && hdr.packet_out.mode == OUT_TO_PORT) {
            meta.out_port = (port_t)hdr.packet_out.port;
        } else {
            if (hdr.packet_out.isValid()) {
                meta.resumed = 1;
                meta.approved = hdr.packet_out.mode == OUT_RESUME_APPROVED ? 1w1 : 1w0;
            }
            port.apply(hdr, meta, std);
            if (meta.drop == DROP_NONE) {
                network.apply(hdr, meta, std);
            }
            if (meta.drop == DROP_NONE) {
                admission.apply(hdr, meta);
            }
            if (meta.drop == DROP_NONE && meta.approved == 0) {
                security_out.apply(hdr, meta);
            }
            if (meta.drop == DROP_NONE) {
                forward.apply(hdr, meta);
            }
            if (meta.drop == DROP_NONE && meta.group == 0) {
                deliver.apply(hdr, meta);
            }
            if (meta.drop == DROP_NONE && meta.approved == 0) {
                security_in.apply(hdr, meta);
            }
        }
        hdr.packet_out.setInvalid();
        verdict.apply(meta, std);
    }
}

control NicEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    LeaveStage() leave;

    apply {
        leave.apply(hdr, meta, std);
    }
}

V1Switch(NicParser(), NicVerifyChecksum(), NicIngress(), NicEgress(), NicComputeChecksum(),
         NicDeparser()) main;
