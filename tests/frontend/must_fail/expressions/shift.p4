const bit<8> a = 8w1 << -1;
const bit<8> b = true << 1;
const bit<8> d = 8w1 << 4294967296;
control c(in int<8> n, in bit<8> m) {
    apply {
        bit<8> x = 8w1 << n;
        bit<8> y = 1 << m;
        bit<8> z = m << true;
    }
}
