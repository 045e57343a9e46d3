/* Tables as writers see them: storage, handles, identity, and the index of each kind. */
#include <stdlib.h>

#include "internal.h"
#include "observed.h"

uint32_t p4n_identity_words(const struct p4n_table_writer *w)
{
	if (w->masked)
		return (2 * w->key_pad + 8) / 8;
	return (w->key_pad + (w->prefixed ? 8 : 0)) / 8;
}

struct p4n_entry *p4n_entry_create(struct p4n_table *t)
{
	struct p4n_entry *e = p4n_slab_alloc(&t->writer->slab);

	if (!e)
		return NULL;
	if (t->desc->direct_meter != P4N_NONE) {
		e->meter = calloc(1, sizeof(struct p4n_direct_meter));
		if (!e->meter) {
			p4n_slab_free(&t->writer->slab, e);
			return NULL;
		}
	}
	atomic_store_explicit(&e->last_hit, p4n_device_now_ms(t->writer->inst->device),
			      memory_order_relaxed);
	e->noticed = atomic_load_explicit(&e->last_hit, memory_order_relaxed);
	return e;
}

void p4n_entry_free(void *table, void *entry)
{
	struct p4n_table *t = table;
	struct p4n_entry *e = entry;

	free(e->note);
	free(e->meter);
	p4n_slab_free(&t->writer->slab, e);
}

/* --- handles ----------------------------------------------------------------------------------- */

static bool more_handles(struct p4n_table_writer *w)
{
	uint32_t n = w->handles ? w->handles * 2 : 64;
	struct p4n_entry **entries = realloc(w->by_handle, n * sizeof(*entries));
	uint64_t *used;

	if (!entries)
		return false;
	w->by_handle = entries;
	used = realloc(w->used, n / 8);
	if (!used)
		return false;
	w->used = used;
	memset(w->by_handle + w->handles, 0, (n - w->handles) * sizeof(*entries));
	memset((uint8_t *)w->used + w->handles / 8, 0, (n - w->handles) / 8);
	w->handles = n;
	return true;
}

/* The lowest free handle, as BMv2 gives them; P4N_NONE without memory. */
static uint32_t take_handle(struct p4n_table_writer *w, struct p4n_entry *e)
{
	uint32_t handle;

	while (w->hint < w->handles / 64 && !~w->used[w->hint])
		w->hint++;
	if (w->hint == w->handles / 64 && !more_handles(w))
		return P4N_NONE;
	handle = w->hint * 64 + (uint32_t)__builtin_ctzll(~w->used[w->hint]);
	w->used[w->hint] |= 1ull << handle % 64;
	w->by_handle[handle] = e;
	return handle;
}

static void release_handle(struct p4n_table_writer *w, uint32_t handle)
{
	w->used[handle / 64] &= ~(1ull << handle % 64);
	w->by_handle[handle] = NULL;
	if (handle / 64 < w->hint)
		w->hint = handle / 64;
}

/* --- identity ---------------------------------------------------------------------------------- */

static void all_ones(uint8_t *mask, const struct p4n_key_field *f)
{
	memset(mask, 0xff, f->bytes);
	if (f->width % 8)
		mask[0] = (uint8_t)((1u << f->width % 8) - 1);
}

static bool normalise_masked(const struct p4n_table_desc *d, uint8_t *key, uint8_t *mask)
{
	for (uint32_t i = 0; i < d->n_fields; i++) {
		const struct p4n_key_field *f = &d->fields[i];

		if (f->match == P4N_MATCH_RANGE) {
			if (memcmp(key + f->offset, mask + f->offset, f->bytes) > 0)
				return false;
			continue;
		}
		if (f->match == P4N_MATCH_EXACT || f->match == P4N_MATCH_VALID)
			all_ones(mask + f->offset, f);
		for (uint32_t j = 0; j < f->bytes; j++)
			key[f->offset + j] &= mask[f->offset + j];
	}
	return true;
}

static bool normalise_prefix(const struct p4n_table_desc *d, uint8_t *key, uint32_t prefix_len)
{
	const struct p4n_key_field *f = &d->fields[d->lpm_field];
	uint32_t bits = prefix_len + f->bytes * 8 - f->width;

	if (prefix_len > f->width)
		return false;
	for (uint32_t i = bits; i < f->bytes * 8; i++)
		key[f->offset + i / 8] &= (uint8_t)~(0x80u >> i % 8);
	return true;
}

bool p4n_entry_normalise(struct p4n_table *t, struct p4n_entry *e)
{
	struct p4n_table_writer *w = t->writer;
	uint8_t *key = e->data + w->key_off, *tail = key + w->key_pad;
	uint64_t order = 0;

	if (w->masked) {
		if (!normalise_masked(t->desc, key, tail))
			return false;
		tail += w->key_pad;
		order = (uint64_t)(uint32_t)e->priority;
	} else if (w->prefixed) {
		if (!normalise_prefix(t->desc, key, e->prefix_len))
			return false;
		order = e->prefix_len;
	} else {
		return true;
	}
	memcpy(tail, &order, sizeof(order));
	return true;
}

