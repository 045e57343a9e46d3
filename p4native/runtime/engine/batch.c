/* Batches of packed operations: one after the other, all or none, or all at once for packets.
 *
 * An atomic batch prepares what packets do not see yet, waits for every packet thread to be between
 * two packets, and does the rest while they stand still. */
#include <stdlib.h>

#include "batch.h"

enum mode { MODE_CONTINUE, MODE_ROLLBACK, MODE_ATOMIC };

struct request {
	const uint8_t *records;
	size_t len;
	uint32_t count;
	int mode;
	int32_t *status;
	uint64_t *handles;
};

/* What an atomic batch does to a table. */
struct part {
	uint32_t updates;
	bool in_place;
	bool unseen; /* packets see nothing of it before it is published */
};

struct place {
	const struct p4n_record *record;
	uint32_t index;
};

struct batch {
	struct p4n_instance *inst;
	/* NULL in CONTINUE mode: what has taken effect, and what waits until the batch is known to stand */
	struct p4n_change *changes, *waiting;
	uint32_t n_changes, n_waiting;
	struct part *parts; /* by table */
	struct place *held; /* operations for which packets are held */
	uint32_t n_held;
	bool unpublished; /* there may be changes of tables that packets do not see yet */
};

/* --- one operation ----------------------------------------------------------------------------- */

static enum p4n_status dispatch(struct p4n_instance *inst, const struct p4n_record *h,
				struct p4n_change *c, uint64_t *handle)
{
	if (h->op < OP_INSERT || h->op >= OP_END)
		return P4N_BAD_RECORD;
	if (h->op <= OP_DEFAULT_DIRECT)
		return p4n_table_op(inst, h, c, handle);
	if (h->op <= OP_MEMBER_DELETE)
		return p4n_member_op(inst, h, c);
	if (h->op <= OP_GROUP_DELETE)
		return p4n_group_op(inst, h, c);
	if (h->op <= OP_REGISTER)
		return p4n_cells_op(inst, h, c);
	if (h->op == OP_VALUE_SET)
		return p4n_value_set_op(inst, h, c);
	if (h->op <= OP_CLONE_DELETE)
		return p4n_replication_op(inst, h, c);
	return p4n_digest_op(inst, h, c);
}

static void settle_put(struct p4n_instance *inst, struct p4n_change *c)
{
	p4n_retire(&inst->limbo, p4n_free_plain, NULL, c->from, 256);
}

static void undo_put(struct p4n_instance *inst, struct p4n_change *c)
{
	atomic_store((void *_Atomic *)c->object, c->from);
	p4n_retire(&inst->limbo, p4n_free_plain, NULL, c->to, 256);
}

void p4n_put(struct p4n_change *c, void *at, void *object)
{
	c->settle = settle_put;
	c->undo = undo_put;
	c->object = at;
	c->to = object;
	c->from = atomic_exchange((void *_Atomic *)at, object);
}

static void settle(struct p4n_instance *inst, struct p4n_change *changes, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (changes[i].settle)
			changes[i].settle(inst, &changes[i]);
}

static void publish(struct batch *b)
{
	for (uint32_t i = 0; i < b->inst->pipeline->n_tables; i++)
		(void)p4n_table_publish(b->inst->tables[i]);
	b->unpublished = false;
}

/* Before what packets are sent to is taken away: those that entries before it in the batch, or in an
 * earlier one, sent there shall have arrived. */
static void let_arrive(struct batch *b, const struct p4n_record *h)
{
	bool taken = h->op == OP_MULTICAST_DELETE || h->op == OP_CLONE_DELETE;

	if (taken && b->inst->changed)
		p4n_domain_synchronize(b->inst->domain);
	b->inst->changed = !taken;
}

static enum p4n_status run(struct batch *b, const struct p4n_record *h, uint64_t *handle)
{
	struct p4n_change change = {.record = h};
	enum p4n_status s;

	let_arrive(b, h);
	s = dispatch(b->inst, h, &change, handle);
	b->unpublished = true;
	if (s != P4N_OK)
		return s;
	if (!b->changes)
		settle(b->inst, &change, 1);
	else if (change.undo)
		b->changes[b->n_changes++] = change;
	else
		b->waiting[b->n_waiting++] = change;
	return P4N_OK;
}

/* Undoes the latest changes, until `n` are left. */
static void undo(struct batch *b, uint32_t n)
{
	while (b->n_changes > n) {
		struct p4n_change *c = &b->changes[--b->n_changes];

		c->undo(b->inst, c);
	}
}

/* --- which of them when ------------------------------------------------------------------------ */

/* The record at `at`; NULL if it does not fit what is left: where the next one starts is unknown. */
static const struct p4n_record *record_at(const struct request *r, size_t at)
{
	const struct p4n_record *h = (const struct p4n_record *)(const void *)(r->records + at);

	if (r->len - at < sizeof(*h) || h->size < sizeof(*h) || h->size > r->len - at || h->size % 8)
		return NULL;
	return h;
}

/* Changes of a ternary table stay unseen until they are published, and those of others that were staged;
 * unless entries name members of a profile or the batch sets their direct resources in place. */
static bool can_be_unseen(struct p4n_table *t, const struct part *part)
{
	const struct p4n_table_writer *w = t->writer;

	if (!part->updates || w->profile || part->in_place)
		return false;
	return p4n_table_stage(t, part->updates);
}

static void plan(struct batch *b, const struct request *r)
{
	const struct p4n_pipeline *p = b->inst->pipeline;
	const struct p4n_record *h;
	size_t at = 0;

	for (uint32_t i = 0; i < r->count && (h = record_at(r, at)); i++, at += h->size) {
		struct part *part = &b->parts[h->table < p->n_tables ? h->table : p->n_tables];

		part->updates += h->op <= OP_DELETE;
		part->in_place |= h->op == OP_DIRECT || h->op == OP_KEEP_ACTION;
	}
	for (uint32_t i = 0; i < p->n_tables; i++)
		b->parts[i].unseen = can_be_unseen(b->inst->tables[i], &b->parts[i]);
}

