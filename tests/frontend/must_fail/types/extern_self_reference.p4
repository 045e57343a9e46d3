extern E {
    void f(E e);
}
