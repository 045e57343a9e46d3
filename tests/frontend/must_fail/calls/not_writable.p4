void f(out bit<8> a) { }
const bit<8> k = 1;
control c(in bit<8> x) {
    apply {
        f(k);
        f(x);
        f(1);
    }
}
