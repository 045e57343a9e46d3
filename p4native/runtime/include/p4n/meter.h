/* Token-bucket meters with BMv2's arithmetic: rates in units per microsecond, buckets that start
 * full, the highest rate first; the first bucket that is short decides the colour. */
#ifndef P4N_METER_H
#define P4N_METER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum p4n_colour { P4N_GREEN, P4N_YELLOW, P4N_RED };

#define P4N_METER_RATES 2u

struct p4n_meter_rate {
	double info_rate; /* units per microsecond */
	uint64_t burst;
	uint64_t tokens;
	uint64_t filled; /* tokens made since the meter's start */
};

struct p4n_meter_cell {
	atomic_flag lock;  /* taken only when packet threads share the meter */
	_Atomic bool configured;
	uint64_t since_us; /* when it was configured */
	struct p4n_meter_rate rate[P4N_METER_RATES];
};

struct p4n_meter {
	uint64_t size;
	uint32_t rates; /* pairs in use: 1 or 2 */
	bool bytes;     /* counts bytes rather than packets */
	struct p4n_meter_cell *cells;
};

/* Colour of a frame of `units` (1, or its bytes) at now_us; green while not configured. */
uint32_t p4n_meter_cell_execute(struct p4n_meter_cell *cell, uint32_t rates, uint64_t now_us,
				uint64_t units, bool shared);

#endif