struct p4n_entry *p4n_table_find(struct p4n_table *t, const struct p4n_entry *like)
{
	const struct p4n_table_writer *w = t->writer;

	return p4n_hash_find(w->index_writer.hash, like->data + w->key_off, p4n_identity_words(w));
}

/* --- updates ----------------------------------------------------------------------------------- */

static bool index_insert(struct p4n_table *t, struct p4n_entry *e)
{
	struct p4n_table_writer *w = t->writer;

	if (!p4n_hash_insert(&w->index_writer, e))
		return false;
	if (w->masked ? p4n_ternary_insert(w->ternary, e)
		      : !w->prefixed || p4n_trie_insert(atomic_load(&t->trie), e)) {
		w->dirty |= w->masked;
		return true;
	}
	p4n_hash_remove(&w->index_writer, e);
	return false;
}

enum p4n_status p4n_table_insert(struct p4n_table *t, struct p4n_entry *e)
{
	struct p4n_table_writer *w = t->writer;

	if (p4n_table_find(t, e))
		return P4N_EXISTS;
	if (w->count >= t->desc->max_size && !(e->flags & P4N_ENTRY_CONST))
		return P4N_FULL;
	e->handle = take_handle(w, e);
	if (e->handle == P4N_NONE)
		return P4N_NO_MEMORY;
	if (!index_insert(t, e)) {
		release_handle(w, e->handle);
		return P4N_NO_MEMORY;
	}
	w->count++;
	w->timed += e->idle_ms != 0;
	return P4N_OK;
}

enum p4n_status p4n_table_restore(struct p4n_table *t, struct p4n_entry *e)
{
	struct p4n_table_writer *w = t->writer;

	if (!index_insert(t, e))
		return P4N_NO_MEMORY;
	w->used[e->handle / 64] |= 1ull << e->handle % 64;
	w->by_handle[e->handle] = e;
	w->count++;
	w->timed += e->idle_ms != 0;
	return P4N_OK;
}

enum p4n_status p4n_table_replace(struct p4n_table *t, struct p4n_entry *from, struct p4n_entry *to)
{
	struct p4n_table_writer *w = t->writer;

	to->handle = from->handle;
	if (w->masked && !p4n_ternary_replace(w->ternary, from, to))
		return P4N_NO_MEMORY;
	if (w->prefixed && !p4n_trie_replace(atomic_load(&t->trie), from, to))
		return P4N_NO_MEMORY;
	p4n_hash_replace(&w->index_writer, from, to);
	w->by_handle[from->handle] = to;
	w->timed += to->idle_ms != 0;
	w->timed -= from->idle_ms != 0;
	w->dirty |= w->masked;
	return P4N_OK;
}

enum p4n_status p4n_table_remove(struct p4n_table *t, struct p4n_entry *e)
{
	struct p4n_table_writer *w = t->writer;

	if (w->masked ? !p4n_ternary_remove(w->ternary, e)
		      : w->prefixed && !p4n_trie_remove(atomic_load(&t->trie), e))
		return P4N_NO_MEMORY;
	p4n_hash_remove(&w->index_writer, e);
	release_handle(w, e->handle);
	w->count--;
	w->timed -= e->idle_ms != 0;
	w->dirty |= w->masked;
	return P4N_OK;
}

/* Buckets that are copied in the time that an update takes; the copy may take twice as long. */
#define COPIED_PER_UPDATE 32u

bool p4n_table_stage(struct p4n_table *t, uint32_t updates)
{
	struct p4n_table_writer *w = t->writer;
	uint64_t buckets = p4n_hash_bytes(&t->hash) / sizeof(struct p4n_bucket);

	if (w->masked)
		return true; /* as always */
	if (w->prefixed) {
		p4n_trie_stage(atomic_load(&t->trie));
		return true;
	}
	return (uint64_t)updates * COPIED_PER_UPDATE >= buckets &&
	       p4n_hash_stage(&w->index_writer, &w->staged);
}

void p4n_table_prepare(struct p4n_table *t)
{
	struct p4n_table_writer *w = t->writer;

	if (w->dirty && p4n_ternary_prepare(w->ternary)) {
		w->dirty = false;
		w->ready = true;
	}
}

bool p4n_table_publish(struct p4n_table *t)
{
	struct p4n_table_writer *w = t->writer;

	p4n_table_prepare(t);
	if (w->index_writer.hash == &w->staged)
		p4n_hash_publish(&w->index_writer, &t->hash);
	if (w->prefixed)
		p4n_trie_publish(atomic_load(&t->trie));
	if (w->ready)
		p4n_ternary_publish(w->ternary);
	w->ready = false;
	return !w->dirty;
}

/* --- creation ---------------------------------------------------------------------------------- */

static bool set_program_default(struct p4n_table *t)
{
	const struct p4n_table_desc *d = t->desc;
	struct p4n_entry *e = p4n_entry_create(t);

	if (!e)
		return false;
	e->action = d->default_action;
	e->flags = P4N_ENTRY_CONST;
	e->handle = P4N_NONE;
	if (d->default_data_bytes)
		memcpy(e->data, d->default_data, d->default_data_bytes);
	t->writer->program_default = e;
	atomic_store(&t->fallback, e);
	return true;
}

