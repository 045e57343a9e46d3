const bit<8> x = 1;
control c(in bit<8> x) {
    bit<8> y;
    apply {
        bit<8> y = x;
    }
}
