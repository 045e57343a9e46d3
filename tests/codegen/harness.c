/* The smallest engine that generated code runs on: tables are lists searched one by one, every frame
 * has a heap block of exactly its size (so that sanitizers see any access outside), and what leaves
 * is kept for the caller. Tests of the generated code use it without the real engine. */
#include <stdio.h>
#include <stdlib.h>

#include <p4n/engine.h>

#include "harness.h"


/* Enough for the test programs, whose headers are larger than real ones. */
#define HEADROOM 4096u

struct row {
	uint8_t key[256];
	uint8_t mask[256];
	int32_t order;
	struct p4n_entry *entry;
	struct row *next;
};

struct p4n_table_writer {
	struct row *rows;
};

struct sent {
	uint32_t port;
	uint32_t len;
	struct sent *next;
	uint8_t data[];
};

struct harness {
	struct p4n_thread th;
	const struct p4n_pipeline *pl;
	struct p4n_table *tables;
	struct p4n_counter *counters;
	struct p4n_meter *meters;
	struct p4n_register *registers;
	struct p4n_value_set *sets;
	struct p4n_pre pre;
	struct sent *first;
	struct sent **last;
	char log[4096];
	uint32_t log_len;
	uint64_t drops[P4N_DROP_REASONS];
	uint64_t live;
	uint8_t digest[1024];
	uint32_t digest_len;
};

static void *zalloc(size_t n)
{
	void *p = calloc(1, n ? n : 1);

	if (!p)
		abort();
	return p;
}

static struct harness *self(struct p4n_thread *th)
{
	return (struct harness *)th;
}

/* --- what generated code calls ------------------------------------------------------------------ */

struct p4n_packet *p4n_packet_alloc(struct p4n_thread *th, uint32_t len)
{
	struct p4n_packet *pkt = zalloc(sizeof(*pkt));

	pkt->capacity = HEADROOM + len;
	pkt->buf = malloc(pkt->capacity);
	if (!pkt->buf)
		abort();
	pkt->data = pkt->buf + HEADROOM;
	pkt->len = len;
	pkt->wire_len = len;
	self(th)->live++;
	return pkt;
}

struct p4n_packet *p4n_packet_clone(struct p4n_thread *th, const struct p4n_packet *from)
{
	struct p4n_packet *pkt = p4n_packet_alloc(th, from->len);

	memcpy(pkt->data, from->data, from->len);
	pkt->ingress_port = from->ingress_port;
	pkt->wire_len = from->wire_len;
	pkt->vnet = from->vnet;
	return pkt;
}

void p4n_packet_free(struct p4n_thread *th, struct p4n_packet *pkt)
{
	self(th)->live--;
	free(pkt->buf);
	free(pkt);
}

void p4n_tx(struct p4n_thread *th, uint32_t port, struct p4n_packet *pkt)
{
	struct harness *h = self(th);
	struct sent *s = zalloc(sizeof(*s) + pkt->len);

	s->port = port;
	s->len = pkt->len;
	memcpy(s->data, pkt->data, pkt->len);
	*h->last = s;
	h->last = &s->next;
	p4n_packet_free(th, pkt);
}

void p4n_drop(struct p4n_thread *th, struct p4n_packet *pkt, enum p4n_drop_reason why)
{
	self(th)->drops[why]++;
	p4n_packet_free(th, pkt);
}

void p4n_learn(struct p4n_thread *th, uint32_t list, const uint8_t *data, uint32_t len)
{
	struct harness *h = self(th);

	(void)list;
	h->digest_len = len < sizeof(h->digest) ? len : sizeof(h->digest);
	memcpy(h->digest, data, h->digest_len);
}

void p4n_log(struct p4n_thread *th, const char *text, uint32_t len)
{
	struct harness *h = self(th);

	if (h->log_len + len + 1 >= sizeof(h->log))
		return;
	memcpy(h->log + h->log_len, text, len);
	h->log_len += len;
	h->log[h->log_len++] = '\n';
	h->log[h->log_len] = 0;
}

uint64_t p4n_now_us(const struct p4n_thread *th)
{
	return th->now_us;
}

uint32_t p4n_meter_cell_execute(const struct p4n_meter *m, struct p4n_meter_cell *cell,
				uint64_t now_us, uint32_t bytes, bool shared)
{
	(void)m, (void)cell, (void)now_us, (void)bytes, (void)shared;
	return P4N_GREEN;
}

static bool matches(const struct row *row, const uint8_t *key, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if ((key[i] & row->mask[i]) != (row->key[i] & row->mask[i]))
			return false;
	return true;
}

static const struct p4n_entry *search(struct p4n_table *t, const uint8_t *key, uint32_t n)
{
	const struct row *best = NULL;

	for (const struct row *r = t->writer->rows; r; r = r->next)
		if (matches(r, key, n) && (!best || r->order < best->order))
			best = r;
	return best ? best->entry : NULL;
}

