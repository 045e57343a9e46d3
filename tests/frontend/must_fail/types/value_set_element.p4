extern X { X(); }
parser p() {
    value_set<X>(4) vs;
    state start { transition accept; }
}
