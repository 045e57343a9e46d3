control c(inout bit<8> x, inout bool b) {
    apply {
        x = b;
        b = x;
        b += 1;
        x <<= b;
    }
}
