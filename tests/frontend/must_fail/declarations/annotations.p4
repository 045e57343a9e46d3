#include <core.p4>
@name(4) const bit<8> a = 1;
@a[1] @a[2] const bit<8> b = 1;
@b[k = 8w1] const bit<8> c = 1;
@d[k = 1, k = 2] const bit<8> d = 1;
struct S {
    @match(1) bit<8> e;
    @length(later) bit<8> f;
}
