void f(in bit<8> a, in bit<8> b) { }
control c() {
    apply {
        f(a = 1, 2);
        f(a = 1, a = 2);
        f(a = 1, d = 2);
    }
}
