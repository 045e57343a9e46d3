/* Tables without a program: descriptors made at run time, lookups by handle, lookups timed. */
#include <stdlib.h>

#include "../../p4native/runtime/engine/internal.h"

#define MAX_FIELDS 16

struct shim {
	struct p4n_pipeline pipeline;
	struct p4n_table_desc table;
	struct p4n_key_field fields[MAX_FIELDS];
	struct p4n_action_desc action;
	uint32_t action_id;
};

static uint32_t process(struct p4n_thread *th, struct p4n_packet **pkts, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		p4n_packet_free(th, pkts[i]);
	return 0;
}

static void flush(struct p4n_thread *th)
{
	(void)th;
}

/* One table, one action whose data is `data_bytes` long. */
struct p4n_pipeline *shim_pipeline(uint32_t kind, uint32_t n, const uint32_t *widths,
				   const uint32_t *matches, uint32_t size, uint32_t data_bytes)
{
	struct shim *s = calloc(1, sizeof(*s));
	uint32_t offset = 0;

	s->table = (struct p4n_table_desc){
		.name = "t", .kind = (enum p4n_table_kind)kind, .fields = s->fields, .n_fields = n,
		.lpm_field = P4N_NONE, .max_size = size, .max_data_bytes = data_bytes,
		.actions = &s->action_id, .n_actions = 1, .profile = P4N_NONE,
		.direct_meter = P4N_NONE, .with_counters = true, .with_timeout = true,
		.default_action = P4N_NONE,
	};
	for (uint32_t i = 0; i < n; i++) {
		uint32_t bytes = (widths[i] + 7) / 8;

		s->fields[i] = (struct p4n_key_field){"f", widths[i], offset, bytes,
						      (enum p4n_match)matches[i]};
		if (matches[i] == P4N_MATCH_LPM)
			s->table.lpm_field = i;
		offset += bytes;
	}
	s->table.key_bytes = offset;
	s->action = (struct p4n_action_desc){"a", 0, data_bytes};
	s->pipeline = (struct p4n_pipeline){
		.abi = P4N_ABI_VERSION, .name = "shim", .tables = &s->table, .n_tables = 1,
		.actions = &s->action, .n_actions = 1, .process = process, .flush = flush,
	};
	return &s->pipeline;
}

static const struct p4n_entry *lookup(struct p4n_table *t, const uint8_t *key)
{
	uint32_t bytes = t->desc->key_bytes;

	switch (t->desc->kind) {
	case P4N_TABLE_EXACT:
		return p4n_exact_lookup(t, key, bytes);
	case P4N_TABLE_LPM:
		return p4n_lpm_lookup(t, key, bytes);
	default:
		return p4n_ternary_lookup(t, key, bytes);
	}
}

/* Handles of what the keys (unpadded, one after the other) hit; -1 for a miss. */
void shim_lookup(struct p4n_instance *inst, const uint8_t *keys, uint32_t n, int64_t *out)
{
	struct p4n_table *t = inst->tables[0];
	uint8_t key[4096] __attribute__((aligned(8))) = {0};

	for (uint32_t i = 0; i < n; i++) {
		const struct p4n_entry *e;

		memcpy(key, keys + (size_t)i * t->desc->key_bytes, t->desc->key_bytes);
		e = lookup(t, key);
		out[i] = e ? (int64_t)e->handle : -1;
	}
}

/* CPU time of the calling thread: what others do meanwhile does not count. */
static uint64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Looks the keys up `rounds` times as reader 0 of the domain: nanoseconds in all, hits in *hits. */
uint64_t shim_bench(struct p4n_instance *inst, const uint8_t *keys, uint32_t n, uint32_t rounds,
		    uint64_t *hits)
{
	struct p4n_table *t = inst->tables[0];
	uint32_t bytes = t->desc->key_bytes, padded = p4n_pad8(bytes);
	uint8_t *aligned = aligned_alloc(64, ((size_t)n * padded + 63) & ~(size_t)63);
	uint64_t start;

	for (uint32_t i = 0; i < n; i++) {
		memset(aligned + (size_t)i * padded, 0, padded);
		memcpy(aligned + (size_t)i * padded, keys + (size_t)i * bytes, bytes);
	}
	*hits = 0;
	p4n_reader_online(inst->domain, 0);
	start = cpu_ns();
	for (uint32_t r = 0; r < rounds; r++) {
		for (uint32_t i = 0; i < n; i++) {
			const struct p4n_entry *e = lookup(t, aligned + (size_t)i * padded);

			/* What a packet reads: the action, so that the line must be there. */
			*hits += e && e->action == 0;
			if (i % 32 == 0)
				p4n_reader_quiescent(inst->domain, 0);
		}
	}
	start = cpu_ns() - start;
	p4n_reader_offline(inst->domain, 0);
	free(aligned);
	return start;
}

void shim_free(struct p4n_pipeline *p)
{
	free(p);
}
