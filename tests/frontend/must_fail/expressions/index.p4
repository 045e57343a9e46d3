header H { }
control c(inout H[2] h, in bool b, inout H g) {
    apply {
        h[2].setValid();
        h[-1].setValid();
        h[b].setValid();
        g[0].setValid();
    }
}
