extern bit<8> f();
const bit<8> x = f();
