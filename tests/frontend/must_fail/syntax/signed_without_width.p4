const int x = 0s0;
