#include <core.p4>
control c(out bool b) {
    action a() { }
    table t {
        actions = { a; }
        default_action = a;
    }
    apply {
        b = t.apply().action_run == t.apply().action_run;
        b = t.apply().nothing;
    }
}
