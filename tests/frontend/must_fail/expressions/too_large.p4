const int a = (1 << 6000) * (1 << 6000);
const int b = (1 << 6000) << 6000;
