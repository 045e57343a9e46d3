struct S { bit<8> a; bit<8> b; }
const S a = { 1 };
const S b = { 1, 2, 3 };
const tuple<bit<8>> c = { 1, 2 };
