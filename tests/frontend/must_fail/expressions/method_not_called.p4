extern E { E(); bit<8> f(); }
control c() {
    E() e;
    apply {
        bit<8> x = e.f;
    }
}
