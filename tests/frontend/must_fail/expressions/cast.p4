struct S { }
struct T { }
const bit<8> a = (bit<8>)true;
const bool b = (bool)2;
const int<8> c = (int<8>)16w1;
const bit<8> d = (bit<8>)"a";
control c1(in S s) {
    apply {
        T t = (T)s;
        tuple<> u = (tuple<>)s;
    }
}
