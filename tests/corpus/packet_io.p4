// Headers for the controller: @controller_header for packet-in and packet-out, a CPU port (P4Runtime).
#include <core.p4>
#include <v1model.p4>

const bit<9> CPU_PORT = 510;

@controller_header("packet_in")
header packet_in_t {
    @id(1) bit<9> ingress_port;
    bit<7>        padding;
}

@controller_header("packet_out")
header packet_out_t {
    bit<9> egress_port;
    @padding bit<7> padding;
}

header frame_t {
    bit<8> kind;
}

struct headers_t {
    packet_in_t  to_cpu;
    packet_out_t from_cpu;
    frame_t      frame;
}

struct meta_t { }

parser FrameParser(packet_in packet, out headers_t hdr, inout meta_t meta,
                   inout standard_metadata_t sm) {
    state start {
        transition select(sm.ingress_port) {
            CPU_PORT: parse_from_cpu;
            default: parse_frame;
        }
    }
    state parse_from_cpu {
        packet.extract(hdr.from_cpu);
        transition parse_frame;
    }
    state parse_frame {
        packet.extract(hdr.frame);
        transition accept;
    }
}

control NoVerify(inout headers_t hdr, inout meta_t meta) {
    apply { }
}

control Feature(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    apply {
        if (hdr.from_cpu.isValid()) {
            sm.egress_spec = hdr.from_cpu.egress_port;
            hdr.from_cpu.setInvalid();
        } else if (hdr.frame.kind == 1) {
            sm.egress_spec = CPU_PORT;
            hdr.to_cpu = { sm.ingress_port, 0 };
        } else {
            sm.egress_spec = 2;
        }
    }
}

control NoEgress(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    apply { }
}

control NoUpdate(inout headers_t hdr, inout meta_t meta) {
    apply { }
}

control Emit(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr);
    }
}

V1Switch(FrameParser(), NoVerify(), Feature(), NoEgress(), NoUpdate(), Emit()) main;
