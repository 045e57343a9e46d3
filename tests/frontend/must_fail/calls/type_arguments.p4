extern void f<T>(in T a);
extern void g(in bit<8> a);
control c() {
    apply {
        f<bit<8>, bit<8>>(1);
        g<bit<8>>(1);
    }
}
