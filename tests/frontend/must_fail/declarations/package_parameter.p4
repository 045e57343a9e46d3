control C();
package P(C c);
control c()(P p) { apply { } }
