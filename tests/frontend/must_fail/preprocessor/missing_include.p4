#include "nowhere.p4"
#include <neither.p4>
