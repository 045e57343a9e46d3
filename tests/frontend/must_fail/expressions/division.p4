const bit<8> a = 8w1 / 0;
const int b = 1 % 0;
const int c = -1 / 2;
const int<8> d = 8s4 / 8s2;
