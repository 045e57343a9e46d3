struct S<T> { }
control C();
typedef S<C> t;
