#include <core.p4>
control c() {
    action a() { }
    action b() { }
    table t {
        actions = { a; }
        default_action = a;
    }
    apply {
        switch (t.apply().action_run) {
            a: { }
            a: { }
            b: { }
            1: { }
        }
    }
}
