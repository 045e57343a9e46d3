control c() {
    c() again;
    apply { }
}
