bit<8> f(in bit<8> a) { return a; }
bit<8> f(in bit<8> a) { return a; }
control c() {
    apply {
        f(1);
    }
}
