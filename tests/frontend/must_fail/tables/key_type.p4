#include <core.p4>
struct S { }
control c(in S s, in bit<8> x) {
    table t {
        key = { s: exact; x: fuzzy; x: x; }
        actions = { NoAction; }
    }
    apply { }
}
