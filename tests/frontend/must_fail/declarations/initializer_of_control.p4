control c() { apply { } }
control d() {
    c() i = { };
    apply { }
}
