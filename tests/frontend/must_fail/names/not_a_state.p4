parser p() {
    bit<8> x;
    state start { transition x; }
}
