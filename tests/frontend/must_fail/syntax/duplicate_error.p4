error { A, B, A }
