const bit<8> = 1;
header H { bit<8> a }
control c() {
    apply {
        x = ;
        y 5;
    }
}
