extern E { E(); }
control c() {
    E() e[4];
    apply { }
}
