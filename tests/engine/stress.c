/* Readers and a writer on one table, for the sanitizers: every entry a reader is given must match
 * its key and hold data that belongs to it. Usage: stress KIND ROUNDS (1 lpm, 2 ternary, ...). */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "shim.c"

#define READERS 2u
#define BATCH 24u
#define KEY_BYTES 8u

struct p4n_device *p4n_device_create(uint32_t threads, uint32_t cpu, uint32_t drop,
				     uint32_t limit);
struct p4n_domain *p4n_device_domain(struct p4n_device *dev);
void p4n_device_destroy(struct p4n_device *dev);
struct p4n_instance *p4n_instance_create(struct p4n_device *dev, struct p4n_domain *domain,
					 const struct p4n_pipeline *p);
void p4n_instance_destroy(struct p4n_instance *inst);
int64_t p4n_write(struct p4n_instance *inst, const uint8_t *records, size_t len, uint32_t count,
		  int mode, int32_t *status, uint64_t *handles);

/* records.HEADER, then what follows it in this table. */
struct record {
	uint32_t size;
	uint16_t op, table;
	uint32_t action, flags;
	int32_t priority;
	uint32_t prefix_len;
	uint64_t idle_ns;
	uint16_t data_bytes, note_bytes;
	uint32_t zero;
	uint64_t handle, age_ns;
	uint8_t rest[3 * KEY_BYTES];
};

static struct p4n_instance *instance;
static _Atomic bool stop;
static _Atomic uint64_t lookups, hits, wrong;

static uint64_t next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Few bits vary, so that keys meet again. */
static void random_key(uint64_t *state, uint8_t key[KEY_BYTES])
{
	uint64_t r = next(state);

	memset(key, 0, KEY_BYTES);
	key[0] = (uint8_t)(r & 0xf0);
	key[3] = (uint8_t)(r >> 8 & 0x0f);
	key[7] = (uint8_t)(r >> 16 & 0x1f);
}

/* What an entry's data must be for its key, with any update number in the low byte. */
static uint64_t seal(const uint8_t *key)
{
	uint64_t k;

	memcpy(&k, key, sizeof(k));
	return (k * 0x9e3779b97f4a7c15u) & ~0xffull;
}

static bool belongs(const struct p4n_table *t, const struct p4n_entry *e, const uint8_t *key)
{
	const uint8_t *own = e->data + 8, *mask = own + KEY_BYTES;
	uint64_t data;

	memcpy(&data, e->data, sizeof(data));
	if ((data & ~0xffull) != seal(own))
		return false;
	for (uint32_t i = 0; i < KEY_BYTES; i++) {
		if (t->desc->kind == P4N_TABLE_EXACT && own[i] != key[i])
			return false;
		if (t->desc->kind == P4N_TABLE_TERNARY && (key[i] & mask[i]) != own[i])
			return false;
		if (t->desc->kind == P4N_TABLE_LPM && (i + 1) * 8 <= e->prefix_len &&
		    own[i] != key[i])
			return false;
	}
	return true;
}

static void *read_table(void *arg)
{
	uint32_t reader = (uint32_t)(uintptr_t)arg;
	uint64_t state = 0x1234567 + reader, n = 0, hit = 0;
	struct p4n_table *t = instance->tables[0];

	p4n_reader_online(instance->domain, reader);
	while (!atomic_load(&stop)) {
		uint8_t key[KEY_BYTES] __attribute__((aligned(8)));
		const struct p4n_entry *e;

		random_key(&state, key);
		e = lookup(t, key);
		n++;
		if (e) {
			hit++;
			p4n_entry_hit(&(struct p4n_thread){.shared = true}, t, e, 64);
			if (!belongs(t, e, key))
				atomic_fetch_add(&wrong, 1);
		}
		if (n % 64 == 0)
			p4n_reader_quiescent(instance->domain, reader);
		if (n % 4096 == 0) {
			p4n_reader_offline(instance->domain, reader);
			p4n_reader_online(instance->domain, reader);
		}
	}
	p4n_reader_offline(instance->domain, reader);
	atomic_fetch_add(&lookups, n);
	atomic_fetch_add(&hits, hit);
	return NULL;
}

static uint32_t random_record(uint64_t *state, uint32_t kind, struct record *r)
{
	uint64_t choice = next(state), data;
	uint8_t *at = r->rest + KEY_BYTES;

	memset(r, 0, sizeof(*r));
	r->op = (uint16_t)(choice % 4 == 0 ? 2 : choice % 4 == 1 ? 3 : 1);
	random_key(state, r->rest);
	if (kind == P4N_TABLE_TERNARY) {
		r->priority = 1 + (int32_t)(choice >> 8 & 7);
		memset(at, 0xff, KEY_BYTES);
		if (choice & 1 << 16)
			at[7] = 0xf0;
		for (uint32_t i = 0; i < KEY_BYTES; i++)
			r->rest[i] &= at[i];
		at += KEY_BYTES;
	}
	if (kind == P4N_TABLE_LPM) {
		r->prefix_len = choice & 1 << 16 ? 64 : 59;
		if (r->prefix_len == 59)
			r->rest[7] &= 0xe0;
	}
	if (r->op != 3) {
		data = seal(r->rest) | (choice >> 24 & 0xff);
		memcpy(at, &data, sizeof(data));
		r->data_bytes = sizeof(data);
		at += sizeof(data);
	}
	r->size = (uint32_t)(at - (uint8_t *)r);
	return r->size;
}

static void write_table(uint32_t kind, uint32_t rounds)
{
	uint64_t state = 99, handles[BATCH];
	uint8_t buffer[BATCH * sizeof(struct record)];
	int32_t status[BATCH];

	for (uint32_t i = 0; i < rounds; i++) {
		uint32_t n = 1 + (uint32_t)(next(&state) % BATCH);
		size_t len = 0;

		for (uint32_t j = 0; j < n; j++) {
			struct record r;

			random_record(&state, kind, &r);
			memcpy(buffer + len, &r, r.size);
			len += r.size;
		}
		p4n_write(instance, buffer, len, n, (int)(i % 3), status, handles);
	}
}

int main(int argc, char **argv)
{
	uint32_t kind = argc > 2 ? (uint32_t)atoi(argv[1]) : 0;
	uint32_t rounds = argc > 2 ? (uint32_t)atoi(argv[2]) : 1000;
	uint32_t width = 64, match = kind;
	struct p4n_device *dev = p4n_device_create(READERS, P4N_NONE, 511, 16);
	struct p4n_pipeline *p = shim_pipeline(kind, 1, &width, &match, 4096, 8);
	pthread_t readers[READERS];

	instance = p4n_instance_create(dev, p4n_device_domain(dev), p);
	for (uintptr_t i = 0; i < READERS; i++)
		pthread_create(&readers[i], NULL, read_table, (void *)i);
	write_table(kind, rounds);
	atomic_store(&stop, true);
	for (uint32_t i = 0; i < READERS; i++)
		pthread_join(readers[i], NULL);
	printf("%lu lookups, %lu hits, %lu wrong\n", (unsigned long)lookups, (unsigned long)hits,
	       (unsigned long)wrong);
	p4n_instance_destroy(instance);
	p4n_device_destroy(dev);
	shim_free(p);
	return wrong || !hits;
}
