/* Counters, meters, registers and value sets: what the control plane reads and writes of them. */
#include <stdlib.h>

#include "batch.h"
#include "meter_config.h"

/* --- reading ----------------------------------------------------------------------------------- */

/* Two words per cell: packets, bytes. False beyond the array. */
P4N_EXPORT bool p4n_counter_read(struct p4n_instance *inst, uint32_t counter, uint64_t start,
				 uint64_t n, uint64_t *out)
{
	struct p4n_counter *c = inst->counters[counter];

	if (start > c->size || n > c->size - start)
		return false;
	for (uint64_t i = 0; i < n; i++) {
		out[2 * i] = atomic_load_explicit(&c->cells[start + i].packets,
						  memory_order_relaxed);
		out[2 * i + 1] = atomic_load_explicit(&c->cells[start + i].bytes,
						      memory_order_relaxed);
	}
	return true;
}

/* The configurations of n cells, and which of them have one. False beyond the array. */
P4N_EXPORT bool p4n_meter_get(struct p4n_instance *inst, uint32_t meter, uint64_t start, uint64_t n,
			      struct p4n_meter_config *out, bool *configured)
{
	struct p4n_meter *m = inst->meters[meter];

	if (start > m->size || n > m->size - start)
		return false;
	pthread_mutex_lock(&inst->lock);
	for (uint64_t i = 0; i < n; i++)
		configured[i] = p4n_meter_read(&m->cells[start + i], &out[i]);
	pthread_mutex_unlock(&inst->lock);
	return true;
}

/* P4N_MARK_WORDS words per cell. False beyond the array. */
P4N_EXPORT bool p4n_meter_marks(struct p4n_instance *inst, uint32_t meter, uint64_t start,
				uint64_t n, uint64_t *marks)
{
	struct p4n_meter *m = inst->meters[meter];

	if (start > m->size || n > m->size - start)
		return false;
	for (uint64_t i = 0; i < n; i++)
		p4n_meter_get_marks(&m->cells[start + i], marks + i * P4N_MARK_WORDS);
	return true;
}

/* Raw cells, cell_bytes each, between two batches of packets and of operations: no cell is seen half
 * written. */
P4N_EXPORT bool p4n_register_read(struct p4n_instance *inst, uint32_t index, uint64_t start,
				  uint64_t n, uint8_t *cells)
{
	struct p4n_register *r = inst->registers[index];

	if (start > r->size || n > r->size - start)
		return false;
	pthread_mutex_lock(&inst->lock);
	p4n_domain_pause(inst->domain);
	memcpy(cells, (uint8_t *)r->cells + start * r->cell_bytes, n * r->cell_bytes);
	p4n_domain_resume(inst->domain);
	pthread_mutex_unlock(&inst->lock);
	return true;
}

/* --- writing: `handle` is the first cell, `action` their number -------------------------------- */

static void settle_counter(struct p4n_instance *inst, struct p4n_change *c)
{
	const uint64_t *n = (const uint64_t *)(const void *)p4n_payload(c->record);
	struct p4n_counter_cell *cell = c->object;

	(void)inst;
	for (uint32_t i = 0; i < c->record->action; i++) {
		atomic_store_explicit(&cell[i].packets, n[0], memory_order_relaxed);
		atomic_store_explicit(&cell[i].bytes, n[1], memory_order_relaxed);
	}
}

static void settle_meter(struct p4n_instance *inst, struct p4n_change *c)
{
	const struct p4n_record *h = c->record;
	const uint8_t *at = p4n_payload(h);
	struct p4n_meter_cell *cell = c->object;
	struct p4n_meter_config config;

	if (h->flags & F_METER) {
		memcpy(&config, at, sizeof(config));
		at += sizeof(config);
	}
	p4n_domain_pause(inst->domain);
	for (uint32_t i = 0; i < h->action; i++) {
		if (h->flags & (F_METER | F_NO_METER))
			p4n_meter_configure(&cell[i], h->flags & F_METER ? &config : NULL,
					    p4n_device_now_us(inst->device));
		if (h->flags & F_MARKS)
			p4n_meter_put_marks(&cell[i], (const uint64_t *)(const void *)at);
	}
	p4n_domain_resume(inst->domain);
}

