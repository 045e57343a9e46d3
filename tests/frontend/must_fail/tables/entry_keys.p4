#include <core.p4>
control c(inout bit<8> x, inout bool b) {
    action a() { }
    action s(bit<8> v) { x = v; }
    action d(in bit<8> v, bit<8> w) { x = v; }
    table t {
        key = { x: exact; b: exact; }
        actions = { a; }
        const entries = {
            1: a;
            (1, true, 2): a;
            (true, true): a;
            (x, true): a;
        }
        default_action = a;
    }
    apply { t.apply(); }
}
