#include <core.p4>
control c() {
    apply {
        verify(true, error.NoError);
    }
}
