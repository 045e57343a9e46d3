header H { }
typedef H[0-1] a;
typedef H[99999999] b;
