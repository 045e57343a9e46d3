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

struct batch {
	struct p4n_instance *inst;
	struct p4n_change *changes; /* NULL in CONTINUE mode */
	uint32_t n_changes;
	bool *held; /* by table, in ATOMIC mode: its changes would be seen, or depend on such */
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

static void settle(struct batch *b, struct p4n_change *c)
{
	if (c->settle)
		c->settle(b->inst, c);
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
	if (b->changes)
		b->changes[b->n_changes++] = change;
	else
		settle(b, &change);
	return P4N_OK;
}

static void undo(struct batch *b)
{
	while (b->n_changes) {
		struct p4n_change *c = &b->changes[--b->n_changes];

		if (c->undo)
			c->undo(b->inst, c);
	}
}

/* --- which of them when ------------------------------------------------------------------------ */

enum pass { PASS_ALL, PASS_UNSEEN, PASS_SEEN };

/* The record at `at`; NULL if it does not fit what is left: where the next one starts is unknown. */
static const struct p4n_record *record_at(const struct request *r, size_t at)
{
	const struct p4n_record *h = (const struct p4n_record *)(const void *)(r->records + at);

	if (r->len - at < sizeof(*h) || h->size < sizeof(*h) || h->size > r->len - at || h->size % 8)
		return NULL;
	return h;
}

/* Changes of a ternary table stay unseen until they are published, unless its entries name members
 * of a profile or the batch sets their direct resources in place. */
static void find_held(struct batch *b, const struct request *r)
{
	const struct p4n_pipeline *p = b->inst->pipeline;
	const struct p4n_record *h;
	size_t at = 0;

	for (uint32_t i = 0; i < p->n_tables; i++) {
		const struct p4n_table_writer *w = b->inst->tables[i]->writer;

		b->held[i] = !w->masked || w->profile;
	}
	for (uint32_t i = 0; i < r->count && (h = record_at(r, at)); i++, at += h->size)
		if ((h->op == OP_DIRECT || h->op == OP_KEEP_ACTION) && h->table < p->n_tables)
			b->held[h->table] = true;
}

static bool in_pass(const struct batch *b, const struct p4n_record *h, enum pass pass)
{
	bool unseen;

	if (pass == PASS_ALL)
		return true;
	if (h->op <= OP_DELETE)
		unseen = h->table < b->inst->pipeline->n_tables && !b->held[h->table];
	else
		unseen = (h->op >= OP_COUNTER && h->op <= OP_REGISTER) || h->op >= OP_DIGEST;
	return unseen == (pass == PASS_UNSEEN);
}

/* Runs the operations of a pass in order; the number that failed. */
static uint32_t run_pass(struct batch *b, const struct request *r, enum pass pass)
{
	const struct p4n_record *h;
	uint32_t failed = 0, i;
	size_t at = 0;

	for (i = 0; i < r->count; i++, at += h->size) {
		h = record_at(r, at);
		if (!h)
			break;
		if (!in_pass(b, h, pass))
			continue;
		/* Packets may go where entries before it send them, and no longer elsewhere. */
		if (pass == PASS_ALL && b->unpublished && h->op > OP_DEFAULT_DIRECT)
			publish(b);
		r->handles[i] = 0;
		r->status[i] = (int32_t)run(b, h, &r->handles[i]);
		failed += r->status[i] != P4N_OK;
		if (failed && r->mode != MODE_CONTINUE)
			return failed;
	}
	for (; i < r->count; i++, failed++)
		r->status[i] = P4N_BAD_RECORD;
	return failed;
}

/* --- whole batches ----------------------------------------------------------------------------- */

static uint32_t run_atomic(struct batch *b, const struct request *r)
{
	uint32_t failed;

	memset(r->status, 0, r->count * sizeof(*r->status));
	find_held(b, r);
	failed = run_pass(b, r, PASS_UNSEEN);
	for (uint32_t i = 0; !failed && i < b->inst->pipeline->n_tables; i++)
		p4n_table_prepare(b->inst->tables[i]);
	p4n_domain_pause(b->inst->domain);
	return failed ? failed : run_pass(b, r, PASS_SEEN);
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
		undo(b);
		abort_all(r->status, r->count, first_failure(r->status, r->count));
	}
	for (uint32_t i = 0; i < b->n_changes; i++)
		settle(b, &b->changes[i]);
	publish(b);
	if (r->mode == MODE_ATOMIC)
		p4n_domain_resume(b->inst->domain);
	p4n_limbo_flush(&b->inst->limbo);
}

/* status and handles have `count` places. Returns the number of failed operations; -1 without
 * memory, and then nothing was changed. */
P4N_EXPORT int64_t p4n_write(struct p4n_instance *inst, const uint8_t *records, size_t len,
			     uint32_t count, int mode, int32_t *status, uint64_t *handles)
{
	const struct request r = {records, len, count, mode, status, handles};
	struct batch b = {.inst = inst};
	uint32_t failed;

	if (mode != MODE_CONTINUE) {
		b.changes = malloc((count + 1) * sizeof(*b.changes));
		b.held = malloc(inst->pipeline->n_tables + 1);
		if (!b.changes || !b.held) {
			free(b.changes);
			free(b.held);
			return -1;
		}
	}
	pthread_mutex_lock(&inst->lock);
	failed = mode == MODE_ATOMIC ? run_atomic(&b, &r) : run_pass(&b, &r, PASS_ALL);
	finish(&b, &r, failed);
	pthread_mutex_unlock(&inst->lock);
	free(b.changes);
	free(b.held);
	return failed;
}
