control c(in bit<8> n) {
    apply {
        tuple<bit<8>, bool> t = { 1, true };
        bit<8> a = t[n];
        bit<8> b = t[2];
    }
}
