// The hybrid NIC as a card with little memory, for experiments on what happens when it is full.
#define SMALL_NIC
#include "hybrid_nic.p4"
