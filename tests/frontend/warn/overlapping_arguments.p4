#include <core.p4>
header H { bit<8> a; bit<8> b; }
struct S { H[2] h; bit<16> w; }
void f(inout bit<8> x, out bit<8> y) { x = x + 1; y = x; }
void g(in bit<8> x, out bit<8> y) { y = x; }
void k(inout bit<16> x, out bit<8> y) { x = x + 1; y = 2; }
void m(inout H x, out bit<8> y) { y = 2; }
control c(inout S s, inout bit<1> i) {
    apply {
        f(s.h[0].a, s.h[0].a);
        f(s.h[0].a, s.h[i].a);
        k(s.w, s.w[7:0]);
        m(s.h[1], s.h[1].b);
        f(s.h[0].a, s.h[1].a);
        f(s.h[0].a, s.h[0].b);
        g(s.h[0].a, s.h[0].a);
        f(s.w[7:0], s.w[15:8]);
        @noWarn("ordering") { f(s.h[0].a, s.h[0].a); }
    }
}
control C(inout S s, inout bit<1> i);
package Q(C c);
Q(c()) main;
