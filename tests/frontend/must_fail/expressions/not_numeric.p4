const bit<8> a = true + false;
const string b = "a" + "b";
const int c = -true;
