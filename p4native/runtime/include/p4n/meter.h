/* Token-bucket meters with BMv2's arithmetic: rates in units per microsecond, buckets that start
 * full, the highest rate first; the first bucket that is short decides the colour. A single-rate
 * meter with an excess burst is RFC 2697's: what overflows the first bucket fills the second. */
#ifndef P4N_METER_H
#define P4N_METER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <p4n/counter.h>

enum p4n_colour { P4N_GREEN, P4N_YELLOW, P4N_RED, P4N_COLOURS };

#define P4N_METER_RATES 2u

/* As P4Runtime has it: units per second, and units. */
struct p4n_meter_config {
	int64_t cir, cburst, pir, pburst, eburst;
};

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
	struct p4n_meter_rate rate[P4N_METER_RATES]; /* with an excess burst: [1] is its bucket */
	struct p4n_meter_config config;
	struct p4n_counter_cell marked[P4N_COLOURS]; /* frames that got each colour */
};

struct p4n_meter {
	uint64_t size;
	uint32_t rates; /* pairs in use: 1 or 2 */
	bool bytes;     /* counts bytes rather than packets */
	struct p4n_meter_cell *cells;
};

/* Colour of a frame of so many bytes at now_us, by a cell of the meter or a direct one of its
 * kind; green while not configured. */
uint32_t p4n_meter_cell_execute(const struct p4n_meter *m, struct p4n_meter_cell *cell,
				uint64_t now_us, uint32_t bytes, bool shared);

#endif
