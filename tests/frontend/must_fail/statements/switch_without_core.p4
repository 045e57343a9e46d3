control c(in bit<8> x) {
    apply {
        switch (x) {
            1: { }
        }
    }
}
