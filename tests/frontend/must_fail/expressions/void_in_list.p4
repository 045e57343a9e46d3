extern void f();
control c() {
    apply {
        tuple<bit<8>> t = { f() };
    }
}
