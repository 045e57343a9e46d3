#define
#define 1
#define F(a, a) a
#define defined 1
#ifdef
#endif
