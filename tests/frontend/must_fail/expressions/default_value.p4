struct S { bit<8> a; }
extern E { E(list<S> l = ...); }
control c() {
    apply {
        bit<8> x = ...;
    }
}
