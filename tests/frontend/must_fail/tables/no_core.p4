control c() {
    action a() { }
    table t { actions = { a; } }
    apply { }
}
