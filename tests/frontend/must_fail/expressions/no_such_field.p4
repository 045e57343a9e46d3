struct S { bit<8> a; }
header H { bit<8> b; }
control c(inout S s, inout H h) {
    apply {
        s.b = 1;
        h.a = 1;
        s.a.c = 1;
    }
}
