/* Entries packed for reading, in the layout of p4native/switch/records.py. */
#include "batch.h"
#include "observed.h"

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
	       p4n_pad8(data_bytes(t, e)) + p4n_pad8(note) + (t->counted ? P4N_COUNT_BYTES : 0) +
	       (e->meter ? P4N_METER_BYTES + P4N_MARK_BYTES : 0);
}

static uint8_t *pack(struct p4n_table *t, struct p4n_entry *e, uint8_t *at, uint32_t now_ms)
{
	const struct p4n_table_writer *w = t->writer;
	struct p4n_meter_config config;
	bool metered = e->meter && p4n_meter_read(e->meter, &config);
	struct p4n_record h = {
		.size = packed_size(t, e) - (e->meter && !metered ? P4N_METER_BYTES : 0),
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
	struct p4n_observed seen = p4n_observed_get(e);

	at = put(at, &h, sizeof(h));
	at = put(at, e->data + w->key_off, w->key_pad * (w->masked ? 2u : 1u));
	at = put(at, e->data, h.data_bytes);
	if (e->note)
		at = put(at, e->note->data, e->note->bytes);
	if (t->counted)
		at = put(at, &seen.packets, P4N_COUNT_BYTES);
	if (metered)
		at = put(at, &config, sizeof(config));
	if (e->meter)
		at = put(at, seen.marks, sizeof(seen.marks));
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
	p4n_observed_await(inst);
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
	p4n_observed_await(inst);
	if (h->op == OP_SET_DEFAULT) {
		e = atomic_load(&t->fallback);
		e = e->action == P4N_NONE ? NULL : e;
	} else if (h->handle != UINT64_MAX) {
		e = p4n_table_entry(t, (uint32_t)h->handle);
	} else if ((like = p4n_entry_create(t))) {
		e = p4n_entry_identify(t, like, h) ? p4n_table_find(t, like) : NULL;
		p4n_entry_free(t, like);
	}
	if (e && packed_size(t, e) <= cap)
		bytes = (size_t)(pack(t, e, out, p4n_device_now_ms(inst->device)) - out);
	pthread_mutex_unlock(&inst->lock);
	return bytes;
}

P4N_EXPORT uint32_t p4n_entry_count(struct p4n_instance *inst, uint32_t table)
{
	uint32_t count;

	pthread_mutex_lock(&inst->lock);
	count = inst->tables[table]->writer->count;
	pthread_mutex_unlock(&inst->lock);
	return count;
}
