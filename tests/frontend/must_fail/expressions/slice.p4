const bit<8> a = 8w1[8:0];
const bit<8> b = 8w1[0:1];
const bit<8> c = true[1:0];
const bit<8> d = 8w1[-1:0];
control c1(in bit<8> n) {
    apply {
        bit<1> x = n[n:n];
        bit<4> y = n[6+:4];
        bit<4> z = n[0+:n];
    }
}
