#include <core.p4>
header F { bit<8> a; }
header V { varbit<8> a; }
parser p(packet_in pkt, out F f, out V v, inout bit<8> b) {
    state start {
        pkt.extract(v);
        pkt.extract(f, 8);
        pkt.extract(b);
        transition accept;
    }
}
