#include <core.p4>
control c(in bit<8> x, in bool b) {
    apply {
        switch (x) {
            default: { }
            1: { }
        }
        switch (x) {
            1: { }
            1: { }
            true: { }
            x: { }
        }
        switch (b) { }
    }
}
