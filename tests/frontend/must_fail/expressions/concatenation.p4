const bit<8> a = 1 ++ 8w1;
const bit<8> b = true ++ 8w1;