/* BMv2's priorities count down in importance; entries are written with ours, which count up. */
static int32_t const_priority(const struct p4n_table_desc *d, const struct p4n_const_entry *c)
{
	int32_t most = 0;

	for (uint32_t i = 0; i < d->n_entries; i++)
		if (d->entries[i].priority > most)
			most = d->entries[i].priority;
	return most + 1 - c->priority;
}

static bool add_const_entry(struct p4n_table *t, const struct p4n_const_entry *c)
{
	struct p4n_table_writer *w = t->writer;
	struct p4n_entry *e = p4n_entry_create(t);

	if (!e)
		return false;
	e->action = c->action;
	e->flags = P4N_ENTRY_CONST;
	e->prefix_len = c->prefix_len;
	memcpy(e->data + w->key_off, c->key, t->desc->key_bytes);
	if (c->data_bytes)
		memcpy(e->data, c->data, c->data_bytes);
	if (w->masked) {
		memcpy(e->data + w->key_off + w->key_pad, c->mask, t->desc->key_bytes);
		e->priority = const_priority(t->desc, c);
	}
	if (!p4n_entry_normalise(t, e) || p4n_table_insert(t, e) != P4N_OK) {
		/* A second entry with the same key can never match: BMv2 ignores it too. */
		p4n_entry_free(t, e);
	}
	return true;
}

static bool make_index(struct p4n_table *t)
{
	struct p4n_table_writer *w = t->writer;
	struct p4n_limbo *limbo = &w->inst->limbo;

	if (!p4n_hash_init(&w->index_writer, w->masked || w->prefixed ? &w->identity : &t->hash,
			   limbo, w->key_off, p4n_identity_words(w) * 8))
		return false;
	if (w->prefixed) {
		atomic_store(&t->trie, p4n_trie_create(t->desc, limbo, w->key_off));
		return atomic_load(&t->trie) != NULL;
	}
	if (w->masked) {
		w->ternary = p4n_ternary_create(t, limbo, w->key_off, w->key_pad);
		return w->ternary != NULL;
	}
	return true;
}

static void layout_entries(struct p4n_table *t)
{
	const struct p4n_table_desc *d = t->desc;
	struct p4n_table_writer *w = t->writer;
	uint32_t data = d->max_data_bytes > d->default_data_bytes ? d->max_data_bytes
								   : d->default_data_bytes;

	if (d->impl != P4N_IMPL_SIMPLE && data < sizeof(void *))
		data = sizeof(void *);
	w->masked = d->kind == P4N_TABLE_TERNARY || d->kind == P4N_TABLE_RANGE;
	w->prefixed = d->kind == P4N_TABLE_LPM;
	w->key_pad = p4n_pad8(d->key_bytes);
	w->data_pad = p4n_pad8(data);
	w->key_off = w->data_pad;
	p4n_slab_init(&w->slab, (uint32_t)sizeof(struct p4n_entry) + w->data_pad +
					p4n_identity_words(w) * 8);
}

struct p4n_table *p4n_table_create(struct p4n_instance *inst, uint32_t index)
{
	const struct p4n_table_desc *d = &inst->pipeline->tables[index];
	struct p4n_table *t = aligned_alloc(64, (sizeof(*t) + 63) & ~(size_t)63);
	bool ok;

	if (!t)
		return NULL;
	memset((void *)t, 0, sizeof(*t));
	t->desc = d;
	t->counted = d->with_counters;
	t->timed = d->with_timeout;
	t->writer = calloc(1, sizeof(*t->writer));
	if (!t->writer) {
		free(t);
		return NULL;
	}
	t->writer->inst = inst;
	t->writer->index = index;
	if (d->profile != P4N_NONE)
		t->writer->profile = inst->profiles[d->profile];
	layout_entries(t);
	ok = make_index(t) && set_program_default(t);
	for (uint32_t i = 0; ok && i < d->n_entries; i++)
		ok = add_const_entry(t, &d->entries[i]);
	if (!ok || !p4n_table_publish(t)) {
		p4n_table_destroy(t);
		return NULL;
	}
	return t;
}

void p4n_table_destroy(struct p4n_table *t)
{
	struct p4n_table_writer *w = t->writer;
	struct p4n_entry *fallback = atomic_load(&t->fallback);

	for (uint32_t i = 0; i < w->handles; i++)
		if (w->by_handle[i])
			p4n_entry_free(t, w->by_handle[i]);
	if (fallback && fallback != w->program_default)
		p4n_entry_free(t, fallback);
	if (w->program_default)
		p4n_entry_free(t, w->program_default);
	if (w->ternary)
		p4n_ternary_destroy(w->ternary);
	if (atomic_load(&t->trie))
		p4n_trie_destroy(atomic_load(&t->trie));
	p4n_hash_destroy(&w->index_writer);
	p4n_slab_destroy(&w->slab);
	free(w->by_handle);
	free(w->used);
	free(w);
	free(t);
}