/* The harness keeps a real bucket for exact tables, since their lookup is inlined. */
static void exact_insert(struct p4n_table *t, struct p4n_entry *e, const uint8_t *key, uint32_t n)
{
	uint32_t words = (n + 7) / 8;
	uint64_t hash = p4n_hash_key(t->hash.seed, key, words);
	struct p4n_hash_array *a = atomic_load(&t->hash.cur);

	for (uint64_t at = hash & a->mask;; at = (at + 1) & a->mask) {
		struct p4n_bucket *b = &a->buckets[at];

		for (uint32_t i = 0; i < P4N_BUCKET_SLOTS; i++)
			if (!atomic_load(&b->slot[i])) {
				uint64_t tag = hash >> 48 | 1;

				atomic_store(&b->slot[i], tag << 48 | (uint64_t)(uintptr_t)e);
				return;
			}
		atomic_fetch_add(&b->overflow, 1);
	}
}

const struct p4n_entry *p4n_lpm_lookup(struct p4n_table *t, const uint8_t *key, uint32_t n)
{
	return search(t, key, n);
}

const struct p4n_entry *p4n_ternary_lookup(struct p4n_table *t, const uint8_t *key, uint32_t n)
{
	return search(t, key, n);
}

const struct p4n_entry *p4n_resolve_member(struct p4n_table *t, const struct p4n_entry *e,
					   uint32_t hash)
{
	(void)t, (void)hash;
	return e;
}

/* --- what the tests call ------------------------------------------------------------------------ */

static struct p4n_entry *make_entry(const struct p4n_table_desc *d, uint32_t action,
				    const uint8_t *data, uint32_t n, const uint8_t *key)
{
	uint32_t data_room = (d->max_data_bytes + n + 7) / 8 * 8;
	uint32_t key_room = (d->key_bytes + 7) / 8 * 8;
	struct p4n_entry *e = zalloc(sizeof(*e) + data_room + key_room + 8);

	e->action = action;
	if (n)
		memcpy(e->data, data, n);
	if (key)
		memcpy(e->data + (d->max_data_bytes + 7) / 8 * 8, key, d->key_bytes);
	return e;
}

static void make_table(struct p4n_table *t, const struct p4n_table_desc *d)
{
	struct p4n_hash_array *a = zalloc(sizeof(*a));

	a->mask = 63;
	a->buckets = aligned_alloc(64, 64 * sizeof(*a->buckets));
	memset(a->buckets, 0, 64 * sizeof(*a->buckets));
	atomic_store(&t->hash.cur, a);
	t->hash.seed[0] = 1;
	t->hash.seed[1] = 0x9e3779b97f4a7c15u;
	t->hash.key_off = (d->max_data_bytes + 7) / 8 * 8;
	t->hash.key_words = (d->key_bytes + 7) / 8;
	t->desc = d;
	t->counted = d->with_counters;
	t->timed = d->with_timeout;
	t->writer = zalloc(sizeof(*t->writer));
	atomic_store(&t->fallback, make_entry(d, d->default_action, d->default_data,
					      d->default_data_bytes, NULL));
}

void harness_add(struct harness *h, uint32_t table, const uint8_t *key, const uint8_t *mask,
		 int32_t order, uint32_t action, const uint8_t *data, uint32_t n)
{
	struct p4n_table *t = &h->tables[table];
	struct row *r = zalloc(sizeof(*r));

	memcpy(r->key, key, t->desc->key_bytes);
	memset(r->mask, 0xff, sizeof(r->mask));
	if (mask)
		memcpy(r->mask, mask, t->desc->key_bytes);
	r->order = order;
	r->entry = make_entry(t->desc, action, data, n, key);
	r->next = t->writer->rows;
	t->writer->rows = r;
	if (t->desc->kind == P4N_TABLE_EXACT)
		exact_insert(t, r->entry, r->entry->data + t->hash.key_off, t->desc->key_bytes);
}

void harness_default(struct harness *h, uint32_t table, uint32_t action, const uint8_t *data,
		     uint32_t n)
{
	struct p4n_table *t = &h->tables[table];

	free(atomic_load(&t->fallback));
	atomic_store(&t->fallback, make_entry(t->desc, action, data, n, NULL));
}

static void add_const_entries(struct harness *h, uint32_t i)
{
	const struct p4n_table_desc *d = &h->pl->tables[i];

	for (uint32_t k = 0; k < d->n_entries; k++) {
		const struct p4n_const_entry *e = &d->entries[k];

		harness_add(h, i, e->key, e->mask, e->priority, e->action, e->data, e->data_bytes);
	}
}

