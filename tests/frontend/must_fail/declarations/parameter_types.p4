extern E { }
control C();
control d() { apply { } }
extern void f(in E e);
extern void g(in string s);
extern void h(in int i);
void k(C c) { }
action a(int i, E e) { }
control c(d x) { apply { } }
