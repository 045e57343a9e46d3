/* Batches of packed operations on tables, and entries packed for reading. The layout is written
 * down in p4native/switch/records.py. */
#include <stdlib.h>

#include <p4n/record.h>

#include "meter_config.h"

enum op { OP_INSERT = 1, OP_MODIFY, OP_DELETE, OP_SET_DEFAULT, OP_RESET_DEFAULT };

enum { F_MEMBER = 1, F_GROUP = 2, F_CONST = 4, F_COUNTER = 8, F_METER = 16, F_MARKS = 32 };

enum {
	METER_BYTES = sizeof(struct p4n_meter_config),
	MARK_BYTES = P4N_MARK_WORDS * sizeof(uint64_t)
};

enum mode { MODE_CONTINUE, MODE_ROLLBACK, MODE_ATOMIC };

/* What an operation changed, so that it can be undone. */
struct change {
	struct p4n_table *table;
	struct p4n_entry *from, *to; /* NULL: none before, none after */
	bool fallback;
};

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
	struct change *changes; /* NULL in CONTINUE mode */
	uint32_t n_changes;
};

/* --- one operation ----------------------------------------------------------------------------- */

static bool well_formed(const struct p4n_table *t, const struct p4n_record *h)
{
	const struct p4n_table_writer *w = t->writer;
	uint64_t need = sizeof(*h) + (uint64_t)p4n_pad8(h->data_bytes) + p4n_pad8(h->note_bytes);

	if (h->op <= OP_DELETE)
		need += (uint64_t)w->key_pad * (w->masked ? 2 : 1);
	need += (h->flags & F_COUNTER ? 16 : 0) + (h->flags & F_METER ? METER_BYTES : 0) +
		(h->flags & F_MARKS ? MARK_BYTES : 0);
	return h->size == need;
}

static bool action_fits(const struct p4n_table *t, const struct p4n_record *h)
{
	const struct p4n_action_desc *a;

	for (uint32_t i = 0; i < t->desc->n_actions; i++)
		if (t->desc->actions[i] == h->action) {
			a = p4n_find_action(t->writer->inst, h->action);
			return a && a->data_bytes == h->data_bytes;
		}
	return false;
}

/* The clock of idle times wraps after 49 days: longer ones end a little earlier. */
static uint32_t idle_ms(uint64_t ns)
{
	uint64_t ms = (ns + 999999) / 1000000;

	return ms > P4N_MAX_IDLE_MS ? P4N_MAX_IDLE_MS : (uint32_t)ms;
}

/* Action, note, idle time, counter and meter from the part of the record behind key and mask. */
static enum p4n_status fill(struct p4n_table *t, struct p4n_entry *e, const struct p4n_record *h,
			    const uint8_t *at)
{
	struct p4n_table_writer *w = t->writer;

	e->action = h->action;
	e->flags = h->flags & (F_MEMBER | F_GROUP);
	if (e->flags ? !w->profile : !action_fits(t, h))
		return P4N_BAD_ACTION;
	if (h->data_bytes)
		memcpy(e->data, at, h->data_bytes);
	at += p4n_pad8(h->data_bytes);
	if (h->note_bytes || h->idle_ns) {
		e->note = malloc(sizeof(*e->note) + h->note_bytes);
		if (!e->note)
			return P4N_NO_MEMORY;
		e->note->idle_ns = h->idle_ns;
		e->note->bytes = h->note_bytes;
		memcpy(e->note->data, at, h->note_bytes);
		e->idle_ms = idle_ms(h->idle_ns);
	}
	at += p4n_pad8(h->note_bytes);
	if (h->flags & F_COUNTER) {
		uint64_t n[2];

		memcpy(n, at, sizeof(n));
		at += sizeof(n);
		atomic_store_explicit(&e->packets, n[0], memory_order_relaxed);
		atomic_store_explicit(&e->bytes, n[1], memory_order_relaxed);
	}
	if (h->flags & F_METER && e->meter) {
		struct p4n_meter_config config;

		memcpy(&config, at, sizeof(config));
		p4n_meter_configure(e->meter, &config, p4n_device_now_us(w->inst->device));
	}
	at += h->flags & F_METER ? METER_BYTES : 0;
	if (h->flags & F_MARKS && e->meter)
		p4n_meter_put_marks(e->meter, (const uint64_t *)(const void *)at);
	return e->flags ? p4n_profile_bind(w->profile, e) : P4N_OK;
}

static void take_identity(struct p4n_table *t, struct p4n_entry *e, const struct p4n_record *h,
			  const uint8_t *body)
{
	struct p4n_table_writer *w = t->writer;

	memcpy(e->data + w->key_off, body, w->key_pad * (w->masked ? 2u : 1u));
	e->priority = w->masked ? h->priority : 0;
	e->prefix_len = w->prefixed ? h->prefix_len : 0;
}

