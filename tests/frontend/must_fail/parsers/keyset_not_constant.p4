parser p(in bit<8> x, in bit<8> y) {
    state start {
        transition select(x) {
            y: accept;
            0 .. y: accept;
        }
    }
}
