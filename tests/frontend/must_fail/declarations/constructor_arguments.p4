extern E { E(bit<8> x); }
extern bit<8> f();
E() e1;
E(1, 2) e2;
E(f()) e3;
E(true) e4;
extern F { }
F() e5;
