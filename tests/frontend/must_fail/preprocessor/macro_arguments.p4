#define F(a, b) a
const bit<8> x = F(1);
const bit<8> y = F(1, 2
