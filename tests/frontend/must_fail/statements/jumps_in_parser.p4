parser p(in bool b) {
    state start {
        if (b) { return; }
        if (b) { exit; }
        transition accept;
    }
}