static void unbind(struct p4n_table *t, struct p4n_entry *e)
{
	if (e->flags & (F_MEMBER | F_GROUP))
		p4n_profile_unbind(t->writer->profile, e);
}

/* The entry left the table for good. */
static void discard(struct p4n_table *t, struct p4n_entry *e)
{
	unbind(t, e);
	p4n_retire(&t->writer->inst->limbo, p4n_entry_free, t, e, t->writer->slab.stride);
}

static void done(struct batch *b, struct p4n_table *t, struct p4n_entry *from,
		 struct p4n_entry *to, bool fallback)
{
	if (b->changes)
		b->changes[b->n_changes++] = (struct change){t, from, to, fallback};
	else if (from && from != t->writer->program_default)
		discard(t, from);
}

/* What the operation does not set goes on from where the entry's former self is. */
static void keep_counters(struct p4n_entry *to, struct p4n_entry *from, uint32_t set)
{
	if (!(set & F_COUNTER)) {
		atomic_store_explicit(&to->packets, atomic_load(&from->packets),
				      memory_order_relaxed);
		atomic_store_explicit(&to->bytes, atomic_load(&from->bytes), memory_order_relaxed);
	}
	if (!(set & F_MARKS) && to->meter && from->meter) {
		uint64_t marks[P4N_MARK_WORDS];

		p4n_meter_get_marks(from->meter, marks);
		p4n_meter_put_marks(to->meter, marks);
	}
}

/* Direct resources of the program's own default as they were in the beginning. */
static void forget(struct p4n_entry *e)
{
	static const uint64_t none[P4N_MARK_WORDS];

	atomic_store_explicit(&e->packets, 0, memory_order_relaxed);
	atomic_store_explicit(&e->bytes, 0, memory_order_relaxed);
	if (e->meter) {
		p4n_meter_configure(e->meter, NULL, 0);
		p4n_meter_put_marks(e->meter, none);
	}
}

static enum p4n_status insert_or_modify(struct batch *b, struct p4n_table *t,
					const struct p4n_record *h, struct p4n_entry *e,
					const uint8_t *rest)
{
	struct p4n_entry *old = p4n_table_find(t, e);
	enum p4n_status s;

	if (h->op == OP_INSERT && old)
		return P4N_EXISTS;
	if (h->op == OP_MODIFY && !old)
		return P4N_MISSING;
	if (old && old->flags & P4N_ENTRY_CONST)
		return P4N_CONST;
	s = fill(t, e, h, rest);
	if (s != P4N_OK)
		return s;
	if (old)
		keep_counters(e, old, h->flags);
	s = old ? p4n_table_replace(t, old, e) : p4n_table_insert(t, e);
	if (s != P4N_OK) {
		unbind(t, e);
		return s;
	}
	done(b, t, old, e, false);
	return P4N_OK;
}

static enum p4n_status entry_op(struct batch *b, struct p4n_table *t, const struct p4n_record *h,
				uint64_t *handle)
{
	const uint8_t *body = (const uint8_t *)(h + 1);
	struct p4n_table_writer *w = t->writer;
	struct p4n_entry *e, *old;
	enum p4n_status s;

	if (t->desc->const_entries)
		return P4N_CONST;
	e = p4n_entry_create(t);
	if (!e)
		return P4N_NO_MEMORY;
	take_identity(t, e, h, body);
	s = t->desc->key_bytes && p4n_entry_normalise(t, e) ? P4N_OK : P4N_BAD_RECORD;
	if (s == P4N_OK && h->op != OP_DELETE)
		s = insert_or_modify(b, t, h, e, body + w->key_pad * (w->masked ? 2u : 1u));
	if (s == P4N_OK && h->op != OP_DELETE) {
		*handle = e->handle;
		return s;
	}
	if (s == P4N_OK) {
		old = p4n_table_find(t, e);
		s = !old ? P4N_MISSING : old->flags & P4N_ENTRY_CONST ? P4N_CONST
								      : p4n_table_remove(t, old);
		if (s == P4N_OK)
			done(b, t, old, NULL, false);
	}
	p4n_entry_free(t, e);
	return s;
}

static enum p4n_status default_op(struct batch *b, struct p4n_table *t, const struct p4n_record *h)
{
	struct p4n_entry *e = t->writer->program_default, *old;
	enum p4n_status s;

	if (t->desc->const_default)
		return P4N_CONST;
	if (h->op == OP_SET_DEFAULT) {
		e = p4n_entry_create(t);
		if (!e)
			return P4N_NO_MEMORY;
		s = fill(t, e, h, (const uint8_t *)(h + 1));
		if (s != P4N_OK) {
			p4n_entry_free(t, e);
			return s;
		}
		e->handle = P4N_NONE;
		keep_counters(e, atomic_load(&t->fallback), h->flags);
	} else {
		forget(e);
	}
	old = atomic_exchange(&t->fallback, e);
	if (old != e)
		done(b, t, old, e, true);
	return P4N_OK;
}