static void settle_register(struct p4n_instance *inst, struct p4n_change *c)
{
	const struct p4n_record *h = c->record;

	p4n_domain_pause(inst->domain);
	for (uint32_t i = 0; i < h->action; i++)
		memcpy((uint8_t *)c->object + (size_t)i * h->data_bytes, p4n_payload(h),
		       h->data_bytes);
	p4n_domain_resume(inst->domain);
}

static bool in_array(const struct p4n_record *h, uint64_t size)
{
	return h->handle <= size && h->action <= size - h->handle;
}

static enum p4n_status counter_op(struct p4n_instance *inst, const struct p4n_record *h,
				  struct p4n_change *c)
{
	if (h->table >= inst->pipeline->n_counters || !p4n_payload_is(h, 2, sizeof(uint64_t)))
		return P4N_BAD_RECORD;
	if (!in_array(h, inst->counters[h->table]->size))
		return P4N_MISSING;
	c->object = inst->counters[h->table]->cells + h->handle;
	c->settle = settle_counter;
	return P4N_OK;
}

static enum p4n_status meter_op(struct p4n_instance *inst, const struct p4n_record *h,
				struct p4n_change *c)
{
	uint32_t bytes = (h->flags & F_METER ? P4N_METER_BYTES : 0) +
			 (h->flags & F_MARKS ? P4N_MARK_BYTES : 0);

	if (h->table >= inst->pipeline->n_meters || !p4n_payload_is(h, 1, bytes))
		return P4N_BAD_RECORD;
	if (!in_array(h, inst->meters[h->table]->size))
		return P4N_MISSING;
	c->object = inst->meters[h->table]->cells + h->handle;
	c->settle = settle_meter;
	return P4N_OK;
}

static enum p4n_status register_op(struct p4n_instance *inst, const struct p4n_record *h,
				   struct p4n_change *c)
{
	struct p4n_register *r;

	if (h->table >= inst->pipeline->n_registers || !p4n_payload_is(h, 1, h->data_bytes))
		return P4N_BAD_RECORD;
	r = inst->registers[h->table];
	if (h->data_bytes != r->cell_bytes)
		return P4N_BAD_RECORD;
	if (!in_array(h, r->size))
		return P4N_MISSING;
	c->object = (uint8_t *)r->cells + h->handle * r->cell_bytes;
	c->settle = settle_register;
	return P4N_OK;
}

enum p4n_status p4n_cells_op(struct p4n_instance *inst, const struct p4n_record *h,
			     struct p4n_change *c)
{
	if (h->op == OP_COUNTER)
		return counter_op(inst, h, c);
	return h->op == OP_METER ? meter_op(inst, h, c) : register_op(inst, h, c);
}

/* --- value sets -------------------------------------------------------------------------------- */

/* Replaces all members, `action` of them: value, then mask, of key_bytes each. */
enum p4n_status p4n_value_set_op(struct p4n_instance *inst, const struct p4n_record *h,
				 struct p4n_change *c)
{
	struct p4n_value_set *vs;
	struct p4n_value_list *l;
	size_t bytes;

	if (h->table >= inst->pipeline->n_value_sets)
		return P4N_BAD_RECORD;
	vs = inst->value_sets[h->table];
	bytes = (size_t)h->action * 2 * vs->key_bytes;
	if (!p4n_payload_is(h, 1, bytes))
		return P4N_BAD_RECORD;
	if (h->action > inst->pipeline->value_sets[h->table].max_size)
		return P4N_FULL;
	l = malloc(sizeof(*l) + bytes);
	if (!l)
		return P4N_NO_MEMORY;
	l->n = h->action;
	if (bytes)
		memcpy(l->members, p4n_payload(h), bytes);
	p4n_put(c, &vs->list, l);
	return P4N_OK;
}
