extern X { X(); }
const X x = 1;
