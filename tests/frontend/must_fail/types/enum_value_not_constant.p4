extern bit<8> f();
enum bit<8> E { A = f() }
