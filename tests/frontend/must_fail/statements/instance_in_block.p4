extern E { E(); }
control c() {
    action a() {
        E() e1;
    }
    apply {
        E() e2;
    }
}
void f() {
    E() e3;
}
