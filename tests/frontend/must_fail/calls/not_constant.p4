extern void f(bit<8> a);
control c(in bit<8> x) {
    apply {
        f(x);
    }
}
