header H { }
control c(inout H[2] h, in bit<8> x) {
    apply {
        for (bit<8> i in h) { }
        for (bit<8> i in x) { }
        for (bit<8> i in 1..true) { }
    }
}
