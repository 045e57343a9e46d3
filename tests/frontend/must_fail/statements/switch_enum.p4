#include <core.p4>
enum bit<8> E { A = 1 }
control c(in E e) {
    apply {
        switch (e) {
            1: { }
        }
    }
}
