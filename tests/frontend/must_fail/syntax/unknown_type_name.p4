struct S {
    unknown_t a;
    bit<8> b;
    other_t c;
}
