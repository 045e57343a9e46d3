struct S { bit<8> a; }
const S s = { a = 1, a = 2 };
