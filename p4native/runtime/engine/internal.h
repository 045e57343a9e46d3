/* What the engine's modules share and generated code never sees. */
#ifndef P4N_INTERNAL_H
#define P4N_INTERNAL_H

#include <pthread.h>
#include <stddef.h>
#include <time.h>

#include <p4n/engine.h>

#define P4N_MAX_THREADS 64u
#define P4N_EXPORT __attribute__((visibility("default")))

/* The outcome of an operation; records.Status in Python. Append-only. */
enum p4n_status {
	P4N_OK,
	P4N_EXISTS,
	P4N_MISSING,
	P4N_FULL,
	P4N_CONST,
	P4N_BAD_ACTION,
	P4N_BAD_RECORD,
	P4N_NO_MEMORY,
	P4N_IN_USE,
	P4N_ABORTED,
};

static inline uint32_t p4n_pad8(uint32_t n)
{
	return (n + 7u) & ~7u;
}

/* --- reclamation: reclaim.c ------------------------------------------------------------------- */

typedef void (*p4n_free_fn)(void *owner, void *what);

struct p4n_garbage {
	uint64_t epoch; /* free when every reader has passed it */
	p4n_free_fn fn;
	void *owner;
	void *what;
	size_t bytes;
};

/* A packet thread as writers see it: 0 while it holds no reference, else the epoch it last saw. */
struct p4n_reader {
	_Atomic uint64_t seen;
} __attribute__((aligned(64)));

/* Shared by a device's threads and all pipelines made for it. */
struct p4n_domain {
	_Atomic uint64_t epoch;
	_Atomic uint32_t pausing; /* readers wait before they go online */
	pthread_mutex_t pause_lock;
	pthread_cond_t resumed;
	struct p4n_reader readers[P4N_MAX_THREADS];
};

/* What a writer has unlinked; guarded by the writer's lock. */
struct p4n_limbo {
	struct p4n_domain *domain;
	struct p4n_garbage *ring;
	size_t cap, head, count, stamped; /* stamped <= count: the first so many have their epoch */
	size_t bytes;
};

void p4n_domain_init(struct p4n_domain *d);
void p4n_domain_destroy(struct p4n_domain *d);
/* Readers: online before the first lookup, quiescent between batches, offline before sleeping. */
void p4n_reader_online(struct p4n_domain *d, uint32_t reader);
void p4n_reader_offline(struct p4n_domain *d, uint32_t reader);

static inline void p4n_reader_quiescent(struct p4n_domain *d, uint32_t reader)
{
	if (__builtin_expect(atomic_load_explicit(&d->pausing, memory_order_relaxed), 0)) {
		p4n_reader_offline(d, reader);
		p4n_reader_online(d, reader);
		return;
	}
	atomic_store_explicit(&d->readers[reader].seen,
			      atomic_load_explicit(&d->epoch, memory_order_acquire),
			      memory_order_release);
}

/* Returns when no reader is any more in what it was in: packets under way have ended. */
void p4n_domain_synchronize(struct p4n_domain *d);
/* Between the two, no reader is online: what changes in between is seen whole. */
void p4n_domain_pause(struct p4n_domain *d);
void p4n_domain_resume(struct p4n_domain *d);

/* Hands over something already unlinked; freed some time after p4n_limbo_flush(). */
void p4n_retire(struct p4n_limbo *l, p4n_free_fn fn, void *owner, void *what, size_t bytes);
/* Everything retired so far is now unreachable for new readers; frees what no reader can hold. */
void p4n_limbo_flush(struct p4n_limbo *l);
/* Frees everything at once: no reader may be left. */
void p4n_limbo_destroy(struct p4n_limbo *l);
void p4n_free_plain(void *owner, void *what);

/* --- entry storage: slab.c -------------------------------------------------------------------- */

struct p4n_slab {
	uint32_t stride;
	void *chunks;
	void *free;
	uint64_t bytes;
};

void p4n_slab_init(struct p4n_slab *s, uint32_t object_bytes);
void *p4n_slab_alloc(struct p4n_slab *s); /* zeroed; NULL without memory */
void p4n_slab_free(void *slab, void *object);
void p4n_slab_destroy(struct p4n_slab *s);

/* --- hash index: hash.c ----------------------------------------------------------------------- */

struct p4n_hash_writer {
	struct p4n_hash *hash;
	struct p4n_limbo *limbo;
	uint64_t count;
	uint64_t moved; /* buckets of `old` copied so far */
};

bool p4n_hash_init(struct p4n_hash_writer *w, struct p4n_hash *h, struct p4n_limbo *limbo,
		   uint32_t key_off, uint32_t key_bytes);
