extern E { E(); }
extern void f(E e);
action a() {
    f(E());
}
