void f(in bit<8> a) { }
void f(in bit<8> a, in bit<8> b) { }
control c() {
    apply {
        f();
        f(1, 2, 3);
    }
}
