action a() { }
control c() {
    apply {
        if (a() == a()) { }
    }
}
