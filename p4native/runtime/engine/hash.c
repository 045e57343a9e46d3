/* The writer's side of the hash index: inserts, removals, and growth a few buckets at a time. */
#include <stdlib.h>
#include <sys/random.h>

#include "internal.h"

#define FIRST_BUCKETS 8u
#define MOVED_PER_INSERT 8u

void p4n_random_seed(uint64_t seed[2])
{
	if (getrandom(seed, 16, 0) != 16) {
		seed[0] = p4n_clock_ns();
		seed[1] = (uintptr_t)seed;
	}
	seed[0] |= 1;
	seed[1] |= 1;
}

static struct p4n_hash_array *new_array(uint64_t buckets)
{
	struct p4n_hash_array *a = malloc(sizeof(*a));

	if (!a)
		return NULL;
	a->mask = buckets - 1;
	a->buckets = aligned_alloc(64, buckets * sizeof(*a->buckets));
	if (!a->buckets) {
		free(a);
		return NULL;
	}
	memset((void *)a->buckets, 0, buckets * sizeof(*a->buckets));
	return a;
}

static void free_array(void *owner, void *what)
{
	struct p4n_hash_array *a = what;

	(void)owner;
	free(a->buckets);
	free(a);
}

bool p4n_hash_init(struct p4n_hash_writer *w, struct p4n_hash *h, struct p4n_limbo *limbo,
		   uint32_t key_off, uint32_t key_bytes)
{
	struct p4n_hash_array *a = new_array(FIRST_BUCKETS);

	if (!a)
		return false;
	*w = (struct p4n_hash_writer){.hash = h, .limbo = limbo};
	p4n_random_seed(h->seed);
	h->key_off = key_off;
	h->key_words = p4n_pad8(key_bytes) / 8;
	atomic_store(&h->cur, a);
	atomic_store(&h->old, NULL);
	return true;
}

static uint64_t hash_of(const struct p4n_hash *h, const struct p4n_entry *e)
{
	return p4n_hash_key(h->seed, e->data + h->key_off, h->key_words);
}

static uint64_t slot_of(uint64_t hash, const struct p4n_entry *e)
{
	return (hash >> 48 | 1) << 48 | (uint64_t)(uintptr_t)e;
}

/* There is room: the load stays below what one array can hold. */
static void place(struct p4n_hash_array *a, uint64_t hash, struct p4n_entry *e)
{
	for (uint64_t at = hash & a->mask;; at = (at + 1) & a->mask) {
		struct p4n_bucket *b = &a->buckets[at];

		for (uint32_t i = 0; i < P4N_BUCKET_SLOTS; i++)
			if (!atomic_load_explicit(&b->slot[i], memory_order_relaxed)) {
				atomic_store_explicit(&b->slot[i], slot_of(hash, e),
						      memory_order_release);
				return;
			}
		atomic_fetch_add_explicit(&b->overflow, 1, memory_order_release);
	}
}

static _Atomic uint64_t *find_slot(struct p4n_hash_array *a, uint64_t hash, struct p4n_entry *e,
				   uint64_t *bucket)
{
	uint64_t want = slot_of(hash, e), at = hash & a->mask;

	for (uint64_t probe = 0; probe <= a->mask; probe++, at = (at + 1) & a->mask) {
		struct p4n_bucket *b = &a->buckets[at];

		for (uint32_t i = 0; i < P4N_BUCKET_SLOTS; i++)
			if (atomic_load_explicit(&b->slot[i], memory_order_relaxed) == want) {
				*bucket = at;
				return &b->slot[i];
			}
		if (!atomic_load_explicit(&b->overflow, memory_order_relaxed))
			return NULL;
	}
	return NULL;
}

static void remove_from(struct p4n_hash_array *a, uint64_t hash, struct p4n_entry *e)
{
	uint64_t bucket = 0;
	_Atomic uint64_t *slot = a ? find_slot(a, hash, e, &bucket) : NULL;

	if (!slot)
		return;
	atomic_store_explicit(slot, 0, memory_order_release);
	for (uint64_t at = hash & a->mask; at != bucket; at = (at + 1) & a->mask)
		atomic_fetch_sub_explicit(&a->buckets[at].overflow, 1, memory_order_release);
}

static void move_bucket(struct p4n_hash_writer *w, struct p4n_hash_array *old)
{
	struct p4n_hash_array *cur = atomic_load_explicit(&w->hash->cur, memory_order_relaxed);
	struct p4n_bucket *b = &old->buckets[w->moved++];

	for (uint32_t i = 0; i < P4N_BUCKET_SLOTS; i++) {
		uint64_t s = atomic_load_explicit(&b->slot[i], memory_order_relaxed);

		if (s)
			place(cur, hash_of(w->hash, p4n_slot_entry(s)), p4n_slot_entry(s));
	}
}

