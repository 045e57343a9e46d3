struct S<T> { T a; }
typedef S t;
struct U { S s; }
