/* Match tables: what generated code calls to look entries up.
 *
 * Readers are wait-free. An entry never changes after publication, apart from its statistics; an
 * entry that a lookup returned stays valid until the packet thread's next quiescent point. */
#ifndef P4N_TABLE_H
#define P4N_TABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <p4n/meter.h>
#include <p4n/pipeline.h>

/* In an entry of an indirect table: what its action field names instead of an action. */
#define P4N_ENTRY_MEMBER (1u << 0)
#define P4N_ENTRY_GROUP (1u << 1)
/* Came with the program (const entries). */
#define P4N_ENTRY_CONST (1u << 2)

struct p4n_entry_note;

/*  0        8      16       20        24        28      32
 *  | note   | meter | handle | noticed | priority | prefix |  control plane
 *  | action | flags | packets          | bytes | hit, idle |  packet path: starts a cache line
 *  | data (action parameters) ... padded to 8 | key padded to 8 | mask padded to 8 | rank | */
struct p4n_entry {
	struct p4n_entry_note *note;      /* controller metadata, NULL without */
	struct p4n_meter_cell *meter;     /* direct meter, NULL without */
	uint32_t handle;                  /* lowest free number when inserted, as in BMv2; default: P4N_NONE */
	uint32_t noticed;                 /* when its idleness was last reported, in ms */
	int32_t priority;                 /* larger wins; 0 in exact and lpm tables */
	uint32_t prefix_len;              /* lpm tables: bits of the lpm field */
	uint32_t action;                  /* JSON action id; member or group id in indirect tables */
	uint32_t flags;                   /* P4N_ENTRY_* */
	_Atomic uint64_t packets;         /* direct counter */
	_Atomic uint64_t bytes;
	_Atomic uint32_t last_hit;        /* th->now_ms of the last hit, or of the insertion */
	uint32_t idle_ms;                 /* idle timeout, 0 without */
	uint8_t data[] __attribute__((aligned(8)));
};

/* Eight words: tag in the upper 16 bits of seven entry pointers, then the overflow mark. */
#define P4N_BUCKET_SLOTS 7u
struct p4n_bucket {
	_Atomic uint64_t slot[P4N_BUCKET_SLOTS];
	_Atomic uint64_t overflow; /* entries that belong at or before here and lie behind it */
} __attribute__((aligned(64)));

struct p4n_hash_array {
	uint64_t mask; /* buckets - 1 */
	struct p4n_bucket *buckets;
};

/* Open addressing; while it grows, `old` still holds every entry that `cur` does not. */
struct p4n_hash {
	struct p4n_hash_array *_Atomic cur;
	struct p4n_hash_array *_Atomic old;
	uint64_t seed[2];
	uint32_t key_off;   /* of the key in p4n_entry.data */
	uint32_t key_words; /* 8-byte words compared */
};

struct p4n_ternary_root;
struct p4n_trie;
struct p4n_selector;

struct p4n_table {
	struct p4n_hash hash;                           /* exact */
	struct p4n_entry *_Atomic fallback;             /* default entry, never NULL */
	struct p4n_trie *_Atomic trie;                  /* lpm */
	struct p4n_ternary_root *_Atomic ternary;       /* ternary, range, optional */
	const struct p4n_table_desc *desc;
	bool counted; /* direct counter */
	bool timed;   /* supports idle timeout */
	struct p4n_table_writer *writer;                /* everything that packets never touch */
};

/* Folds 64x64 -> 128 bit products: short, and unpredictable without the seed. */
static inline uint64_t p4n_mix(uint64_t a, uint64_t b)
{
	__extension__ typedef unsigned __int128 wide;
	wide p = (wide)a * b;

	return (uint64_t)p ^ (uint64_t)(p >> 64);
}

/* Seeded hash of a key of whole 8-byte words. */
static inline uint64_t p4n_hash_key(const uint64_t seed[2], const uint8_t *key, uint32_t words)
{
	uint64_t h = seed[0];

	for (uint32_t i = 0; i < words; i++) {
		uint64_t w;

		memcpy(&w, key + 8 * i, 8);
		h = p4n_mix(h ^ w, seed[1] ^ (0x9e3779b97f4a7c15u * (i + 1)));
	}
	return p4n_mix(h, seed[0] ^ 0xe7037ed1a0b428dbu);
}

