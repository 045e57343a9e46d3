enum E { A }
header H {
    E e;
    tuple<bit<8>> t;
}
