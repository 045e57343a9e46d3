#include <core.p4>
header V { varbit<8> a; }
parser p(packet_in pkt) {
    state start {
        pkt.lookahead<void>();
        pkt.lookahead<V>();
        transition accept;
    }
}
