parser p() { state start { transition accept; } }
control d() { apply { } }
control c()(bit<8> n) {
    apply {
        p.apply();
    }
}
parser q() {
    d() i;
    state start {
        i.apply();
        transition accept;
    }
}
