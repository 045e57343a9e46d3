extern bit<8> f();
void g(in bit<8> a = f()) { }
void h(out bit<8> a = 1) { }
void i(in bool a = 1) { }
