extern bit<8> f();
parser p(in bit<8> x) {
    state start {
        transition select(x) {
            f(): accept;
        }
    }
}