static bool is_unseen(const struct batch *b, const struct p4n_record *h)
{
	if (h->op <= OP_DELETE)
		return h->table < b->inst->pipeline->n_tables && b->parts[h->table].unseen;
	return (h->op >= OP_COUNTER && h->op <= OP_REGISTER) || h->op >= OP_DIGEST;
}

static bool run_one(struct batch *b, const struct request *r, const struct p4n_record *h,
		    uint32_t index)
{
	r->handles[index] = 0;
	r->status[index] = (int32_t)run(b, h, &r->handles[index]);
	return r->status[index] == P4N_OK;
}

/* Operations from `i` on of which it is not known where they start. */
static uint32_t refuse_rest(const struct request *r, uint32_t i)
{
	uint32_t failed = r->count - i;

	for (; i < r->count; i++)
		r->status[i] = P4N_BAD_RECORD;
	return failed;
}

/* One after the other; the number that failed. */
static uint32_t run_all(struct batch *b, const struct request *r)
{
	const struct p4n_record *h;
	uint32_t failed = 0, i;
	size_t at = 0;

	for (i = 0; i < r->count && (h = record_at(r, at)); i++, at += h->size) {
		/* Packets may go where entries before it send them, and no longer elsewhere. */
		if (b->unpublished && h->op > OP_DEFAULT_DIRECT)
			publish(b);
		failed += !run_one(b, r, h, i);
		if (failed && r->mode != MODE_CONTINUE)
			return failed;
	}
	return failed + refuse_rest(r, i);
}

/* Those of which packets see nothing yet, and a list of the others; the number that failed. */
static uint32_t run_unseen(struct batch *b, const struct request *r)
{
	const struct p4n_record *h;
	size_t at = 0;
	uint32_t i;

	for (i = 0; i < r->count && (h = record_at(r, at)); i++, at += h->size) {
		if (!is_unseen(b, h))
			b->held[b->n_held++] = (struct place){h, i};
		else if (!run_one(b, r, h, i))
			return 1;
	}
	return refuse_rest(r, i);
}

static uint32_t run_held(struct batch *b, const struct request *r)
{
	for (uint32_t i = 0; i < b->n_held; i++)
		if (!run_one(b, r, b->held[i].record, b->held[i].index))
			return 1;
	return 0;
}

/* --- whole batches ----------------------------------------------------------------------------- */

/* What can be done before and after packets are held is. */
static uint32_t run_atomic(struct batch *b, const struct request *r)
{
	uint32_t failed, unseen;

	memset(r->status, 0, r->count * sizeof(*r->status));
	plan(b, r);
	failed = run_unseen(b, r);
	if (failed)
		return failed;
	unseen = b->n_changes; /* so many of them */
	for (uint32_t i = 0; i < b->inst->pipeline->n_tables; i++)
		p4n_table_prepare(b->inst->tables[i]);
	p4n_domain_pause(b->inst->domain);
	failed = run_held(b, r);
	if (failed) {
		undo(b, unseen);
	} else {
		settle(b->inst, b->waiting, b->n_waiting);
		b->n_waiting = 0;
		publish(b);
	}
	p4n_domain_resume(b->inst->domain);
	return failed;
}

static void abort_all(int32_t *status, uint32_t count, uint32_t bad)
{
	for (uint32_t i = 0; i < count; i++)
		if (i != bad)
			status[i] = P4N_ABORTED;
}

static uint32_t first_failure(const int32_t *status, uint32_t count)
{
	uint32_t i = 0;

	while (i < count && status[i] == P4N_OK)
		i++;
	return i;
}

static void finish(struct batch *b, const struct request *r, uint32_t failed)
{
	if (failed && b->changes) {
		undo(b, 0);
		abort_all(r->status, r->count, first_failure(r->status, r->count));
	} else {
		settle(b->inst, b->waiting, b->n_waiting);
		settle(b->inst, b->changes, b->n_changes);
	}
	publish(b);
	p4n_limbo_flush(&b->inst->limbo);
}

/* Memory that is not used is not touched. */
static bool make_room(struct batch *b, uint32_t count)
{
	b->changes = malloc((count + 1) * sizeof(*b->changes));
	b->waiting = malloc((count + 1) * sizeof(*b->waiting));
	b->held = malloc((count + 1) * sizeof(*b->held));
	b->parts = calloc(b->inst->pipeline->n_tables + 1, sizeof(*b->parts));
	return b->changes && b->waiting && b->held && b->parts;
}

static void free_room(struct batch *b)
{
	free(b->changes);
	free(b->waiting);
	free(b->held);
	free(b->parts);
}

/* status and handles have `count` places. Returns the number of failed operations; -1 without
 * memory, and then nothing was changed. */
P4N_EXPORT int64_t p4n_write(struct p4n_instance *inst, const uint8_t *records, size_t len,
			     uint32_t count, int mode, int32_t *status, uint64_t *handles)
{
	const struct request r = {records, len, count, mode, status, handles};
	struct batch b = {.inst = inst};
	uint32_t failed;

	if (mode != MODE_CONTINUE && !make_room(&b, count)) {
		free_room(&b);
		return -1;
	}
	pthread_mutex_lock(&inst->lock);
	failed = mode == MODE_ATOMIC ? run_atomic(&b, &r) : run_all(&b, &r);
	finish(&b, &r, failed);
	pthread_mutex_unlock(&inst->lock);
	free_room(&b);
	return failed;
}
