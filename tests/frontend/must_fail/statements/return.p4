void f() {
    return 1;
}
bit<8> g() {
    return;
}
bit<8> h() {
    return true;
}
control c() {
    apply {
        return 1;
    }
}
