struct S { }
header_union U {
    S s;
    bit<8> b;
}
