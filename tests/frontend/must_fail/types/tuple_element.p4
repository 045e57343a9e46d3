extern X { X(); }
typedef tuple<X> a;
typedef tuple<void> b;
typedef tuple<int> c;
