control c() {
    apply {
        x = 1;
        f();
    }
}
