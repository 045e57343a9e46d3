extern E<T> { E(); }
extern F<T> { F(T a, T b); }
E() e;
F(8w1, true) f;
