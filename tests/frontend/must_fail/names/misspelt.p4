#include <core.p4>
enum Colour { Green, Yellow }
struct meta_t {
    bit<9> egress_port;
}
parser p(packet_in packet) {
    state start {
        transition parse_ethernt;
    }
    state parse_ethernet {
        packet.advanse(8);
        transition accept;
    }
}
control c(inout meta_t meta) {
    action forward(bit<9> port) {
        meta.egres_port = prot;
    }
    table t {
        key = { meta.egress_port: exat; }
        actions = { foward; NoAction; }
    }
    apply {
        Colour x = Colour.Yelow;
    }
}
