const bit<8> a = true;
const bit<8> b = c;
const bit<8> a = 1;
