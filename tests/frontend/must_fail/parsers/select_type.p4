#include <core.p4>
struct S { bit<8> a; }
parser p(in S s, in bit<8> x) {
    state start {
        transition select(s) { _: accept; }
    }
    state a {
        transition select(x) { true: accept; (1, 2): accept; }
    }
    state b {
        transition select(x, x) { (1, 2, 3): accept; 1: accept; }
    }
}
