struct S<T> { T a; }
typedef S<bit<8>, bit<8>> t;
