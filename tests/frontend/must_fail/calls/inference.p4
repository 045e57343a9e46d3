#include <core.p4>
extern T make<T>();
extern void same<T>(in T a, in T b);
extern void take<T>(in T a);
extern void get<T>(out T a);
control c(inout bit<8> x, inout bool y) {
    apply {
        make();
        same(x, y);
        take(1);
        take({ a = x });
        take("text");
        take({ 1, 2 });
    }
}
