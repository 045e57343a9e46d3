struct S { }
typedef S<bit<8>> t;
