#include <core.p4>
control c() {
    table t { actions = { NoAction; } }
    apply {
        t.apply(1);
    }
}
