/* Counts that outlive what they were counted in. */
#include <stdlib.h>

#include "batch.h"
#include "observed.h"

static uint64_t *marks_beside(struct p4n_entry *e)
{
	return ((struct p4n_direct_meter *)(void *)e->meter)->before;
}

bool p4n_observed_room(const struct p4n_table *t, struct p4n_entry *e)
{
	if (t->counted && !e->note)
		e->note = calloc(1, sizeof(*e->note));
	return !t->counted || e->note;
}

/* What packets have left in this very entry. */
static struct p4n_observed own(struct p4n_entry *e)
{
	struct p4n_observed o = {0};

	o.packets = atomic_load_explicit(&e->packets, memory_order_relaxed);
	o.bytes = atomic_load_explicit(&e->bytes, memory_order_relaxed);
	if (e->meter)
		p4n_meter_get_marks(e->meter, o.marks);
	return o;
}

struct p4n_observed p4n_observed_get(struct p4n_entry *e)
{
	struct p4n_observed o = own(e);

	if (e->note) {
		o.packets += e->note->packets;
		o.bytes += e->note->octets;
	}
	for (uint32_t i = 0; e->meter && i < P4N_MARK_WORDS; i++)
		o.marks[i] += marks_beside(e)[i];
	return o;
}

struct p4n_observed p4n_observed_beside(struct p4n_entry *e, const struct p4n_observed *wanted)
{
	struct p4n_observed o = own(e);

	o.packets = wanted->packets - o.packets;
	o.bytes = wanted->bytes - o.bytes;
	for (uint32_t i = 0; i < P4N_MARK_WORDS; i++)
		o.marks[i] = wanted->marks[i] - o.marks[i];
	return o;
}

void p4n_observed_keep(struct p4n_entry *e, uint32_t flags, const struct p4n_observed *beside)
{
	if (flags & F_COUNTER && e->note) {
		e->note->packets = beside->packets;
		e->note->octets = beside->bytes;
	}
	if (flags & F_MARKS && e->meter)
		memcpy(marks_beside(e), beside->marks, sizeof(beside->marks));
}

/* --- in the order in which they were done, when packets have gone on ----------------------------- */

struct legacy {
	struct p4n_table *table;
	struct p4n_entry *from, *to;
	uint32_t set; /* what goes not over to `to`: flags */
};

struct setting {
	struct p4n_entry *entry;
	uint32_t flags;
	struct p4n_observed beside;
};

/* To be modified is not to be hit. */
static void take_hit(struct p4n_entry *to, struct p4n_entry *from)
{
	uint32_t last = atomic_load_explicit(&from->last_hit, memory_order_relaxed);
	uint32_t now = atomic_load_explicit(&to->last_hit, memory_order_relaxed);

	while ((int32_t)(last - now) > 0 &&
	       !atomic_compare_exchange_weak_explicit(&to->last_hit, &now, last,
						      memory_order_relaxed, memory_order_relaxed))
		;
}

static void inherit(struct p4n_entry *to, struct p4n_entry *from, uint32_t set)
{
	struct p4n_observed more = p4n_observed_get(from);

	if (!(set & F_COUNTER) && to->note) {
		to->note->packets += more.packets;
		to->note->octets += more.bytes;
	}
	for (uint32_t i = 0; !(set & F_MARKS) && to->meter && i < P4N_MARK_WORDS; i++)
		marks_beside(to)[i] += more.marks[i];
	take_hit(to, from);
}

static void arrive(void *owner, void *what)
{
	struct p4n_instance *inst = owner;
	struct legacy *l = what;

	inst->awaited--;
	inherit(l->to, l->from, l->set);
	if (l->from != l->table->writer->program_default)
		p4n_entry_free(l->table, l->from);
	free(l);
}

static void settle(void *owner, void *what)
{
	struct p4n_instance *inst = owner;
	struct setting *s = what;

	inst->awaited--;
	p4n_observed_keep(s->entry, s->flags, &s->beside);
	free(s);
}

/* Without memory for the note of it counts are lost, and the entry leaks. */
void p4n_hand_over(struct p4n_table *t, struct p4n_entry *from, struct p4n_entry *to, uint32_t set)
{
	struct p4n_table_writer *w = t->writer;
	struct legacy *l = malloc(sizeof(*l));

	if (!l)
		return;
	*l = (struct legacy){t, from, to, set};
	w->inst->awaited++;
	p4n_retire(&w->inst->limbo, arrive, w->inst, l, sizeof(*l) + w->slab.stride);
}

void p4n_observed_set(struct p4n_instance *inst, struct p4n_entry *e, uint32_t flags,
		      const struct p4n_observed *beside)
{
	struct setting *s = malloc(sizeof(*s));

	if (!s)
		return;
	*s = (struct setting){e, flags, *beside};
	inst->awaited++;
	p4n_retire(&inst->limbo, settle, inst, s, sizeof(*s));
}

void p4n_observed_await(struct p4n_instance *inst)
{
	if (inst->awaited)
		p4n_limbo_flush(&inst->limbo);
	if (!inst->awaited)
		return;
	p4n_domain_synchronize(inst->domain);
	p4n_limbo_flush(&inst->limbo);
}
