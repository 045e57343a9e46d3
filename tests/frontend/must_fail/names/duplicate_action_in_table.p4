#include <core.p4>
control c() {
    action a() { }
    table t {
        actions = { a; a; }
        default_action = a;
    }
    apply { }
}
