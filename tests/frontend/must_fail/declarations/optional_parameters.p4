void f(@optional in bit<8> a) { }
control c()(@optional bit<8> a) { apply { } }
extern void g(@optional in bit<8> a = 1);
