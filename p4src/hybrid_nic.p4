// The hybrid NIC: what SR-IOV hardware does, and the match-action stages that give it a virtual
// switch's flexibility. This file includes the stages and applies them; see docs/nic.md.
#include <core.p4>
#include <v1model.p4>

#include "include/constants.p4"
#include "include/reasons.p4"
#include "include/headers.p4"
#include "include/metadata.p4"
#include "include/parser.p4"
#include "stages/port.p4"
#include "stages/network.p4"
#include "stages/admission.p4"
#include "stages/neighbor.p4"
#include "stages/translate.p4"
#include "stages/connection.p4"
#include "stages/guard.p4"
#include "stages/security.p4"
#include "stages/balance.p4"
#include "stages/route.p4"
#include "stages/forward.p4"
#include "stages/deliver.p4"
#include "stages/rewrite.p4"
#include "stages/verdict.p4"
#include "stages/leave.p4"

// Policy for what no connection covers: the sender's side of it, before the way is known. A settled
// packet has its verdict and meets the rules only where one of them mirrors.
control PolicyOutStage(inout headers_t hdr, inout metadata_t meta) {
    GuardStage() guard;
    SecurityOutStage() security_out;
    BalanceStage() balance;

    apply {
        if (meta.settled == 0) {
            guard.apply(hdr, meta);
        }
        if (meta.icmp_error == 1 && meta.settled == 0 && meta.drop == DROP_NONE
            && (meta.tracked == 1 || meta.ip_delta != 0)) {
            meta.punt = PUNT_RELATED;
        }
        if (meta.drop == DROP_NONE && meta.punt == PUNT_NONE
            && (meta.settled == 0 || meta.rules_mirror == 1)) {
            security_out.apply(hdr, meta);
        }
        if (meta.settled == 1) {
            meta.drop = DROP_NONE;
            meta.punt = PUNT_NONE;
        } else if (meta.drop == DROP_NONE && meta.punt == PUNT_NONE) {
            balance.apply(hdr, meta);
        }
    }
}

// The way of the packet: next hop, port, state of the receiving VF, outside address.
control WayStage(inout headers_t hdr, inout metadata_t meta) {
    RouteStage() route;
    ForwardStage() forward;
    DeliverStage() deliver;
    OutsideStage() outside;

    apply {
        route.apply(hdr, meta);
        if (meta.drop == DROP_NONE && meta.punt == PUNT_NONE) {
            forward.apply(meta);
        }
        if (meta.drop == DROP_NONE && meta.punt == PUNT_NONE && meta.group == 0) {
            deliver.apply(meta);
            outside.apply(hdr, meta);
        }
    }
}

control NicIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    PortStage() port;
    NetworkStage() network;
    AdmissionStage() admission;
    NeighborStage() neighbor;
    InsideStage() inside;
    ConnectionStage() connection;
    PolicyOutStage() policy_out;
    WayStage() way;
    SecurityInStage() security_in;
    RewriteStage() rewrite;
    VerdictStage() verdict;

    apply {
        if (hdr.packet_out.isValid() && hdr.packet_out.mode == OUT_TO_PORT) {
            meta.out_port = meta.in_port;
            meta.frame_length = std.packet_length - PACKET_OUT_BYTES;
        } else {
            if (hdr.packet_out.isValid()) {
                meta.resumed = 1;
                if (hdr.packet_out.mode == OUT_RESUME_APPROVED) {
                    meta.approved = 1;
                }
            }
            port.apply(hdr, meta);
            if (std.parser_error != error.NoError) {
                meta.drop = DROP_MALFORMED;
            }
            if (meta.drop == DROP_NONE) {
                network.apply(hdr, meta, std);
            }
            if (meta.drop == DROP_NONE && meta.resumed == 0) {
                admission.apply(hdr, meta);
            }
            if (meta.drop == DROP_NONE) {
                inside.apply(hdr, meta);
                if (meta.approved == 0) {
                    connection.apply(hdr, meta);
                }
                meta.settled = meta.approved | meta.known_connection;
                policy_out.apply(hdr, meta);
            }
            if (meta.drop == DROP_NONE && meta.punt == PUNT_NONE) {
                neighbor.apply(hdr, meta);
                if (meta.answered == 0) {
                    way.apply(hdr, meta);
                }
            }
            if (meta.drop == DROP_NONE && meta.punt == PUNT_NONE && meta.answered == 0
                && (meta.settled == 0 || meta.in_rules_mirror == 1)) {
                security_in.apply(hdr, meta);
                if (meta.settled == 1) {
                    meta.drop = DROP_NONE;
                    meta.punt = PUNT_NONE;
                } else if (meta.l4_known == 1 && meta.tracked == 1 && meta.group == 0
                    && meta.drop == DROP_NONE && meta.punt == PUNT_NONE
                    && (meta.stateful == 1 || meta.in_stateful == 1)) {
                    meta.punt = PUNT_NEW_CONNECTION;
                }
            }
            if (meta.drop == DROP_NONE && meta.punt == PUNT_NONE) {
                rewrite.apply(hdr, meta);
                if (meta.held == 1) {
                    meta.punt = PUNT_HELD;
                }
            }
        }
        verdict.apply(hdr, meta, std);
        hdr.packet_out.setInvalid();
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
