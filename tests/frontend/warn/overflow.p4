const bit<8> a = 256;
const int<8> b = 200;
const bit<4> c = -1;
const bit<8> d = 4w16 ++ 4w1;
const bit<8> e = 8w1 << 8;
