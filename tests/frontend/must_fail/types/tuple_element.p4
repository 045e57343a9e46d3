extern X { X(); }
typedef tuple<X> a;
typedef tuple<void> b;

