control c() {
    apply {
        bit<8> x;
        bit<8> x;
    }
}
