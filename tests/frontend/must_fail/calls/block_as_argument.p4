extern void take<T>(in T a);
control d() { apply { } }
control c() {
    d() i;
    action a() { }
    apply {
        take(i);
    }
}
