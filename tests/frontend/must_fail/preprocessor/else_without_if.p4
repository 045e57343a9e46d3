#else
#elif 1
#endif
