void f(in bit<8> a) { }
control c() {
    apply {
        f(_);
    }
}
