#include <core.p4>
control c(inout bit<8> x, inout bool b) {
    table t {
        key = { x: ternary; }
        actions = { NoAction; }
        priority_delta = -1;
        largest_priority_wins = 1;
        entries = {
            priority = 3: 1: NoAction;
            2: NoAction;
        }
    }
    table u {
        key = { x: ternary; }
        actions = { NoAction; }
        priority_delta = x;
        largest_priority_wins = b;
        support_timeout = 5;
    }
    apply { t.apply(); u.apply(); }
}