bool p4n_hash_insert(struct p4n_hash_writer *w, struct p4n_entry *e);
void p4n_hash_remove(struct p4n_hash_writer *w, struct p4n_entry *e);
/* Both entries have the same key. */
void p4n_hash_replace(struct p4n_hash_writer *w, struct p4n_entry *from, struct p4n_entry *to);
/* Ends a growth under way. */
void p4n_hash_settle(struct p4n_hash_writer *w);
/* From now on the writer works on a copy, `staged`, that nobody else sees; false without memory. */
bool p4n_hash_stage(struct p4n_hash_writer *w, struct p4n_hash *staged);
/* What the copy has become takes the place of what is in `h`: a few stores. */
void p4n_hash_publish(struct p4n_hash_writer *w, struct p4n_hash *h);
uint64_t p4n_hash_bytes(const struct p4n_hash *h);
void p4n_hash_destroy(struct p4n_hash_writer *w);
void p4n_random_seed(uint64_t seed[2]);

/* --- longest prefix: trie.c ------------------------------------------------------------------- */

struct p4n_trie *p4n_trie_create(const struct p4n_table_desc *desc, struct p4n_limbo *limbo,
				 uint32_t key_off);
bool p4n_trie_insert(struct p4n_trie *t, struct p4n_entry *e);
bool p4n_trie_remove(struct p4n_trie *t, struct p4n_entry *e);
bool p4n_trie_replace(struct p4n_trie *t, struct p4n_entry *from, struct p4n_entry *to);
/* Changes from now on are made aside; packets see all of them when they are published. */
void p4n_trie_stage(struct p4n_trie *t);
void p4n_trie_publish(struct p4n_trie *t);
void p4n_trie_destroy(struct p4n_trie *t);

/* --- ternary and range: ternary.c ------------------------------------------------------------- */

struct p4n_ternary_writer;

struct p4n_ternary_writer *p4n_ternary_create(struct p4n_table *t, struct p4n_limbo *limbo,
					      uint32_t key_off, uint32_t key_pad);
/* Changes are collected until p4n_ternary_publish(). */
bool p4n_ternary_insert(struct p4n_ternary_writer *w, struct p4n_entry *e);
bool p4n_ternary_remove(struct p4n_ternary_writer *w, struct p4n_entry *e);
bool p4n_ternary_replace(struct p4n_ternary_writer *w, struct p4n_entry *from,
			 struct p4n_entry *to);
bool p4n_ternary_prepare(struct p4n_ternary_writer *w); /* all but the instant itself */
void p4n_ternary_publish(struct p4n_ternary_writer *w);
uint64_t p4n_ternary_bytes(const struct p4n_ternary_writer *w);
void p4n_ternary_destroy(struct p4n_ternary_writer *w);

/* --- tables: table.c, record.c, read.c ------------------------------------------------------- */

struct p4n_instance;
struct p4n_profile;

/* What only the control plane knows of an entry; packets and octets are added to the entry's own. */
struct p4n_entry_note {
	uint64_t idle_ns;
	uint64_t packets, octets;
	uint32_t bytes;
	uint8_t data[];
};

struct p4n_table_writer {
	struct p4n_instance *inst;
	uint32_t index;
	uint32_t key_pad, data_pad, key_off;
	bool masked;   /* ternary or range: mask and priority are part of the identity */
	bool prefixed; /* lpm: the prefix length is */
	struct p4n_slab slab;
	struct p4n_entry **by_handle;
	uint64_t *used; /* bitmap of handles */
	uint32_t handles, hint;
	uint32_t count;
	struct p4n_hash identity; /* lpm and ternary tables; exact ones use table->hash */
	struct p4n_hash staged;	  /* exact tables, from p4n_table_stage() to p4n_table_publish() */
	struct p4n_hash_writer index_writer;
	struct p4n_ternary_writer *ternary;
	bool dirty, ready; /* ternary changes not yet prepared; prepared and not yet published */
	struct p4n_entry *program_default; /* what the program came with */
	struct p4n_profile *profile;
	uint32_t sweep; /* next handle that the idle sweep looks at */
	uint32_t timed; /* entries with an idle time: none, and the sweep has nothing to do */
};

