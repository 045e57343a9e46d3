struct S { bit<8> a; }
const bool a = 1 < true;
const bool b = 8w1 == 16w1;
const bool c = "a" == 1;
const bool d = { a = 8w1 } == { a = 8w1 };
