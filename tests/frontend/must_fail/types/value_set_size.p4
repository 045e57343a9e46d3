parser p(in bit<8> n) {
    value_set<bit<8>>(n) vs;
    state start { transition accept; }
}
