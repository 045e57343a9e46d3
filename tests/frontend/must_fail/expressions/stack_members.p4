header H { }
control c(inout H[2] h, inout bit<8>[2] n) {
    apply {
        h.next.setValid();
        bit<32> i = h.lastIndex;
        bit<32> j = h.nothing;
        bit<32> k = n.size;
    }
}
