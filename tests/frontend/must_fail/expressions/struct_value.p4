struct S { bit<8> a; bit<8> b; }
const S a = { a = 1 };
const S b = { a = 1, b = 2, c = 3 };
const bit<8> c = { a = 1 };
