#include core.p4
#line x
