@deprecated("Use g.") extern void f();
control c() {
    apply {
        f();
    }
}
control C();
package P(C c);
P(c()) main;
