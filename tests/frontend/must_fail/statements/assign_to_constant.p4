const bit<8> k = 1;
control c(in bit<8> x) {
    apply {
        x = 1;
        k = 2;
        x[3:0] = 1;
    }
}
