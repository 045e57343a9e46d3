struct S { }
control C();
S() s;
control d() {
    C() c;
    apply { }
}
