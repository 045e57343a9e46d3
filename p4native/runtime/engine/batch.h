/* Batches of operations: what a kind of object does for one of them.
 *
 * An operation checks, and takes effect at once if that can be undone. It leaves a note of how it
 * ends: `settle` when the whole batch is going to stand, `undo` when it is not. Cells of arrays and
 * digests wait for the first, entries of ternary tables to be published. The layout of records is written down in p4native/switch/records.py. */
#ifndef P4N_BATCH_H
#define P4N_BATCH_H

#include <p4n/record.h>

#include "internal.h"

/* records.Op in Python. */
enum p4n_op {
	OP_INSERT = 1,
	OP_MODIFY,
	OP_DELETE,
	OP_SET_DEFAULT,
	OP_RESET_DEFAULT,
	OP_KEEP_ACTION,
	OP_DIRECT,
	OP_DEFAULT_DIRECT,
	OP_MEMBER_INSERT,
	OP_MEMBER_MODIFY,
	OP_MEMBER_DELETE,
	OP_GROUP_INSERT,
	OP_GROUP_MODIFY,
	OP_GROUP_DELETE,
	OP_COUNTER,
	OP_METER,
	OP_REGISTER,
	OP_VALUE_SET,
	OP_MULTICAST,
	OP_MULTICAST_DELETE,
	OP_CLONE,
	OP_CLONE_DELETE,
	OP_DIGEST,
	OP_DIGEST_OFF,
	OP_END,
};

/* records.Flag in Python. */
enum { F_MEMBER = 1, F_GROUP = 2, F_CONST = 4, F_COUNTER = 8, F_METER = 16, F_MARKS = 32,
       F_NO_METER = 64 };

struct p4n_change {
	void (*settle)(struct p4n_instance *inst, struct p4n_change *c); /* NULL: nothing to do */
	void (*undo)(struct p4n_instance *inst, struct p4n_change *c);
	const struct p4n_record *record;
	void *object;
	void *from, *to; /* NULL: none before, none after */
};

static inline const uint8_t *p4n_payload(const struct p4n_record *h)
{
	return (const uint8_t *)(h + 1);
}

/* Whether what follows the head is n items of so many bytes, padded. */
static inline bool p4n_payload_is(const struct p4n_record *h, uint64_t n, uint64_t bytes)
{
	return h->size - sizeof(*h) == ((n * bytes + 7) & ~7ull);
}

/* Puts a new object, freed by free(), behind a pointer that packets follow: at once, until undone.
 * `at` points to an _Atomic pointer. */
void p4n_put(struct p4n_change *c, void *at, void *object);

/* record.c, direct.c */
enum p4n_status p4n_table_op(struct p4n_instance *inst, const struct p4n_record *h,
			     struct p4n_change *c, uint64_t *handle);
/* Sets an entry's direct resources in place, from what follows in the record at `at`. */
enum p4n_status p4n_set_direct(struct p4n_table *t, struct p4n_entry *e, const struct p4n_record *h,
			       const uint8_t *at, struct p4n_change *c);
/* profile.c */
enum p4n_status p4n_member_op(struct p4n_instance *inst, const struct p4n_record *h,
			      struct p4n_change *c);
enum p4n_status p4n_group_op(struct p4n_instance *inst, const struct p4n_record *h,
			     struct p4n_change *c);
/* cells.c, pre.c */
enum p4n_status p4n_value_set_op(struct p4n_instance *inst, const struct p4n_record *h,
				 struct p4n_change *c);
enum p4n_status p4n_replication_op(struct p4n_instance *inst, const struct p4n_record *h,
				   struct p4n_change *c);
/* What follows only checks: nothing is seen before it is settled. cells.c, learn.c */
enum p4n_status p4n_cells_op(struct p4n_instance *inst, const struct p4n_record *h,
			     struct p4n_change *c);
enum p4n_status p4n_digest_op(struct p4n_instance *inst, const struct p4n_record *h,
			      struct p4n_change *c);

#endif
