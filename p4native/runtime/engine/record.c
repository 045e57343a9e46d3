/* Operations on tables: entries and defaults. */
#include <stdlib.h>

#include "batch.h"
#include "observed.h"

static bool keyed(const struct p4n_record *h)
{
	return h->op <= OP_DELETE || h->op == OP_KEEP_ACTION || h->op == OP_DIRECT;
}

static uint32_t key_bytes(const struct p4n_table *t)
{
	return t->writer->key_pad * (t->writer->masked ? 2u : 1u);
}

static bool well_formed(const struct p4n_table *t, const struct p4n_record *h)
{
	uint64_t need = sizeof(*h) + (uint64_t)p4n_pad8(h->data_bytes) + p4n_pad8(h->note_bytes);

	need += keyed(h) ? key_bytes(t) : 0;
	need += (h->flags & F_COUNTER ? P4N_COUNT_BYTES : 0) + (h->flags & F_METER ? P4N_METER_BYTES : 0) +
		(h->flags & F_MARKS ? P4N_MARK_BYTES : 0);
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

/* --- what an entry holds besides its key ------------------------------------------------------- */

/* Note and idle time; returns where the direct resources are in the record. */
static enum p4n_status fill_note(struct p4n_table *t, struct p4n_entry *e,
				 const struct p4n_record *h, const uint8_t **at)
{
	if (h->note_bytes || h->idle_ns) {
		e->note = calloc(1, sizeof(*e->note) + h->note_bytes);
		if (!e->note)
			return P4N_NO_MEMORY;
		e->note->idle_ns = h->idle_ns;
		e->note->bytes = h->note_bytes;
		memcpy(e->note->data, *at, h->note_bytes);
		e->idle_ms = idle_ms(h->idle_ns);
	}
	*at += p4n_pad8(h->note_bytes);
	/* An entry that takes another's place takes over its counts. */
	if (h->op == OP_INSERT && !(h->flags & F_COUNTER))
		return P4N_OK;
	return p4n_observed_room(t, e) ? P4N_OK : P4N_NO_MEMORY;
}

/* The entry is not in the table yet: nobody counts in it. */
static void fill_direct(struct p4n_table *t, struct p4n_entry *e, const struct p4n_record *h,
			const uint8_t *at)
{
	struct p4n_observed set = {0};

	if (h->flags & F_COUNTER)
		memcpy(&set.packets, at, P4N_COUNT_BYTES);
	at += h->flags & F_COUNTER ? P4N_COUNT_BYTES : 0;
	if (h->flags & F_METER && e->meter) {
		struct p4n_meter_config config;

		memcpy(&config, at, sizeof(config));
		p4n_meter_configure(e->meter, &config, p4n_device_now_us(t->writer->inst->device));
	}
	at += h->flags & F_METER ? P4N_METER_BYTES : 0;
	if (h->flags & F_MARKS)
		memcpy(set.marks, at, sizeof(set.marks));
	p4n_observed_keep(e, h->flags, &set);
}

/* All of it from the part of the record behind key and mask. */
static enum p4n_status fill(struct p4n_table *t, struct p4n_entry *e, const struct p4n_record *h,
			    const uint8_t *at)
{
	struct p4n_table_writer *w = t->writer;
	enum p4n_status s;

	e->action = h->action;
	e->flags = h->flags & (F_MEMBER | F_GROUP);
	if (e->flags ? !w->profile : !action_fits(t, h))
		return P4N_BAD_ACTION;
	if (h->data_bytes)
		memcpy(e->data, at, h->data_bytes);
	at += p4n_pad8(h->data_bytes);
	s = fill_note(t, e, h, &at);
	if (s != P4N_OK)
		return s;
	fill_direct(t, e, h, at);
	return e->flags ? p4n_profile_bind(w->profile, e) : P4N_OK;
}

/* As `fill`, with the action that the entry had. */
static enum p4n_status fill_again(struct p4n_table *t, struct p4n_entry *e,
				  const struct p4n_entry *old, const struct p4n_record *h,
				  const uint8_t *at)
{
	struct p4n_table_writer *w = t->writer;
	enum p4n_status s;

	if (h->data_bytes)
		return P4N_BAD_RECORD;
	e->action = old->action;
	e->flags = old->flags;
	memcpy(e->data, old->data, w->data_pad);
	s = fill_note(t, e, h, &at);
	if (s != P4N_OK)
		return s;
	fill_direct(t, e, h, at);
	return e->flags & (F_MEMBER | F_GROUP) ? p4n_profile_bind(w->profile, e) : P4N_OK;
}

static void take_identity(struct p4n_table *t, struct p4n_entry *e, const struct p4n_record *h)
{
	struct p4n_table_writer *w = t->writer;

	memcpy(e->data + w->key_off, p4n_payload(h), key_bytes(t));
	e->priority = w->masked ? h->priority : 0;
	e->prefix_len = w->prefixed ? h->prefix_len : 0;
}

bool p4n_entry_identify(struct p4n_table *t, struct p4n_entry *e, const struct p4n_record *h)
{
	take_identity(t, e, h);
	return t->desc->key_bytes && p4n_entry_normalise(t, e);
}

/* To be modified is not to be hit. */
static void stay_idle(struct p4n_entry *to, struct p4n_entry *from)
{
	atomic_store_explicit(&to->last_hit, atomic_load(&from->last_hit), memory_order_relaxed);
	to->noticed = from->noticed;
}

/* --- how it ends ------------------------------------------------------------------------------- */

/* What an entry refers to may be deleted by the next operation: it lets go at once. */
static void count(const struct p4n_entry *e, int by)
{
	if (e && e->flags & (F_MEMBER | F_GROUP))
		p4n_profile_count(e, by);
}

/* The entry left the table for good; what the program came with stays. */
static void retire(struct p4n_table *t, struct p4n_entry *e)
{
	if (e && e != t->writer->program_default)
		p4n_retire(&t->writer->inst->limbo, p4n_entry_free, t, e, t->writer->slab.stride);
}

static void settle(struct p4n_instance *inst, struct p4n_change *c)
{
	(void)inst;
	retire(c->object, c->from);
}

static void settle_next(struct p4n_instance *inst, struct p4n_change *c)
{
	(void)inst;
	p4n_hand_over(c->object, c->from, c->to, c->record->flags);
}

/* What packets have counted in an entry that did not stay is its former self's. */
static void give_back(struct p4n_table *t, struct p4n_change *c)
{
	static const struct p4n_observed none;

	count(c->from, 1);
	count(c->to, -1);
	if (!c->from || !c->to) {
		retire(t, c->to);
		return;
	}
	p4n_observed_keep(c->to, F_COUNTER | F_MARKS, &none);
	p4n_hand_over(t, c->to, c->from, 0);
}

static void undo_entry(struct p4n_instance *inst, struct p4n_change *c)
{
	struct p4n_table *t = c->object;

	(void)inst;
	if (c->from && c->to)
		(void)p4n_table_replace(t, c->to, c->from);
	else if (c->to)
		(void)p4n_table_remove(t, c->to);
	else
		(void)p4n_table_restore(t, c->from);
	give_back(t, c);
}

static void undo_default(struct p4n_instance *inst, struct p4n_change *c)
{
	struct p4n_table *t = c->object;

	(void)inst;
	atomic_store(&t->fallback, c->from);
	give_back(t, c);
}

static void note(struct p4n_change *c, struct p4n_table *t, struct p4n_entry *from,
		 struct p4n_entry *to, bool fallback)
{
	bool observed = t->counted || t->timed || t->desc->direct_meter != P4N_NONE;

	count(from, -1);
	c->settle = from && to && observed ? settle_next : settle;
	c->undo = fallback ? undo_default : undo_entry;
	c->object = t;
	c->from = from;
	c->to = to;
}

/* --- entries ----------------------------------------------------------------------------------- */

static enum p4n_status insert_or_modify(struct p4n_table *t, const struct p4n_record *h,
					struct p4n_entry *e, struct p4n_entry *old,
					struct p4n_change *c)
{
	const uint8_t *rest = p4n_payload(h) + key_bytes(t);
	enum p4n_status s;

	if (h->op == OP_INSERT ? old != NULL : !old)
		return old ? P4N_EXISTS : P4N_MISSING;
	if (old && old->flags & P4N_ENTRY_CONST)
		return P4N_CONST;
	if (old && !p4n_observed_room(t, old))
		return P4N_NO_MEMORY;
	s = h->op == OP_KEEP_ACTION ? fill_again(t, e, old, h, rest) : fill(t, e, h, rest);
	if (s != P4N_OK)
		return s;
	if (old)
		stay_idle(e, old);
	s = old ? p4n_table_replace(t, old, e) : p4n_table_insert(t, e);
	if (s == P4N_OK)
		note(c, t, old, e, false);
	else
		count(e, -1);
	return s;
}

static enum p4n_status delete(struct p4n_table *t, struct p4n_entry *old, struct p4n_change *c)
{
	enum p4n_status s;

	if (!old)
		return P4N_MISSING;
	if (old->flags & P4N_ENTRY_CONST)
		return P4N_CONST;
	s = p4n_table_remove(t, old);
	if (s == P4N_OK)
		note(c, t, old, NULL, false);
	return s;
}

/* Entries that came with the program keep all but their direct resources. */
static bool in_place(const struct p4n_record *h, const struct p4n_entry *old)
{
	return h->op == OP_DIRECT || (h->op == OP_KEEP_ACTION && old &&
				      old->flags & P4N_ENTRY_CONST);
}

static enum p4n_status entry_op(struct p4n_table *t, const struct p4n_record *h,
				struct p4n_change *c, uint64_t *handle)
{
	struct p4n_entry *e = p4n_entry_create(t), *old;
	enum p4n_status s;

	if (!e)
		return P4N_NO_MEMORY;
	if (!p4n_entry_identify(t, e, h)) {
		p4n_entry_free(t, e);
		return P4N_BAD_RECORD;
	}
	old = p4n_table_find(t, e);
	if (in_place(h, old)) {
		s = h->note_bytes || h->idle_ns ? P4N_CONST
		    : !old ? P4N_MISSING
			   : p4n_set_direct(t, old, h, p4n_payload(h) + key_bytes(t), c);
	} else if (h->op == OP_DELETE) {
		s = delete(t, old, c);
	} else {
		s = insert_or_modify(t, h, e, old, c);
		if (s == P4N_OK) {
			*handle = e->handle;
			return s;
		}
	}
	p4n_entry_free(t, e);
	return s;
}

/* --- defaults ---------------------------------------------------------------------------------- */

static enum p4n_status set_default(struct p4n_table *t, const struct p4n_record *h,
				   struct p4n_change *c)
{
	struct p4n_entry *e = p4n_entry_create(t);
	enum p4n_status s;

	if (!e)
		return P4N_NO_MEMORY;
	s = p4n_observed_room(t, atomic_load(&t->fallback)) ? fill(t, e, h, p4n_payload(h))
							    : P4N_NO_MEMORY;
	if (s != P4N_OK) {
		p4n_entry_free(t, e);
		return s;
	}
	e->handle = P4N_NONE;
	stay_idle(e, atomic_load(&t->fallback));
	note(c, t, atomic_exchange(&t->fallback, e), e, true);
	return P4N_OK;
}

/* Direct resources of the program's own default as they were in the beginning. */
static void forget(struct p4n_entry *e)
{
	static const struct p4n_observed none;
	struct p4n_observed beside = p4n_observed_beside(e, &none);

	p4n_observed_keep(e, F_COUNTER | F_MARKS, &beside);
	if (e->meter)
		p4n_meter_configure(e->meter, NULL, 0);
}

static enum p4n_status reset_default(struct p4n_table *t, const struct p4n_record *h,
				     struct p4n_change *c)
{
	static const uint64_t none[2 + P4N_MARK_WORDS];
	struct p4n_entry *own = t->writer->program_default, *now = atomic_load(&t->fallback);

	if (now == own) {
		struct p4n_record all = *h;

		all.flags = F_COUNTER | F_NO_METER | F_MARKS;
		return p4n_set_direct(t, own, &all, (const uint8_t *)none, c);
	}
	forget(own);
	atomic_store(&t->fallback, own);
	note(c, t, now, own, true);
	c->settle = settle; /* it begins anew */
	return P4N_OK;
}

static enum p4n_status default_direct(struct p4n_table *t, const struct p4n_record *h,
				      struct p4n_change *c)
{
	struct p4n_entry *e = atomic_load(&t->fallback);

	if (h->note_bytes || h->data_bytes)
		return P4N_BAD_RECORD;
	return e->action == P4N_NONE ? P4N_MISSING : p4n_set_direct(t, e, h, p4n_payload(h), c);
}

enum p4n_status p4n_table_op(struct p4n_instance *inst, const struct p4n_record *h,
			     struct p4n_change *c, uint64_t *handle)
{
	struct p4n_table *t;

	if (h->table >= inst->pipeline->n_tables)
		return P4N_BAD_RECORD;
	t = inst->tables[h->table];
	if (!well_formed(t, h))
		return P4N_BAD_RECORD;
	if (keyed(h)) {
		bool fixed = t->desc->const_entries && h->op <= OP_DELETE;

		return fixed ? P4N_CONST : entry_op(t, h, c, handle);
	}
	if (h->op == OP_DEFAULT_DIRECT)
		return default_direct(t, h, c);
	if (t->desc->const_default)
		return P4N_CONST;
	return h->op == OP_SET_DEFAULT ? set_default(t, h, c) : reset_default(t, h, c);
}
