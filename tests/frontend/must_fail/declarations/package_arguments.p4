control C(inout bit<8> x);
parser Q();
package P(C c);
control c1(in bit<8> x) { apply { } }
control c2(inout bool x) { apply { } }
control c3() { apply { } }
parser q() { state start { transition accept; } }
P(c1()) p1;
P(c2()) p2;
P(c3()) p3;
P(q()) p4;
P() p5;
