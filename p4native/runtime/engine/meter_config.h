/* Meter configuration as P4Runtime has it. */
#ifndef P4N_METER_CONFIG_H
#define P4N_METER_CONFIG_H

#include "internal.h"

/* Units per second, and units. */
struct p4n_meter_config {
	int64_t cir, cburst, pir, pburst;
};

/* NULL: always green. Buckets start full. No packet may be using the cell: pause first. */
void p4n_meter_configure(struct p4n_meter_cell *cell, const struct p4n_meter_config *config,
			 uint64_t now_us);
/* False when it has no configuration. */
bool p4n_meter_read(const struct p4n_meter_cell *cell, struct p4n_meter_config *config);

#endif
