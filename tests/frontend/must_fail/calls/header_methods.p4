header H { }
struct S { }
control c(in H h, inout S s, inout H g) {
    apply {
        h.setValid();
        s.setValid();
        g.isValid(1);
    }
}
