control c() {
    action a() { }
    table t {
        actions = { a; }
        actions = { a; }
        default_action = a;
    }
    apply { }
}
