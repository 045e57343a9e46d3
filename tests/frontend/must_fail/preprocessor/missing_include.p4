#include "nowhere.p4"
#include <neither.p4>
#include <psa.p4>
