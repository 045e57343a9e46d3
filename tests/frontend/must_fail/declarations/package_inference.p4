control C<T>(inout T x);
package P<T>(C<T> c, C<T> d);
control c1(inout bit<8> x) { apply { } }
control c2(inout bool x) { apply { } }
P(c1(), c2()) main;
