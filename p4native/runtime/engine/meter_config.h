/* What the control plane does with meter cells. */
#ifndef P4N_METER_CONFIG_H
#define P4N_METER_CONFIG_H

#include "internal.h"

/* Words in what counts the frames of each colour: packets and bytes, green first. */
#define P4N_MARK_WORDS (2u * P4N_COLOURS)

/* In records. */
enum {
	P4N_COUNT_BYTES = 2 * sizeof(uint64_t),
	P4N_METER_BYTES = sizeof(struct p4n_meter_config),
	P4N_MARK_BYTES = P4N_MARK_WORDS * sizeof(uint64_t)
};

/* NULL: always green. Buckets start full. No packet may be using the cell: pause first. */
void p4n_meter_configure(struct p4n_meter_cell *cell, const struct p4n_meter_config *config,
			 uint64_t now_us);
/* False when it has no configuration. */
bool p4n_meter_read(const struct p4n_meter_cell *cell, struct p4n_meter_config *config);
void p4n_meter_get_marks(const struct p4n_meter_cell *cell, uint64_t *marks);
void p4n_meter_put_marks(struct p4n_meter_cell *cell, const uint64_t *marks);

/* A cell's configuration and buckets, whole. No packet may be using the cell. */
struct p4n_meter_state {
	bool configured;
	uint64_t since_us;
	struct p4n_meter_rate rate[P4N_METER_RATES];
	struct p4n_meter_config config;
};

void p4n_meter_save(const struct p4n_meter_cell *cell, struct p4n_meter_state *out);
void p4n_meter_restore(struct p4n_meter_cell *cell, const struct p4n_meter_state *was);

#endif
