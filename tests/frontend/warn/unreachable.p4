#include <core.p4>
parser p() {
    state start { }
    state other { transition reject; }
}
parser Q();
package P(Q q);
P(p()) main;
