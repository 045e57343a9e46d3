/* What packets leave in an entry: its direct counter, the colours of its direct meter, and the time of
 * the last hit.
 *
 * While an entry is in its table only packets write these words. What the control plane sets, and what
 * the entry's former selves have counted, is kept beside them and added when somebody asks: packets
 * that count need not be held. Packets may hit an entry after it was modified; what they have left in
 * it goes over to its next self when none can be in it any more. */
#ifndef P4N_OBSERVED_H
#define P4N_OBSERVED_H

#include "meter_config.h"

struct p4n_observed {
	uint64_t packets, bytes;
	uint64_t marks[P4N_MARK_WORDS];
};

/* A direct meter's cell, and what is added to its marks. */
struct p4n_direct_meter {
	struct p4n_meter_cell cell;
	uint64_t before[P4N_MARK_WORDS];
};

/* Makes sure that counts can be kept beside the entry's own; false without memory. */
bool p4n_observed_room(const struct p4n_table *t, struct p4n_entry *e);
/* All that was counted and not yet handed over: p4n_observed_await() first. */
struct p4n_observed p4n_observed_get(struct p4n_entry *e);
/* What must be kept beside the entry's own for it to have such counts now. */
struct p4n_observed p4n_observed_beside(struct p4n_entry *e, const struct p4n_observed *wanted);
/* Keeps it, as far as the flags F_COUNTER and F_MARKS say. There must be room. */
void p4n_observed_keep(struct p4n_entry *e, uint32_t flags, const struct p4n_observed *beside);
/* Retires `from`, which packets may still be in: what they leave in it goes to `to`, apart from what
 * the flags say that was set there. */
void p4n_hand_over(struct p4n_table *t, struct p4n_entry *from, struct p4n_entry *to, uint32_t set);
/* The same for what was set: it takes effect after what is handed over before it. */
void p4n_observed_set(struct p4n_instance *inst, struct p4n_entry *e, uint32_t flags,
		      const struct p4n_observed *beside);
/* What was to be handed over has been: waits for packets that are under way, if need be. */
void p4n_observed_await(struct p4n_instance *inst);

#endif
