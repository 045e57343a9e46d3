enum bool E { A = 1 }
enum int F { A = 1 }
