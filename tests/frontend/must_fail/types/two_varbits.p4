header H {
    varbit<8> a;
    varbit<8> b;
}
