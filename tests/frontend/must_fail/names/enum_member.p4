enum E { A }
const E e = E.B;
