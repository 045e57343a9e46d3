const bool a = 1 && true;
const bool b = !1;
const bit<8> c = 1 ? 8w1 : 8w2;
