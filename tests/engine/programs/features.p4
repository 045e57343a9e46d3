// One table per feature of the engine: group choice, digests, idle times, the CPU port.
#include <core.p4>
#include <v1model.p4>

header ethernet_t {
    bit<48> dst;
    bit<48> src;
    bit<16> type;
}

header choice_t {
    bit<16> flow;
}

@controller_header("packet_in")
header packet_in_t {
    bit<16> port;
}

@controller_header("packet_out")
header packet_out_t {
    bit<16> port;
}

struct headers_t {
    packet_in_t packet_in;
    packet_out_t packet_out;
    ethernet_t ethernet;
    choice_t choice;
}

struct metadata_t {}

struct seen_t {
    bit<48> src;
    bit<9> port;
}

parser parse(packet_in pkt, out headers_t hdr, inout metadata_t meta,
             inout standard_metadata_t std) {
    state start {
        transition select(std.ingress_port) {
            510: from_cpu;
            default: frame;
        }
    }
    state from_cpu {
        pkt.extract(hdr.packet_out);
        transition frame;
    }
    state frame {
        pkt.extract(hdr.ethernet);
        transition select(hdr.ethernet.type) {
            0x1111: choice;
            default: accept;
        }
    }
    state choice {
        pkt.extract(hdr.choice);
        transition accept;
    }
}

control no_checksum(inout headers_t hdr, inout metadata_t meta) {
    apply {}
}

control forward(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    action send(bit<9> port) {
        std.egress_spec = port;
    }
    action to_cpu() {
        hdr.packet_in.setValid();
        hdr.packet_in.port = (bit<16>) std.ingress_port;
        std.egress_spec = 510;
    }
    action drop() {
        mark_to_drop(std);
    }
    table timed {
        key = { hdr.ethernet.dst: exact; }
        actions = { send; to_cpu; drop; }
        default_action = drop();
        support_timeout = true;
    }
    action_selector(HashAlgorithm.identity, 64, 16) spread;
    table grouped {
        key = { hdr.ethernet.dst: exact; hdr.choice.flow: selector; }
        actions = { send; drop; }
        implementation = spread;
    }
    apply {
        if (hdr.packet_out.isValid()) {
            std.egress_spec = (bit<9>) hdr.packet_out.port;
            hdr.packet_out.setInvalid();
            return;
        }
        digest<seen_t>(1, { hdr.ethernet.src, std.ingress_port });
        if (hdr.choice.isValid()) {
            grouped.apply();
        } else {
            timed.apply();
        }
    }
}

control none(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {}
}

control checksum(inout headers_t hdr, inout metadata_t meta) {
    apply {}
}

control deparse(packet_out pkt, in headers_t hdr) {
    apply {
        pkt.emit(hdr.packet_in);
        pkt.emit(hdr.ethernet);
        pkt.emit(hdr.choice);
    }
}

V1Switch(parse(), no_checksum(), forward(), none(), checksum(), deparse()) main;
