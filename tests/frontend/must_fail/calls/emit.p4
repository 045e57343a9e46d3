#include <core.p4>
struct S { bit<8> a; }
control c(packet_out pkt, in S s) {
    apply {
        pkt.emit(s);
        pkt.emit(s.a);
    }
}