static void make_objects(struct harness *h)
{
	const struct p4n_pipeline *pl = h->pl;

	h->tables = zalloc(pl->n_tables * sizeof(*h->tables));
	h->counters = zalloc(pl->n_counters * sizeof(*h->counters));
	h->meters = zalloc(pl->n_meters * sizeof(*h->meters));
	h->registers = zalloc(pl->n_registers * sizeof(*h->registers));
	h->sets = zalloc(pl->n_value_sets * sizeof(*h->sets));
	for (uint32_t i = 0; i < pl->n_tables; i++)
		make_table(&h->tables[i], &pl->tables[i]);
	for (uint32_t i = 0; i < pl->n_counters; i++) {
		h->counters[i].size = pl->counters[i].size;
		h->counters[i].cells = zalloc(pl->counters[i].size * sizeof(struct p4n_counter_cell));
	}
	for (uint32_t i = 0; i < pl->n_meters; i++) {
		h->meters[i].size = pl->meters[i].size;
		h->meters[i].cells = zalloc(pl->meters[i].size * sizeof(struct p4n_meter_cell));
	}
	for (uint32_t i = 0; i < pl->n_registers; i++) {
		h->registers[i].size = pl->registers[i].size;
		h->registers[i].width = pl->registers[i].width;
		h->registers[i].cells =
			zalloc((size_t)pl->registers[i].size * pl->registers[i].cell_bytes);
	}
}

#define POINTERS(type, field, n)                                       \
	do {                                                           \
		type **list = zalloc(((n) + 1) * sizeof(*list));       \
		for (uint32_t i = 0; i < (n); i++)                     \
			list[i] = &h->field[i];                        \
		h->th.field = list;                                    \
	} while (0)

struct harness *harness_new(void)
{
	struct harness *h = zalloc(sizeof(*h));
	size_t state;

	h->pl = &p4n_pipeline;
	make_objects(h);
	POINTERS(struct p4n_table, tables, h->pl->n_tables);
	POINTERS(struct p4n_counter, counters, h->pl->n_counters);
	POINTERS(struct p4n_meter, meters, h->pl->n_meters);
	POINTERS(struct p4n_register, registers, h->pl->n_registers);
	do {
		struct p4n_value_set **list = zalloc((h->pl->n_value_sets + 1) * sizeof(*list));

		for (uint32_t i = 0; i < h->pl->n_value_sets; i++)
			list[i] = &h->sets[i];
		h->th.value_sets = list;
	} while (0);
	for (uint32_t i = 0; i < h->pl->n_tables; i++)
		add_const_entries(h, i);
	h->th.pre = &h->pre;
	h->th.drop_port = 511;
	h->th.cpu_port = 510;
	h->th.rng[0] = 1;
	h->th.rng[1] = 2;
	h->last = &h->first;
	state = ((size_t)h->pl->state_bytes + 63) / 64 * 64;
	h->th.pipeline_state = aligned_alloc(64, state);
	memset(h->th.pipeline_state, 0, state);
	return h;
}

void harness_group(struct harness *h, bool clone, uint32_t id, const uint32_t *ports, uint32_t n)
{
	struct p4n_id_map *map = clone ? &h->pre.sessions : &h->pre.groups;
	void *_Atomic *page = atomic_load(&map->page[id >> 8]);

	if (!page) {
		page = zalloc(256 * sizeof(*page));
		atomic_store(&map->page[id >> 8], page);
	}
	if (clone) {
		struct p4n_clone_session *s = zalloc(sizeof(*s) + n * sizeof(s->out[0]));

		s->egress_port = P4N_NONE;
		s->n = n;
		for (uint32_t i = 0; i < n; i++)
			s->out[i].port = ports[i];
		atomic_store(&page[id & 0xff], s);
	} else {
		struct p4n_group *g = zalloc(sizeof(*g) + n * sizeof(g->out[0]));

		g->n = n;
		for (uint32_t i = 0; i < n; i++)
			g->out[i] = (struct p4n_replica){ .port = ports[i], .rid = (uint16_t)(i + 1) };
		atomic_store(&page[id & 0xff], g);
	}
}

uint32_t harness_inject(struct harness *h, uint32_t port, const uint8_t *data, uint32_t len)
{
	struct p4n_packet *pkt = p4n_packet_alloc(&h->th, len);
	uint32_t kept;

	if (len)
		memcpy(pkt->data, data, len);
	pkt->ingress_port = port;
	kept = h->pl->process(&h->th, &pkt, 1);
	for (int turns = 0; kept && turns < 100; turns++)
		kept = h->pl->process(&h->th, NULL, 0);
	return kept;
}

int64_t harness_collect(struct harness *h, uint32_t *port, uint8_t *data, uint32_t room)
{
	struct sent *s = h->first;
	int64_t len;

	if (!s)
		return -1;
	h->first = s->next;
	if (!h->first)
		h->last = &h->first;
	*port = s->port;
	len = s->len < room ? s->len : room;
	memcpy(data, s->data, (size_t)len);
	free(s);
	return len;
}

uint64_t harness_live(struct harness *h)
{
	return h->live;
}

uint64_t harness_drops(struct harness *h, uint32_t reason)
{
	return h->drops[reason];
}

const char *harness_log(struct harness *h)
{
	h->log_len = 0;
	return h->log;
}

uint32_t harness_digest(struct harness *h, uint8_t *data)
{
	memcpy(data, h->digest, h->digest_len);
	return h->digest_len;
}

void harness_flush(struct harness *h)
{
	h->pl->flush(&h->th);
}
