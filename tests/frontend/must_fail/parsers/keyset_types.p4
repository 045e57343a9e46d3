parser p(in bit<8> x) {
    value_set<bit<16>>(4) vs;
    state start {
        transition select(x) {
            8w1 &&& 16w1: accept;
            true .. false: accept;
            16w1 .. 16w2: accept;
            vs: accept;
        }
    }
}