static enum p4n_status run(struct batch *b, const struct p4n_record *h, uint64_t *handle)
{
	const struct p4n_pipeline *p = b->inst->pipeline;
	struct p4n_table *t;

	if (h->table >= p->n_tables || h->op < OP_INSERT || h->op > OP_RESET_DEFAULT)
		return P4N_BAD_RECORD;
	t = b->inst->tables[h->table];
	if (!well_formed(t, h))
		return P4N_BAD_RECORD;
	return h->op >= OP_SET_DEFAULT ? default_op(b, t, h) : entry_op(b, t, h, handle);
}

/* --- batches ----------------------------------------------------------------------------------- */

static void undo(struct batch *b)
{
	while (b->n_changes) {
		struct change *c = &b->changes[--b->n_changes];
		struct p4n_table *t = c->table;

		if (c->fallback)
			atomic_store(&t->fallback, c->from);
		else if (c->from && c->to)
			(void)p4n_table_replace(t, c->to, c->from);
		else if (c->to)
			(void)p4n_table_remove(t, c->to);
		else
			(void)p4n_table_restore(t, c->from);
		if (c->to && c->to != t->writer->program_default)
			discard(t, c->to);
	}
}

static void keep(struct batch *b)
{
	for (uint32_t i = 0; i < b->n_changes; i++) {
		struct change *c = &b->changes[i];

		if (c->from && c->from != c->table->writer->program_default)
			discard(c->table, c->from);
	}
}

static void publish(struct p4n_instance *inst)
{
	for (uint32_t i = 0; i < inst->pipeline->n_tables; i++)
		(void)p4n_table_publish(inst->tables[i]);
}

/* Which operations of a batch to run: changes of ternary tables stay unseen until they are
 * published, so an atomic batch does those before it holds packets up. */
enum pass { PASS_ALL, PASS_UNSEEN, PASS_SEEN };

static bool in_pass(const struct batch *b, const struct p4n_record *h, enum pass pass)
{
	bool unseen = h->table < b->inst->pipeline->n_tables && h->op <= OP_DELETE &&
		      b->inst->tables[h->table]->writer->masked;

	return pass == PASS_ALL || unseen == (pass == PASS_UNSEEN);
}

/* Runs the operations of a pass in order; the number that failed. */
static uint32_t run_pass(struct batch *b, const struct request *r, enum pass pass)
{
	uint32_t failed = 0, i;
	size_t at = 0;

	for (i = 0; i < r->count; i++) {
		const struct p4n_record *h = (const struct p4n_record *)(const void *)(r->records + at);

		if (r->len - at < sizeof(*h) || h->size < sizeof(*h) || h->size > r->len - at ||
		    h->size % 8) {
			/* Where the next one starts is unknown. */
			for (; i < r->count; i++, failed++)
				r->status[i] = P4N_BAD_RECORD;
			return failed;
		}
		at += h->size;
		if (!in_pass(b, h, pass))
			continue;
		r->handles[i] = 0;
		r->status[i] = (int32_t)run(b, h, &r->handles[i]);
		if (r->status[i] != P4N_OK) {
			failed++;
			if (r->mode != MODE_CONTINUE)
				break;
		}
	}
	return failed;
}

static uint32_t run_atomic(struct batch *b, const struct request *r)
{
	uint32_t failed;

	memset(r->status, 0, r->count * sizeof(*r->status));
	failed = run_pass(b, r, PASS_UNSEEN);
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
	keep(b);
	publish(b->inst);
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
		if (!b.changes)
			return -1;
	}
	pthread_mutex_lock(&inst->lock);
	failed = mode == MODE_ATOMIC ? run_atomic(&b, &r) : run_pass(&b, &r, PASS_ALL);
	finish(&b, &r, failed);
	pthread_mutex_unlock(&inst->lock);
	free(b.changes);
	return failed;
}

/* --- reading ----------------------------------------------------------------------------------- */

static uint32_t data_bytes(const struct p4n_table *t, const struct p4n_entry *e)
{
	const struct p4n_action_desc *a;

	if (e->flags & (F_MEMBER | F_GROUP))
		return 0;
	a = p4n_find_action(t->writer->inst, e->action);
	return a ? a->data_bytes : 0;
}

static uint8_t *put(uint8_t *at, const void *from, uint32_t bytes)
{
	memcpy(at, from, bytes);
	memset(at + bytes, 0, p4n_pad8(bytes) - bytes);
	return at + p4n_pad8(bytes);
}

