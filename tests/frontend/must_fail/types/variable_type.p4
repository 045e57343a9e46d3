extern X { X(); }
control C();
control c() {
    apply {
        X x;
        C y;
        int i;
        string s;
    }
}
