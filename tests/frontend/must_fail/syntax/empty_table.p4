control c() {
    table t { }
    apply { }
}
