extern E {
    E();
    void f(in bit<8> a, @optional in bit<8> b);
    void f(in bit<8> d);
}
control c() {
    E() e;
    apply {
        e.f(1);
    }
}
