struct S<T> { T a; }
typedef S<S<bit<8>>> t;
