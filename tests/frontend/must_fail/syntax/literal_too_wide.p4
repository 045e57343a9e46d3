const bit<8> x = 4000w1;
