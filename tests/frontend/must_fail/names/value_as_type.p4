extern void f<T>(in T t);
const bit<8> k = 1;
control c() {
    apply {
        f<k>(1);
    }
}
