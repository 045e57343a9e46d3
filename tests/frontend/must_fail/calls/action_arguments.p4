action a(in bit<8> x, bit<8> y) { }
control c() {
    apply {
        a(1);
        a();
        a<bit<8>>(1, 2);
    }
}
