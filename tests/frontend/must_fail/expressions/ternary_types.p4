const bit<8> a = true ? 8w1 : 16w1;
const int b = true ? 1 : 2;
