header H { }
control c(inout H[2] h, inout H g, in bit<8> n) {
    apply {
        h.push_front(-1);
        h.push_front(n);
        h.pop_front(true);
        h.pop_front();
        g.push_front(1);
    }
}
parser p(inout H[2] h) {
    state start {
        h.push_front(1);
        transition accept;
    }
}
