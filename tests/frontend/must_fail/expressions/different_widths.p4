const bit<8> x = 8w1 + 16w1;
const bit<8> y = 8w1 + 8s1;
