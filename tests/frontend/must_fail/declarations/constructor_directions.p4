extern E { E(in bit<8> x); }
control c()(in bit<8> x) { apply { } }
package P(in bit<8> x);
