void f(in bit<8> a, out bool b) { }
control c(inout bit<8> x, inout bool y) {
    apply {
        f(true, y);
        f(x, x);
    }
}
