#include <core.p4>
control c() {
    table t {
        key = { 8w1: exact @name("k"); }
        actions = { NoAction; }
    }
    apply { t.apply(); }
}
control C();
package P(C c);
P(c()) main;
