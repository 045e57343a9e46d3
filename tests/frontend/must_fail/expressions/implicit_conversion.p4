enum bit<8> E { A = 1 }
enum F { A }
type bit<8> N;
const bit<8> a = true;
const E b = 1;
const bool c = 1;
const F d = E.A;
const N e = 8w1;