static uint32_t packed_size(const struct p4n_table *t, const struct p4n_entry *e)
{
	const struct p4n_table_writer *w = t->writer;
	uint32_t note = e->note ? e->note->bytes : 0;

	return (uint32_t)sizeof(struct p4n_record) + w->key_pad * (w->masked ? 2 : 1) +
	       p4n_pad8(data_bytes(t, e)) + p4n_pad8(note) + (t->counted ? 16 : 0) +
	       (e->meter ? METER_BYTES + MARK_BYTES : 0);
}

static uint8_t *pack(struct p4n_table *t, struct p4n_entry *e, uint8_t *at, uint32_t now_ms)
{
	const struct p4n_table_writer *w = t->writer;
	struct p4n_meter_config config;
	bool metered = e->meter && p4n_meter_read(e->meter, &config);
	struct p4n_record h = {
		.size = packed_size(t, e) - (e->meter && !metered ? METER_BYTES : 0),
		.table = (uint16_t)w->index,
		.action = e->action,
		.flags = e->flags | (t->counted ? F_COUNTER : 0) | (metered ? F_METER : 0) |
			 (e->meter ? F_MARKS : 0),
		.priority = e->priority,
		.prefix_len = e->prefix_len,
		.idle_ns = e->note ? e->note->idle_ns : 0,
		.data_bytes = (uint16_t)data_bytes(t, e),
		.note_bytes = (uint16_t)(e->note ? e->note->bytes : 0),
		.handle = e->handle,
		.age_ns = (uint64_t)p4n_age_ms(now_ms, atomic_load(&e->last_hit)) * 1000000,
	};
	uint64_t counts[2] = {atomic_load(&e->packets), atomic_load(&e->bytes)};

	at = put(at, &h, sizeof(h));
	at = put(at, e->data + w->key_off, w->key_pad * (w->masked ? 2u : 1u));
	at = put(at, e->data, h.data_bytes);
	if (e->note)
		at = put(at, e->note->data, e->note->bytes);
	if (t->counted)
		at = put(at, counts, sizeof(counts));
	if (metered)
		at = put(at, &config, sizeof(config));
	if (e->meter) {
		uint64_t marks[P4N_MARK_WORDS];

		p4n_meter_get_marks(e->meter, marks);
		at = put(at, marks, sizeof(marks));
	}
	return at;
}

/* Packs entries with handles from *next on, as many as fit; sets *next past the last one, to
 * UINT32_MAX at the end of the table. Returns the bytes used, and the entries in *count. */
P4N_EXPORT size_t p4n_read(struct p4n_instance *inst, uint32_t table, uint32_t *next, uint8_t *out,
			   size_t cap, uint32_t limit, uint32_t *count)
{
	struct p4n_table *t = inst->tables[table];
	struct p4n_table_writer *w = t->writer;
	uint32_t now_ms = p4n_device_now_ms(inst->device), i;
	uint8_t *at = out;

	*count = 0;
	pthread_mutex_lock(&inst->lock);
	for (i = *next; i < w->handles && *count < limit; i++) {
		struct p4n_entry *e = w->by_handle[i];

		if (!e)
			continue;
		if (packed_size(t, e) > cap - (size_t)(at - out))
			break;
		at = pack(t, e, at, now_ms);
		(*count)++;
	}
	*next = i < w->handles ? i : UINT32_MAX;
	pthread_mutex_unlock(&inst->lock);
	return (size_t)(at - out);
}

/* The entry that a packed DELETE record names (handle UINT64_MAX in its header), or the one with the
 * header's handle; op SET_DEFAULT: the default entry. Bytes packed, 0 if there is none. */
P4N_EXPORT size_t p4n_read_one(struct p4n_instance *inst, const uint8_t *record, uint8_t *out,
			       size_t cap)
{
	const struct p4n_record *h = (const struct p4n_record *)(const void *)record;
	struct p4n_table *t = inst->tables[h->table];
	struct p4n_entry *e = NULL, *like;
	size_t bytes = 0;

	pthread_mutex_lock(&inst->lock);
	if (h->op == OP_SET_DEFAULT) {
		e = atomic_load(&t->fallback);
		e = e->action == P4N_NONE ? NULL : e;
	} else if (h->handle != UINT64_MAX) {
		e = p4n_table_entry(t, (uint32_t)h->handle);
	} else if ((like = p4n_entry_create(t))) {
		take_identity(t, like, h, (const uint8_t *)(h + 1));
		e = t->desc->key_bytes && p4n_entry_normalise(t, like) ? p4n_table_find(t, like)
								       : NULL;
		p4n_entry_free(t, like);
	}
	if (e && packed_size(t, e) <= cap)
		bytes = (size_t)(pack(t, e, out, p4n_device_now_ms(inst->device)) - out);
	pthread_mutex_unlock(&inst->lock);
	return bytes;
}

P4N_EXPORT uint32_t p4n_entry_count(struct p4n_instance *inst, uint32_t table)
{
	return inst->tables[table]->writer->count;
}
