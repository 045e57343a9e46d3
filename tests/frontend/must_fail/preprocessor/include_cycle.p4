#include "include_cycle.p4"
