control c() {
    apply {
        this.f();
    }
}
