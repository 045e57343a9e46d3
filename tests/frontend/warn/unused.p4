#include <core.p4>
const bit<8> k = 1;
@noWarn("unused") const bit<8> quiet = 1;
struct S<T> { }
enum E { A }
typedef bit<8> t8;
bit<8> f() { return 1; }
parser p() { state start { transition accept; } }
control c(inout bit<8> x) {
    bit<8> v;
    action a(bit<8> unused_parameter) { }
    table t { actions = { NoAction; } }
    apply {
        bit<8> w = 1;
    }
}
