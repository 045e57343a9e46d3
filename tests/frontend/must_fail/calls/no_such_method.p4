extern E { E(); void f(); }
struct S { }
control c(inout S s, inout bit<8> b) {
    E() e;
    apply {
        e.g();
        s.f();
        b.isValid();
    }
}
