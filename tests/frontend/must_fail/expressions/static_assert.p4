#include <core.p4>
const bool a = static_assert(1 > 2, "one is not more than two");
extern bool f();
const bool b = static_assert(f());
