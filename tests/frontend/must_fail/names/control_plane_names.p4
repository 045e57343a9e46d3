#include <core.p4>
control c() {
    @name("a") action a1() { }
    @name("a") action a2() { }
    table t {
        actions = { a1; a2; }
        default_action = a1;
    }
    apply { t.apply(); }
}
control C();
package P(C c);
P(c()) main;
