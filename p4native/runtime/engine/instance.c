/* A loaded program: all its objects, made from the descriptor, and their access by Python. */
#include <stdlib.h>

#include "internal.h"

const struct p4n_action_desc *p4n_find_action(const struct p4n_instance *inst, uint32_t id)
{
	const struct p4n_pipeline *p = inst->pipeline;

	/* Ids are positions in every JSON that compilers write; search only when they are not. */
	if (id < p->n_actions && p->actions[id].id == id)
		return &p->actions[id];
	for (uint32_t i = 0; i < p->n_actions; i++)
		if (p->actions[i].id == id)
			return &p->actions[i];
	return NULL;
}

static void *table_of(uint32_t n)
{
	return calloc(n + 1, sizeof(void *));
}

static struct p4n_counter *new_counter(const struct p4n_counter_desc *d)
{
	struct p4n_counter *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->size = d->table == P4N_NONE ? d->size : 0;
	c->cells = calloc(c->size + 1, sizeof(*c->cells));
	return c;
}

static struct p4n_meter *new_meter(const struct p4n_meter_desc *d)
{
	struct p4n_meter *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->size = d->table == P4N_NONE ? d->size : 0;
	m->rates = d->rates;
	m->bytes = d->bytes;
	m->cells = calloc(m->size + 1, sizeof(*m->cells));
	return m;
}

static struct p4n_register *new_register(const struct p4n_register_desc *d)
{
	struct p4n_register *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->size = d->size;
	r->width = d->width;
	r->cell_bytes = d->cell_bytes;
	r->cells = calloc((size_t)d->size + 1, d->cell_bytes);
	return r;
}

static bool make_stateful(struct p4n_instance *inst)
{
	const struct p4n_pipeline *p = inst->pipeline;

	for (uint32_t i = 0; i < p->n_counters; i++)
		if (!(inst->counters[i] = new_counter(&p->counters[i])) ||
		    !inst->counters[i]->cells)
			return false;
	for (uint32_t i = 0; i < p->n_meters; i++)
		if (!(inst->meters[i] = new_meter(&p->meters[i])) || !inst->meters[i]->cells)
			return false;
	for (uint32_t i = 0; i < p->n_registers; i++)
		if (!(inst->registers[i] = new_register(&p->registers[i])) ||
		    !inst->registers[i]->cells)
			return false;
	for (uint32_t i = 0; i < p->n_value_sets; i++) {
		inst->value_sets[i] = calloc(1, sizeof(**inst->value_sets));
		if (!inst->value_sets[i])
			return false;
		inst->value_sets[i]->key_bytes = p->value_sets[i].key_bytes;
	}
	return true;
}

static bool make_tables(struct p4n_instance *inst)
{
	const struct p4n_pipeline *p = inst->pipeline;

	for (uint32_t i = 0; i < p->n_profiles; i++)
		if (!(inst->profiles[i] = p4n_profile_create(inst, i)))
			return false;
	for (uint32_t i = 0; i < p->n_tables; i++)
		if (!(inst->tables[i] = p4n_table_create(inst, i)))
			return false;
	return true;
}

/* NULL when memory is short. */
P4N_EXPORT struct p4n_instance *p4n_instance_create(struct p4n_device *dev,
						    struct p4n_domain *domain,
						    const struct p4n_pipeline *p)
{
	struct p4n_instance *inst = calloc(1, sizeof(*inst));

	if (!inst)
		return NULL;
	inst->pipeline = p;
	inst->domain = domain;
	inst->device = dev;
	inst->limbo.domain = domain;
	pthread_mutex_init(&inst->lock, NULL);
	inst->tables = table_of(p->n_tables);
	inst->counters = table_of(p->n_counters);
	inst->meters = table_of(p->n_meters);
	inst->registers = table_of(p->n_registers);
	inst->value_sets = table_of(p->n_value_sets);
	inst->profiles = table_of(p->n_profiles);
	inst->learner = p4n_learn_create(p);
	if (!inst->tables || !inst->counters || !inst->meters || !inst->registers ||
	    !inst->value_sets || !inst->profiles || !inst->learner || !make_stateful(inst) ||
	    !make_tables(inst)) {
		p4n_instance_destroy(inst);
		return NULL;
	}
	return inst;
}

static void free_ids(struct p4n_id_map *map)
{
	for (uint32_t i = 0; i < 256; i++) {
		void *_Atomic *page = atomic_load(&map->page[i]);

		for (uint32_t j = 0; page && j < 256; j++)
			free(atomic_load(&page[j]));
		free((void *)page);
	}
}

static void free_stateful(struct p4n_instance *inst)
{
	const struct p4n_pipeline *p = inst->pipeline;

	for (uint32_t i = 0; inst->counters && i < p->n_counters && inst->counters[i]; i++) {
		free(inst->counters[i]->cells);
		free(inst->counters[i]);
	}
	for (uint32_t i = 0; inst->meters && i < p->n_meters && inst->meters[i]; i++) {
		free(inst->meters[i]->cells);
		free(inst->meters[i]);
	}
	for (uint32_t i = 0; inst->registers && i < p->n_registers && inst->registers[i]; i++) {
		free(inst->registers[i]->cells);
		free(inst->registers[i]);
	}
	for (uint32_t i = 0; inst->value_sets && i < p->n_value_sets && inst->value_sets[i]; i++) {
		free(atomic_load(&inst->value_sets[i]->list));
		free(inst->value_sets[i]);
	}
}

/* No packet thread may be using it any more. */
P4N_EXPORT void p4n_instance_destroy(struct p4n_instance *inst)
{
	const struct p4n_pipeline *p = inst->pipeline;

	p4n_limbo_destroy(&inst->limbo);
	for (uint32_t i = 0; inst->tables && i < p->n_tables && inst->tables[i]; i++)
		p4n_table_destroy(inst->tables[i]);
	for (uint32_t i = 0; inst->profiles && i < p->n_profiles && inst->profiles[i]; i++)
		p4n_profile_destroy(inst->profiles[i]);
	free_stateful(inst);
	free_ids(&inst->pre.groups);
	free_ids(&inst->pre.sessions);
	if (inst->learner)
		p4n_learn_destroy(inst->learner);
	free(inst->tables);
	free(inst->counters);
	free(inst->meters);
	free(inst->registers);
	free(inst->value_sets);
	free(inst->profiles);
	pthread_mutex_destroy(&inst->lock);
	free(inst);
}

/* Bytes that the table's entries and indices take. */
P4N_EXPORT uint64_t p4n_table_bytes(struct p4n_instance *inst, uint32_t table)
{
	struct p4n_table *t = inst->tables[table];
	struct p4n_table_writer *w = t->writer;
	uint64_t bytes;

	pthread_mutex_lock(&inst->lock);
	bytes = w->slab.bytes + w->handles * 8ull + w->handles / 8 +
		p4n_hash_bytes(w->index_writer.hash) +
		(w->ternary ? p4n_ternary_bytes(w->ternary) : 0);
	pthread_mutex_unlock(&inst->lock);
	return bytes;
}
