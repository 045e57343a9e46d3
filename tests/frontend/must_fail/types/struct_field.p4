extern X { X(); }
struct S {
    X x;
    int i;
    string s;
}
