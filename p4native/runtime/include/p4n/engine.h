/* The engine as generated code sees it: the packet thread's context and the calls that count,
 * meter, replicate and time. One thread context belongs to one packet thread. */
#ifndef P4N_ENGINE_H
#define P4N_ENGINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <p4n/counter.h>
#include <p4n/meter.h>
#include <p4n/packet.h>
#include <p4n/pipeline.h>
#include <p4n/port.h>
#include <p4n/pre.h>
#include <p4n/register.h>
#include <p4n/table.h>

struct p4n_device;

struct p4n_value_set {
	uint32_t key_bytes;
	struct p4n_value_list *_Atomic list; /* NULL: empty */
};

/* value, then mask, of key_bytes each, n times. */
struct p4n_value_list {
	uint32_t n;
	uint8_t members[];
};

/* Arrays are in the descriptor's order. Everything here may change between two calls of process()
 * and never during one. */
struct p4n_thread {
	struct p4n_table *const *tables;
	struct p4n_counter *const *counters;
	struct p4n_meter *const *meters;
	struct p4n_register *const *registers;
	struct p4n_value_set *const *value_sets;
	const struct p4n_pre *pre;
	void *pipeline_state; /* state_bytes of the pipeline's own, zeroed when it is loaded */
	uint64_t now_us;      /* since the switch started; refreshed per batch */
	uint32_t now_ms;      /* the same clock, for idle times */
	uint32_t drop_port;
	uint32_t cpu_port;    /* P4N_NONE without */
	uint32_t index;
	bool shared;          /* other packet threads run the same pipeline */
	bool tracing;         /* p4n_trace() has a reader */
	uint64_t rng[2];
	struct p4n_device *device;
	struct p4n_thread_io *io; /* the engine's own */
};

/* Direct counter and time of the last hit. `bytes`: what BMv2 counts, the frame as it arrived. */
static inline void p4n_entry_hit(struct p4n_thread *th, struct p4n_table *t,
				 const struct p4n_entry *entry, uint32_t bytes)
{
	struct p4n_entry *e = (struct p4n_entry *)(uintptr_t)entry;

	if (t->counted) {
		p4n_add(th->shared, &e->packets, 1);
		p4n_add(th->shared, &e->bytes, bytes);
	}
	if (t->timed && atomic_load_explicit(&e->last_hit, memory_order_relaxed) != th->now_ms)
		atomic_store_explicit(&e->last_hit, th->now_ms, memory_order_relaxed);
}

/* Colour by the entry's direct meter; green without one. */
static inline uint32_t p4n_entry_meter(struct p4n_thread *th, struct p4n_table *t,
				       const struct p4n_entry *e, uint32_t bytes)
{
	const struct p4n_meter *m;

	if (!e->meter || t->desc->direct_meter == P4N_NONE)
		return P4N_GREEN;
	m = th->meters[t->desc->direct_meter];
	return p4n_meter_cell_execute(m, e->meter, th->now_us, bytes, th->shared);
}

/* Indices beyond the array are ignored. */
static inline void p4n_count(struct p4n_thread *th, struct p4n_counter *c, uint64_t index,
			     uint32_t bytes)
{
	if (index >= c->size)
		return;
	p4n_add(th->shared, &c->cells[index].packets, 1);
	p4n_add(th->shared, &c->cells[index].bytes, bytes);
}

/* Green beyond the array. */
static inline uint32_t p4n_meter_execute(struct p4n_thread *th, struct p4n_meter *m, uint64_t index,
					 uint32_t bytes)
{
	if (index >= m->size)
		return P4N_GREEN;
	return p4n_meter_cell_execute(m, &m->cells[index], th->now_us, bytes, th->shared);
}

/* Around the register accesses of one action, as BMv2 locks them; free with one packet thread. */
static inline void p4n_register_lock(struct p4n_thread *th, struct p4n_register *r)
{
	if (__builtin_expect(th->shared, 0))
		while (atomic_flag_test_and_set_explicit(&r->lock, memory_order_acquire))
			;
}

static inline void p4n_register_unlock(struct p4n_thread *th, struct p4n_register *r)
{
	if (__builtin_expect(th->shared, 0))
		atomic_flag_clear_explicit(&r->lock, memory_order_release);
}

static inline const struct p4n_group *p4n_pre_group(struct p4n_thread *th, uint32_t mgid)
{
	return (const struct p4n_group *)p4n_id_find(&th->pre->groups, mgid);
}

static inline const struct p4n_clone_session *p4n_pre_session(struct p4n_thread *th, uint32_t id)
{
	return (const struct p4n_clone_session *)p4n_id_find(&th->pre->sessions, id);
}

/* True when a member of the set matches the transition key under its mask. */
static inline bool p4n_value_set_has(const struct p4n_value_set *vs, const uint8_t *key,
				     uint32_t key_bytes)
{
	const struct p4n_value_list *l = atomic_load_explicit(&vs->list, memory_order_acquire);

	for (uint32_t i = 0; l && i < l->n; i++) {
		const uint8_t *m = l->members + (size_t)i * 2 * key_bytes;
		uint8_t diff = 0;

		for (uint32_t j = 0; j < key_bytes; j++)
			diff |= (uint8_t)((key[j] & m[key_bytes + j]) ^ m[j]);
		if (!diff)
			return true;
	}
	return false;
}

/* Microseconds since the switch started, read now. */
uint64_t p4n_now_us(const struct p4n_thread *th);

#endif