static inline bool p4n_key_equal(const uint8_t *a, const uint8_t *b, uint32_t words)
{
	uint64_t diff = 0;

	for (uint32_t i = 0; i < words; i++) {
		uint64_t x, y;

		memcpy(&x, a + 8 * i, 8);
		memcpy(&y, b + 8 * i, 8);
		diff |= x ^ y;
	}
	return diff == 0;
}

static inline struct p4n_entry *p4n_slot_entry(uint64_t slot)
{
	return (struct p4n_entry *)(uintptr_t)(slot & 0xffffffffffffu);
}

static inline struct p4n_entry *p4n_array_find(const struct p4n_hash_array *array, uint64_t hash,
					       const uint8_t *key, uint32_t key_off, uint32_t words)
{
	uint64_t at = hash & array->mask;
	uint64_t tag = hash >> 48 | 1;

	for (uint64_t probe = 0; probe <= array->mask; probe++) {
		struct p4n_bucket *b = &array->buckets[at];

		for (uint32_t i = 0; i < P4N_BUCKET_SLOTS; i++) {
			uint64_t s = atomic_load_explicit(&b->slot[i], memory_order_acquire);

			if (s >> 48 != tag)
				continue;
			if (p4n_key_equal(p4n_slot_entry(s)->data + key_off, key, words))
				return p4n_slot_entry(s);
		}
		if (!atomic_load_explicit(&b->overflow, memory_order_acquire))
			return NULL;
		at = (at + 1) & array->mask;
	}
	return NULL;
}

static inline struct p4n_entry *p4n_hash_find(const struct p4n_hash *h, const uint8_t *key,
					      uint32_t words)
{
	uint64_t hash = p4n_hash_key(h->seed, key, words);
	/* `cur` first: the writer sets `old` before it publishes a grown array, and clears it only
	 * when that array holds every entry. */
	const struct p4n_hash_array *cur = atomic_load_explicit(&h->cur, memory_order_acquire);
	const struct p4n_hash_array *old = atomic_load_explicit(&h->old, memory_order_acquire);
	struct p4n_entry *e = p4n_array_find(cur, hash, key, h->key_off, words);

	if (__builtin_expect(!e && old, 0))
		e = p4n_array_find(old, hash, key, h->key_off, words);
	return e;
}

/* Keys: the fields in the JSON's order, each ceil(width / 8) bytes big-endian, zero-padded to a
 * multiple of 8. `key_bytes` is the unpadded length, a constant at every call. NULL on a miss. */
static inline const struct p4n_entry *p4n_exact_lookup(struct p4n_table *t, const uint8_t *key,
						       uint32_t key_bytes)
{
	return p4n_hash_find(&t->hash, key, (key_bytes + 7) / 8);
}

/* Longest prefix of the lpm field, the other fields exact. */
const struct p4n_entry *p4n_lpm_lookup(struct p4n_table *t, const uint8_t *key, uint32_t key_bytes);
/* Best priority among ternary, range and optional matches; equal ones by handle, as in BMv2. */
const struct p4n_entry *p4n_ternary_lookup(struct p4n_table *t, const uint8_t *key,
					   uint32_t key_bytes);

/* The entry that a miss runs; NULL when the table has no default action. */
static inline const struct p4n_entry *p4n_table_default(struct p4n_table *t)
{
	const struct p4n_entry *e = atomic_load_explicit(&t->fallback, memory_order_acquire);

	return e->action == P4N_NONE ? NULL : e;
}

static inline bool p4n_entry_is_group(const struct p4n_entry *e)
{
	return (e->flags & P4N_ENTRY_GROUP) != 0;
}

/* The member's action and data behind an entry of an indirect table; `hash` picks from a group,
 * by 32 bits as in BMv2. NULL for an empty group. Entries with an action of their own are returned
 * as they are. */
const struct p4n_entry *p4n_resolve_member(struct p4n_table *t, const struct p4n_entry *e,
					   uint32_t hash);

#endif
