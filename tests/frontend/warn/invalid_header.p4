#include <core.p4>
header H { bit<8> a; }
struct Hs { H h; H g; }
parser p(packet_in pkt, out Hs hs, in bit<8> n) {
    state start {
        hs.h.a = 1;
        pkt.extract(hs.h);
        hs.h.a = 2;
        transition select(n) {
            1: more;
            default: done;
        }
    }
    state more {
        pkt.extract(hs.g);
        transition done;
    }
    state done {
        hs.g.a = 1;
        transition accept;
    }
}
control c(inout Hs hs) {
    apply {
        hs.h.setInvalid();
        hs.h.a = 1;
        if (hs.g.isValid()) {
            hs.g.a = 1;
        }
    }
}
parser Q(packet_in pkt, out Hs hs, in bit<8> n);
control C(inout Hs hs);
package P(Q q, C c);
P(p(), c()) main;
