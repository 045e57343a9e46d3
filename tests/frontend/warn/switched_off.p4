#include <core.p4>
header H { bit<8> a; }
@noWarn("invalid-header")
parser p(packet_in pkt, out H h) {
    state start {
        h.a = 1;
        transition accept;
    }
}
control c(inout bit<8> x) {
    apply @noWarn("uninitialized-use") {
        @noWarn("unused") bit<8> w = 256;
        bit<8> y;
        x = y;
    }
}
parser P(packet_in pkt, out H h);
control C(inout bit<8> x);
package Q(P p, C c);
Q(p(), c()) main;
