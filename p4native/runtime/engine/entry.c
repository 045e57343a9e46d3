/* Single entries by their handle: direct counters and meters, and those that are idle. */
#include "meter_config.h"

struct p4n_entry *p4n_table_entry(struct p4n_table *t, uint32_t handle)
{
	struct p4n_table_writer *w = t->writer;

	if (handle == P4N_NONE)
		return atomic_load(&t->fallback);
	return handle < w->handles ? w->by_handle[handle] : NULL;
}

P4N_EXPORT int p4n_entry_set_counter(struct p4n_instance *inst, uint32_t table, uint32_t handle,
				     uint64_t packets, uint64_t bytes)
{
	struct p4n_entry *e;

	pthread_mutex_lock(&inst->lock);
	e = p4n_table_entry(inst->tables[table], handle);
	if (e) {
		atomic_store_explicit(&e->packets, packets, memory_order_relaxed);
		atomic_store_explicit(&e->bytes, bytes, memory_order_relaxed);
	}
	pthread_mutex_unlock(&inst->lock);
	return e ? P4N_OK : P4N_MISSING;
}

/* config NULL: always green. */
P4N_EXPORT int p4n_entry_set_meter(struct p4n_instance *inst, uint32_t table, uint32_t handle,
				   const struct p4n_meter_config *config)
{
	struct p4n_entry *e;

	pthread_mutex_lock(&inst->lock);
	e = p4n_table_entry(inst->tables[table], handle);
	if (e && e->meter) {
		p4n_domain_pause(inst->domain);
		p4n_meter_configure(e->meter, config, p4n_device_now_us(inst->device));
		p4n_domain_resume(inst->domain);
	}
	pthread_mutex_unlock(&inst->lock);
	return e && e->meter ? P4N_OK : P4N_MISSING;
}

P4N_EXPORT int p4n_entry_set_marks(struct p4n_instance *inst, uint32_t table, uint32_t handle,
				   const uint64_t *marks)
{
	struct p4n_entry *e;

	pthread_mutex_lock(&inst->lock);
	e = p4n_table_entry(inst->tables[table], handle);
	if (e && e->meter)
		p4n_meter_put_marks(e->meter, marks);
	pthread_mutex_unlock(&inst->lock);
	return e && e->meter ? P4N_OK : P4N_MISSING;
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
