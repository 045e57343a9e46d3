control c(in bit<8> x) {
    apply {
        if (x) { }
        for (bit<8> i = 0; i; i = i + 1) { }
    }
}
