control c(in bit<8> x)(bit<8> x) {
    apply { }
}
