/* Single entries: direct counters and meters in place, and those that are idle. */
#include <stdlib.h>

#include "batch.h"
#include "observed.h"

struct p4n_entry *p4n_table_entry(struct p4n_table *t, uint32_t handle)
{
	struct p4n_table_writer *w = t->writer;

	if (handle == P4N_NONE)
		return atomic_load(&t->fallback);
	return handle < w->handles ? w->by_handle[handle] : NULL;
}

/* --- direct resources in place ----------------------------------------------------------------- */

/* What is to be kept beside the counts, if the flags say so, and what the meter was. */
struct direct {
	uint32_t flags;
	struct p4n_observed beside;
	struct p4n_meter_state meter;
};

static void settle_direct(struct p4n_instance *inst, struct p4n_change *c)
{
	struct direct *d = c->from;

	if (d->flags & (F_COUNTER | F_MARKS))
		p4n_observed_set(inst, c->object, d->flags, &d->beside);
	free(d);
}

static void undo_direct(struct p4n_instance *inst, struct p4n_change *c)
{
	struct p4n_entry *e = c->object;
	struct direct *d = c->from;

	if (e->meter) {
		p4n_domain_pause(inst->domain);
		p4n_meter_restore(e->meter, &d->meter);
		p4n_domain_resume(inst->domain);
	}
	free(d);
}

static struct direct *save(struct p4n_instance *inst, struct p4n_entry *e)
{
	struct direct *d = calloc(1, sizeof(*d));

	if (d && e->meter) {
		p4n_domain_pause(inst->domain);
		p4n_meter_save(e->meter, &d->meter);
		p4n_domain_resume(inst->domain);
	}
	return d;
}

/* config NULL: always green. */
static void configure(struct p4n_instance *inst, struct p4n_meter_cell *cell,
		      const struct p4n_meter_config *config)
{
	p4n_domain_pause(inst->domain);
	p4n_meter_configure(cell, config, p4n_device_now_us(inst->device));
	p4n_domain_resume(inst->domain);
}

enum p4n_status p4n_set_direct(struct p4n_table *t, struct p4n_entry *e, const struct p4n_record *h,
			       const uint8_t *at, struct p4n_change *c)
{
	struct p4n_instance *inst = t->writer->inst;
	struct p4n_observed wanted = {0};
	struct p4n_meter_config config;
	struct direct *d = p4n_observed_room(t, e) ? save(inst, e) : NULL;

	if (!d)
		return P4N_NO_MEMORY;
	c->settle = settle_direct;
	c->undo = undo_direct;
	c->object = e;
	c->from = d;
	d->flags = h->flags;
	if (h->flags & F_COUNTER) {
		memcpy(&wanted.packets, at, P4N_COUNT_BYTES);
		at += P4N_COUNT_BYTES;
	}
	if (h->flags & F_METER) {
		memcpy(&config, at, sizeof(config));
		at += sizeof(config);
	}
	if (e->meter && h->flags & (F_METER | F_NO_METER))
		configure(inst, e->meter, h->flags & F_METER ? &config : NULL);
	if (h->flags & F_MARKS)
		memcpy(wanted.marks, at, sizeof(wanted.marks));
	d->beside = p4n_observed_beside(e, &wanted);
	return P4N_OK;
}

/* --- idle entries ------------------------------------------------------------------------------ */

struct idle {
	uint32_t table;
	uint32_t handle;
};

static bool is_idle(struct p4n_entry *e, uint32_t now_ms)
{
	uint32_t hit = atomic_load_explicit(&e->last_hit, memory_order_relaxed);
	uint32_t since = (int32_t)(hit - e->noticed) > 0 ? hit : e->noticed;

	return e->idle_ms && p4n_age_ms(now_ms, since) >= e->idle_ms;
}

/* Looks at up to `budget` entries of tables with idle timeouts, going on where it stopped. Fills at
 * most cap results; each is reported again after another idle time without a hit. */
P4N_EXPORT uint32_t p4n_sweep_idle(struct p4n_instance *inst, struct idle *out, uint32_t cap,
				   uint32_t budget)
{
	uint32_t now_ms = p4n_device_now_ms(inst->device), n = 0;

	pthread_mutex_lock(&inst->lock);
	p4n_observed_await(inst);
	for (uint32_t i = 0; i < inst->pipeline->n_tables; i++) {
		struct p4n_table *t = inst->tables[i];
		struct p4n_table_writer *w = t->writer;
		uint32_t looks = w->handles < budget ? w->handles : budget;

		for (uint32_t j = 0; t->timed && w->timed && j < looks && n < cap; j++) {
			struct p4n_entry *e;

			w->sweep = w->sweep + 1 < w->handles ? w->sweep + 1 : 0;
			e = w->by_handle[w->sweep];
			if (!e || !is_idle(e, now_ms))
				continue;
			e->noticed = now_ms;
			out[n++] = (struct idle){i, e->handle};
		}
	}
	pthread_mutex_unlock(&inst->lock);
	return n;
}
