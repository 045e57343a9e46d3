control c(out bit<8> never, out bit<8> sometimes, inout bit<8> z) {
    bit<8> x;
    action a(out bit<8> o) { }
    apply {
        z = x;
        if (z == 1) {
            sometimes = 1;
            x = 2;
        }
        z = x;
        a(z);
    }
}
control C(out bit<8> a, out bit<8> b, inout bit<8> d);
package P(C c);
P(c()) main;
