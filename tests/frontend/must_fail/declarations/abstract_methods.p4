extern E {
    E();
    abstract bit<8> f(in bit<8> a);
}
extern F { F(); }
E() e1;
E() e2 = { };
E() e3 = {
    bit<8> f(in bit<16> a) { return 1; }
};
E() e4 = {
    bit<8> f(in bit<8> a) { return a; }
    bit<8> g(in bit<8> a) { return a; }
};
F() f1 = {
    bit<8> g(in bit<8> a) { return a; }
};
