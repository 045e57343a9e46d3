struct S { }
const S s = {#};
const bit<8> b = {#};
