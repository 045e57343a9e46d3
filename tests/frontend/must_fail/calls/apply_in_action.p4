#include <core.p4>
control d() { apply { } }
control c() {
    d() i;
    table t { actions = { NoAction; } }
    action a() {
        i.apply();
        t.apply();
    }
    apply { }
}
