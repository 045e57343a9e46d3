struct S<T, T> { T a; }
