extern E { E(); }
struct S { bit<8> a; }
control c() {
    apply {
        bit<32> x = (bit<32>)S.minSizeInBits(1);
    }
}
