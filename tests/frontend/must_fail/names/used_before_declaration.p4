control c() {
    apply {
        x = 1;
        bit<8> x;
    }
}
