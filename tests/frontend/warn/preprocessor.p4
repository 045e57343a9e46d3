#define A 1
#define A 2
#warning "look here"
const bit<8> x = A;
control c(inout bit<8> y) { apply { y = x; } }
control C(inout bit<8> y);
package P(C c);
P(c()) main;