struct p4n_table *p4n_table_create(struct p4n_instance *inst, uint32_t index);
void p4n_table_destroy(struct p4n_table *t);
struct p4n_entry *p4n_entry_create(struct p4n_table *t);
/* The longest idle time that the clock can tell from one of a minute ago. */
#define P4N_MAX_IDLE_MS (UINT32_MAX - 120000u)
/* Milliseconds from `then` to `now`; 0 when a packet thread's clock is ahead of the caller's. */
static inline uint32_t p4n_age_ms(uint32_t now, uint32_t then)
{
	uint32_t age = now - then;

	return age > UINT32_MAX - 60000 ? 0 : age;
}
/* By handle, P4N_NONE for the default entry; NULL if there is none. */
struct p4n_entry *p4n_table_entry(struct p4n_table *t, uint32_t handle);
/* Frees an entry nobody can see any more, with all it owns. */
void p4n_entry_free(void *table, void *entry);
uint32_t p4n_identity_words(const struct p4n_table_writer *w);
/* Normalises key and mask in place; false when a masked key or range is impossible. */
bool p4n_entry_normalise(struct p4n_table *t, struct p4n_entry *e);
struct p4n_record;
/* Key, mask and priority from a record; false when they are impossible. */
bool p4n_entry_identify(struct p4n_table *t, struct p4n_entry *e, const struct p4n_record *h);
struct p4n_entry *p4n_table_find(struct p4n_table *t, const struct p4n_entry *like);
enum p4n_status p4n_table_insert(struct p4n_table *t, struct p4n_entry *e);
enum p4n_status p4n_table_replace(struct p4n_table *t, struct p4n_entry *from, struct p4n_entry *to);
enum p4n_status p4n_table_remove(struct p4n_table *t, struct p4n_entry *e);
/* Puts back what p4n_table_remove() took out, under its old handle. */
enum p4n_status p4n_table_restore(struct p4n_table *t, struct p4n_entry *e);
/* Packets see no change of the table from now on until it is published. False for an exact one without
 * memory, or when the copy that it takes would cost more than so many updates are worth. */
bool p4n_table_stage(struct p4n_table *t, uint32_t updates);
/* Makes changes that packets do not see yet ready to be published in an instant. */
void p4n_table_prepare(struct p4n_table *t);
bool p4n_table_publish(struct p4n_table *t);

/* --- action profiles: profile.c --------------------------------------------------------------- */

/* A member's address never changes; its action is replaced. */
struct p4n_member {
	struct p4n_entry *_Atomic action;
	uint32_t id;
	uint32_t refs; /* entries and group slots */
};

struct p4n_group_member {
	uint32_t member;
	uint32_t weight;
	uint32_t watch; /* port, or P4N_NONE */
};

/* Each live member, as often as its weight. */
struct p4n_choice {
	uint32_t n;
	struct p4n_member *member[];
};

struct p4n_selector_group {
	struct p4n_choice *_Atomic choice;
	uint32_t id;
	uint32_t refs;
	uint32_t max_size;
	uint32_t n;
	struct p4n_group_member *members;
};

struct p4n_profile {
	const struct p4n_profile_desc *desc;
	struct p4n_instance *inst;
	struct p4n_member **members; /* sorted by id */
	uint32_t n_members, cap_members;
	struct p4n_selector_group **groups; /* sorted by id */
	uint32_t n_groups, cap_groups;
};

struct p4n_profile *p4n_profile_create(struct p4n_instance *inst, uint32_t index);
void p4n_profile_destroy(struct p4n_profile *p);
/* Points an indirect entry at its member or group and counts the reference. */
enum p4n_status p4n_profile_bind(struct p4n_profile *p, struct p4n_entry *e);
/* Counts a bound entry's reference again, or takes it off. */
void p4n_profile_count(const struct p4n_entry *e, int by);
/* A port went up or down: choose among the members that are left. */
void p4n_profile_port_changed(struct p4n_profile *p);

/* --- a loaded program: instance.c ------------------------------------------------------------- */

struct p4n_learner;

struct p4n_instance {
	const struct p4n_pipeline *pipeline;
	struct p4n_domain *domain;
	struct p4n_device *device;
	pthread_mutex_t lock; /* all writers */
	bool changed; /* since packets that were under way are known to have ended */
	uint32_t awaited; /* in the limbo: what changes counts when packets have gone on */
	struct p4n_limbo limbo;
	struct p4n_table **tables;
	struct p4n_counter **counters;
	struct p4n_meter **meters;
	struct p4n_register **registers;
	struct p4n_value_set **value_sets;
	struct p4n_profile **profiles;
	struct p4n_learner *learner;
	struct p4n_pre pre;
};

struct p4n_instance *p4n_instance_create(struct p4n_device *dev, struct p4n_domain *domain,
					 const struct p4n_pipeline *p);
void p4n_instance_destroy(struct p4n_instance *inst);
const struct p4n_action_desc *p4n_find_action(const struct p4n_instance *inst, uint32_t id);
/* Backups of replicas are chosen anew; the caller holds inst->lock. */
void p4n_pre_ports_changed(struct p4n_instance *inst);
/* Milliseconds of the device's clock now; what entries are stamped with. */
uint32_t p4n_device_now_ms(const struct p4n_device *dev);
uint64_t p4n_device_now_us(const struct p4n_device *dev);
bool p4n_device_port_up(const struct p4n_device *dev, uint32_t port);
bool p4n_device_shared(const struct p4n_device *dev);
void p4n_learn_destroy(struct p4n_learner *l);
void p4n_learner_add(struct p4n_learner *l, uint32_t list_id, const uint8_t *data, uint32_t len);
struct p4n_learner *p4n_learn_create(const struct p4n_pipeline *p);

static inline uint64_t p4n_clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

#endif
