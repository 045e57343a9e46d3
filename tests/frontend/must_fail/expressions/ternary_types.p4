const bit<8> a = true ? 8w1 : 16w1;
control c(in bool b, out bit<8> x) {
    apply {
        x = b ? 1 : 2;
    }
}
