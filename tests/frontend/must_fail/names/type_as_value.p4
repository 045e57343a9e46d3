struct S { }
control c() {
    apply {
        bit<8> x = .S;
    }
}