static void advance(struct p4n_hash_writer *w)
{
	struct p4n_hash_array *old = atomic_load_explicit(&w->hash->old, memory_order_relaxed);

	for (uint32_t i = 0; old && i < MOVED_PER_INSERT && w->moved <= old->mask; i++)
		move_bucket(w, old);
	if (old && w->moved > old->mask) {
		atomic_store(&w->hash->old, NULL);
		p4n_retire(w->limbo, free_array, NULL, old, (old->mask + 1) * 64);
	}
}

void p4n_hash_settle(struct p4n_hash_writer *w)
{
	while (atomic_load_explicit(&w->hash->old, memory_order_relaxed))
		advance(w);
}

bool p4n_hash_stage(struct p4n_hash_writer *w, struct p4n_hash *staged)
{
	struct p4n_hash_array *cur, *copy;

	p4n_hash_settle(w);
	cur = atomic_load_explicit(&w->hash->cur, memory_order_relaxed);
	copy = malloc(sizeof(*copy));
	if (!copy)
		return false;
	copy->mask = cur->mask;
	copy->buckets = aligned_alloc(64, (cur->mask + 1) * sizeof(*cur->buckets));
	if (!copy->buckets) {
		free(copy);
		return false;
	}
	memcpy((void *)copy->buckets, (const void *)cur->buckets,
	       (cur->mask + 1) * sizeof(*cur->buckets));
	*staged = (struct p4n_hash){.seed = {w->hash->seed[0], w->hash->seed[1]},
				    .key_off = w->hash->key_off,
				    .key_words = w->hash->key_words};
	atomic_init(&staged->cur, copy);
	w->hash = staged;
	return true;
}

void p4n_hash_publish(struct p4n_hash_writer *w, struct p4n_hash *h)
{
	struct p4n_hash_array *before = atomic_load(&h->cur);

	/* In the order in which a growth begins: readers load `cur` first. */
	atomic_store(&h->old, atomic_load(&w->hash->old));
	atomic_store(&h->cur, atomic_load(&w->hash->cur));
	w->hash = h;
	p4n_retire(w->limbo, free_array, NULL, before, (before->mask + 1) * 64);
}

static bool start_growth(struct p4n_hash_writer *w, struct p4n_hash_array *cur)
{
	struct p4n_hash_array *bigger = new_array((cur->mask + 1) * 2);

	if (!bigger)
		return false;
	w->moved = 0;
	atomic_store(&w->hash->old, cur);
	atomic_store(&w->hash->cur, bigger);
	return true;
}

bool p4n_hash_insert(struct p4n_hash_writer *w, struct p4n_entry *e)
{
	struct p4n_hash_array *cur = atomic_load_explicit(&w->hash->cur, memory_order_relaxed);

	advance(w);
	/* Three quarters of the slots: nearly every key in its own bucket. */
	if (w->count * 4 >= (cur->mask + 1) * P4N_BUCKET_SLOTS * 3) {
		if (!start_growth(w, cur))
			return false;
		cur = atomic_load_explicit(&w->hash->cur, memory_order_relaxed);
	}
	place(cur, hash_of(w->hash, e), e);
	w->count++;
	return true;
}

void p4n_hash_remove(struct p4n_hash_writer *w, struct p4n_entry *e)
{
	uint64_t hash = hash_of(w->hash, e);

	remove_from(atomic_load_explicit(&w->hash->cur, memory_order_relaxed), hash, e);
	remove_from(atomic_load_explicit(&w->hash->old, memory_order_relaxed), hash, e);
	w->count--;
	advance(w);
}

void p4n_hash_replace(struct p4n_hash_writer *w, struct p4n_entry *from, struct p4n_entry *to)
{
	uint64_t hash = hash_of(w->hash, from), bucket;
	struct p4n_hash_array *arrays[2] = {
		atomic_load_explicit(&w->hash->cur, memory_order_relaxed),
		atomic_load_explicit(&w->hash->old, memory_order_relaxed),
	};

	for (uint32_t i = 0; i < 2; i++) {
		_Atomic uint64_t *slot = NULL;

		if (arrays[i])
			slot = find_slot(arrays[i], hash, from, &bucket);
		if (slot)
			atomic_store_explicit(slot, slot_of(hash, to), memory_order_release);
	}
}

uint64_t p4n_hash_bytes(const struct p4n_hash *h)
{
	struct p4n_hash_array *cur = atomic_load(&((struct p4n_hash *)(uintptr_t)h)->cur);
	struct p4n_hash_array *old = atomic_load(&((struct p4n_hash *)(uintptr_t)h)->old);

	return (cur ? cur->mask + 1 : 0) * 64 + (old ? old->mask + 1 : 0) * 64;
}

void p4n_hash_destroy(struct p4n_hash_writer *w)
{
	struct p4n_hash_array *cur = w->hash ? atomic_load(&w->hash->cur) : NULL;
	struct p4n_hash_array *old = w->hash ? atomic_load(&w->hash->old) : NULL;

	if (cur)
		free_array(NULL, cur);
	if (old)
		free_array(NULL, old);
}
