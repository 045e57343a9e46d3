extern E {
    E();
    abstract bit<8> f(in bit<8> a);
}
package P(E e);
P(E()) main;
