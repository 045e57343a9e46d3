#if (1 +
#endif
#if 1 / 0
#endif
#if a b
#endif
