#include <core.p4>
control c(inout bit<8> x, inout bool b) {
    action a() { }
    action s(bit<8> v) { x = v; }
    action d(in bit<8> v, bit<8> w) { x = v; }
    table t2 { actions = { NoAction; } }
    table t {
        actions = { d(t2.apply().hit ? 8w1 : 8w2); }
        default_action = NoAction;
    }
    apply { t.apply(); }
}
