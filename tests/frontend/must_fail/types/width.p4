const bit<0-1> a = 1;
const int<0> b = 1;
const bit<4000> c = 1;
