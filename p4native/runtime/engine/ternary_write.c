/* Updates of ternary tables: blocks are copied, changed by shifting their lines, and published. */
#include <stdlib.h>

#include "ternary.h"

struct p4n_ternary_writer {
	struct p4n_table *table;
	struct p4n_limbo *limbo;
	struct layout layout;
	uint32_t key_off, key_pad;
	struct block **blocks; /* the working copy */
	uint32_t n_blocks, cap;
	uint32_t n_rules, since_repack;
	uint64_t bytes;
	struct p4n_ternary_root *next; /* prepared, to be published */
	struct block *spare; /* one freed block of the current width: copying is the common case */
};

/* --- blocks ------------------------------------------------------------------------------------ */

static size_t align64(size_t n)
{
	return (n + 63) & ~(size_t)63;
}

static struct block *new_block(struct p4n_ternary_writer *w, uint32_t words)
{
	const struct layout *l = &w->layout;
	size_t head = align64(sizeof(struct block));
	size_t order = align64(l->n_elements * sizeof(uint16_t));
	size_t cares = align64(l->n_elements * sizeof(uint32_t));
	size_t rules = align64((size_t)words * 64 * sizeof(void *));
	size_t lines = align64((size_t)l->n_lines * words * 8);
	size_t bytes = head + order + cares + rules + lines;
	struct block *b = w->spare;
	uint8_t *at;

	if (b && b->bytes == bytes)
		w->spare = NULL;
	else
		b = aligned_alloc(64, bytes);
	if (!b)
		return NULL;
	at = (uint8_t *)b + head;
	*b = (struct block){.words = words, .fresh = true, .bytes = bytes};
	b->order = (uint16_t *)(void *)at;
	b->cares = (uint32_t *)(void *)(at + order);
	b->rules = (struct p4n_entry **)(void *)(at + order + cares);
	b->lines = (uint64_t *)(void *)(at + order + cares + rules);
	w->bytes += bytes;
	return b;
}

static void free_block(void *owner, void *what)
{
	struct p4n_ternary_writer *w = owner;
	struct block *b = what;

	w->bytes -= b->bytes;
	if (w->spare)
		free(b);
	else
		w->spare = b;
}

static struct block *empty_block(struct p4n_ternary_writer *w, uint32_t words)
{
	struct block *b = new_block(w, words);

	if (b) {
		memset(b->cares, 0, w->layout.n_elements * sizeof(*b->cares));
		memset(b->lines, 0, (size_t)w->layout.n_lines * words * 8);
	}
	return b;
}

static struct block *copy_block(struct p4n_ternary_writer *w, const struct block *from)
{
	struct block *b = new_block(w, from->words);

	if (!b)
		return NULL;
	b->n = from->n;
	b->sorted_n = from->sorted_n;
	b->active = from->active;
	b->masks = from->masks;
	memcpy(b->order, from->order, from->active * sizeof(*b->order));
	memcpy(b->cares, from->cares, w->layout.n_elements * sizeof(*b->cares));
	memcpy(b->rules, from->rules, from->n * sizeof(*b->rules));
	memcpy(b->lines, from->lines, (size_t)w->layout.n_lines * from->words * 8);
	return b;
}

static void drop_block(struct p4n_ternary_writer *w, struct block *b)
{
	if (b->fresh)
		free_block(w, b);
	else
		p4n_retire(w->limbo, free_block, w, b, b->bytes);
}

/* The i-th block, copied first if packets may be using it. */
static struct block *own_block(struct p4n_ternary_writer *w, uint32_t i)
{
	struct block *b = w->blocks[i], *copy;

	if (b->fresh)
		return b;
	copy = copy_block(w, b);
	if (copy) {
		w->blocks[i] = copy;
		drop_block(w, b);
	}
	return copy;
}

/* Opens a zero bit at `at` in every line; the bits from there on move up. */
static void open_bit(struct block *b, uint32_t n_lines, uint32_t at)
{
	uint32_t first = at / 64, words = b->words;
	uint64_t below = (1ull << at % 64) - 1;

	if (at == b->n)
		return;
	for (uint32_t i = 0; i < n_lines; i++) {
		uint64_t *line = b->lines + (size_t)i * words;
		uint64_t w = line[first], carry = w >> 63;

		line[first] = (w & below) | (w & ~below) << 1;
		for (uint32_t j = first + 1; j < words; j++) {
			w = line[j];
			line[j] = w << 1 | carry;
			carry = w >> 63;
		}
	}
}

/* Takes bit `at` out of every line; the bits behind it move down. */
static void close_bit(struct block *b, uint32_t n_lines, uint32_t at)
{
	uint32_t first = at / 64, words = b->words;
	uint64_t below = (1ull << at % 64) - 1;

	for (uint32_t i = 0; i < n_lines; i++) {
		uint64_t *line = b->lines + (size_t)i * words;
		uint64_t w = line[first];

		line[first] = (w & below) | (w >> 1 & ~below);
		for (uint32_t j = first + 1; j < words; j++) {
			w = line[j];
			line[j - 1] |= w << 63;
			line[j] = w >> 1;
		}
	}
}

static inline void set_bit(struct block *b, uint32_t line, uint32_t at)
{
	b->lines[(size_t)line * b->words + at / 64] |= 1ull << at % 64;
}

static void set_mask(struct block *b, const struct position *p, const uint8_t *key,
		     const uint8_t *mask, uint32_t at)
{
	uint32_t m = nibble_of(mask, p), v = nibble_of(key, p) & m;

	for (uint32_t x = 0; x < 16; x++)
		if ((x & m) == v)
			set_bit(b, p->base + x, at);
}

static void set_range(struct block *b, const struct position *p, const uint8_t *low,
		      const uint8_t *high, uint32_t at)
{
	uint32_t lo = nibble_of(low, p), hi = nibble_of(high, p);

	for (uint32_t x = 0; x < 16; x++) {
		if (p->last) {
			if (x >= lo)
				set_bit(b, p->base + x, at);
			if (x <= hi)
				set_bit(b, p->base + 16 + x, at);
			continue;
		}
		if (x > lo)
			set_bit(b, p->base + x, at);
		if (x == lo)
			set_bit(b, p->base + 16 + x, at);
		if (x < hi)
			set_bit(b, p->base + 32 + x, at);
		if (x == hi)
			set_bit(b, p->base + 48 + x, at);
	}
}

/* Whether the rule excludes any value of the element. */
static bool constrains(const struct layout *l, const struct element *e, const uint8_t *key,
		       const uint8_t *mask)
{
	for (uint32_t i = e->first; i < (uint32_t)e->first + e->count; i++) {
		const struct position *p = &l->positions[i];

		if (e->use == USE_MASK ? nibble_of(mask, p) != 0
				       : nibble_of(key, p) != 0 || nibble_of(mask, p) != 15)
			return true;
	}
	return false;
}

static void put_rule(struct p4n_ternary_writer *w, struct block *b, uint32_t at,
		     struct p4n_entry *rule)
{
	const struct layout *l = &w->layout;
	const uint8_t *key = rule->data + w->key_off, *mask = key + w->key_pad;

	open_bit(b, l->n_lines, at);
	memmove(b->rules + at + 1, b->rules + at, (b->n - at) * sizeof(*b->rules));
	b->rules[at] = rule;
	b->n++;
	set_bit(b, 0, at);
	for (uint32_t i = 0; i < l->n_elements; i++) {
		const struct element *e = &l->elements[i];

		b->cares[i] += constrains(l, e, key, mask);
		for (uint32_t j = e->first; j < (uint32_t)e->first + e->count; j++) {
			if (e->use == USE_MASK)
				set_mask(b, &l->positions[j], key, mask, at);
			else
				set_range(b, &l->positions[j], key, mask, at);
		}
	}
}

static void take_rule(struct p4n_ternary_writer *w, struct block *b, uint32_t at)
{
	const struct layout *l = &w->layout;
	const uint8_t *key = b->rules[at]->data + w->key_off, *mask = key + w->key_pad;

	for (uint32_t i = 0; i < l->n_elements; i++)
		b->cares[i] -= constrains(l, &l->elements[i], key, mask);
	close_bit(b, l->n_lines, at);
	b->n--;
	memmove(b->rules + at, b->rules + at + 1, (b->n - at) * sizeof(*b->rules));
}

/* --- order ------------------------------------------------------------------------------------- */

/* True when a is matched before b. */
static inline bool before(const struct p4n_entry *a, const struct p4n_entry *b)
{
	if (a->priority != b->priority)
		return a->priority > b->priority;
	return a->handle < b->handle;
}

/* The block that holds the rule, or where it belongs. */
static uint32_t find_block(const struct p4n_ternary_writer *w, const struct p4n_entry *e)
{
	uint32_t lo = 0, hi = w->n_blocks;

	while (hi - lo > 1) {
		uint32_t mid = (lo + hi) / 2;

		if (before(e, w->blocks[mid]->rules[0]))
			hi = mid;
		else
			lo = mid;
	}
	return lo;
}

static uint32_t find_rule(const struct block *b, const struct p4n_entry *e)
{
	uint32_t lo = 0, hi = b->n;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;

		if (before(b->rules[mid], e))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool add_block(struct p4n_ternary_writer *w, uint32_t at, struct block *b)
{
	if (w->n_blocks == w->cap) {
		uint32_t cap = w->cap ? w->cap * 2 : 4;
		struct block **more = realloc(w->blocks, cap * sizeof(*more));

		if (!more)
			return false;
		w->blocks = more;
		w->cap = cap;
	}
	memmove(w->blocks + at + 1, w->blocks + at, (w->n_blocks - at) * sizeof(*w->blocks));
	w->blocks[at] = b;
	w->n_blocks++;
	return true;
}

static void forget_block(struct p4n_ternary_writer *w, uint32_t at)
{
	w->n_blocks--;
	memmove(w->blocks + at, w->blocks + at + 1, (w->n_blocks - at) * sizeof(*w->blocks));
}

/* Puts all rules into new, full blocks of the given width, in order. */
static bool repack(struct p4n_ternary_writer *w, uint32_t words)
{
	uint32_t cap = words * 64, n = (w->n_rules + cap - 1) / cap, at = 0;
	struct block **old = w->blocks, **fresh = calloc(n + 4, sizeof(*fresh));

	for (uint32_t i = 0; fresh && i < n; i++)
		if (!(fresh[i] = empty_block(w, words))) {
			while (i-- > 0)
				free_block(w, fresh[i]);
			free(fresh);
			fresh = NULL;
		}
	if (!fresh)
		return false;
	for (uint32_t i = 0; i < w->n_blocks; i++) {
		for (uint32_t j = 0; j < old[i]->n; j++, at++)
			put_rule(w, fresh[at / cap], at % cap, old[i]->rules[j]);
		drop_block(w, old[i]);
	}
	free(old);
	w->blocks = fresh;
	w->n_blocks = n;
	w->cap = n + 4;
	w->since_repack = 0;
	return true;
}

/* Moves the upper half of the i-th block, which is ours, to a new one behind it. */
static bool split(struct p4n_ternary_writer *w, uint32_t i)
{
	struct block *b = w->blocks[i], *upper = empty_block(w, WIDE);
	uint32_t half = WIDE / 2, keep = half * 64;

	if (!upper || !add_block(w, i + 1, upper)) {
		if (upper)
			free_block(w, upper);
		return false;
	}
	for (uint32_t j = 0; j < w->layout.n_lines; j++) {
		uint64_t *from = b->lines + (size_t)j * WIDE + half;

		memcpy(upper->lines + (size_t)j * WIDE, from, half * 8);
		memset(from, 0, half * 8);
	}
	upper->n = b->n - keep;
	memcpy(upper->rules, b->rules + keep, upper->n * sizeof(*b->rules));
	b->n = keep;
	for (uint32_t e = 0; e < w->layout.n_elements; e++)
		for (uint32_t r = 0; r < upper->n; r++) {
			const uint8_t *key = upper->rules[r]->data + w->key_off;

			if (constrains(&w->layout, &w->layout.elements[e], key, key + w->key_pad)) {
				upper->cares[e]++;
				b->cares[e]--;
			}
		}
	return true;
}

/* A block with room for the rule, ours to change; a rule at either end gets a block of its own, so
 * that rules that come in order fill their blocks. */
static struct block *room_for(struct p4n_ternary_writer *w, const struct p4n_entry *e)
{
	uint32_t words = w->n_blocks ? w->blocks[0]->words : 1, cap, i, at;

	if (words == 1 && w->n_rules >= 64) {
		if (!repack(w, WIDE))
			return NULL;
		words = WIDE;
	}
	cap = words * 64;
	if (!w->n_blocks) {
		struct block *b = empty_block(w, words);

		return b && add_block(w, 0, b) ? b : NULL;
	}
	i = find_block(w, e);
	if (w->blocks[i]->n < cap)
		return own_block(w, i);
	at = find_rule(w->blocks[i], e);
	if (at == cap && i + 1 < w->n_blocks && w->blocks[i + 1]->n < cap)
		return own_block(w, i + 1);
	if (at == cap || at == 0) {
		struct block *b = empty_block(w, words);

		return b && add_block(w, at ? i + 1 : i, b) ? b : NULL;
	}
	if (!own_block(w, i) || !split(w, i))
		return NULL;
	return w->blocks[find_block(w, e)];
}

bool p4n_ternary_insert(struct p4n_ternary_writer *w, struct p4n_entry *e)
{
	struct block *b = room_for(w, e);

	if (!b)
		return false;
	put_rule(w, b, find_rule(b, e), e);
	w->n_rules++;
	w->since_repack++;
	return true;
}

bool p4n_ternary_remove(struct p4n_ternary_writer *w, struct p4n_entry *e)
{
	uint32_t i = find_block(w, e);
	struct block *b = own_block(w, i);

	if (!b)
		return false;
	take_rule(w, b, find_rule(b, e));
	w->n_rules--;
	w->since_repack++;
	if (!b->n) {
		forget_block(w, i);
		drop_block(w, b);
	}
	return true;
}

bool p4n_ternary_replace(struct p4n_ternary_writer *w, struct p4n_entry *from,
			 struct p4n_entry *to)
{
	struct block *b = own_block(w, find_block(w, from));

	if (!b)
		return false;
	b->rules[find_rule(b, from)] = to;
	return true;
}

/* --- publication ------------------------------------------------------------------------------- */

static uint32_t count_bits(const struct block *b, uint32_t line)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < b->words; i++)
		n += (uint32_t)__builtin_popcountll(b->lines[(size_t)line * b->words + i]);
	return n;
}

/* Rules that an element leaves on average, in 1/16, when traffic is as the rules expect it. */
static uint32_t survivors(const struct block *b, const struct layout *l, uint32_t i)
{
	uint64_t squares = 0, sum = 1;

	if (l->elements[i].use == USE_RANGE)
		return UINT32_MAX; /* last: they cost most and exclude least */
	for (uint32_t v = 0; v < 16; v++) {
		uint64_t n = count_bits(b, l->positions[l->elements[i].first].base + v);

		squares += n * n;
		sum += n;
	}
	return (uint32_t)(squares * 16 / sum);
}

/* Whether the order made earlier still has every constrained element, and is about as good. */
static bool still_sorted(const struct block *b, const struct layout *l)
{
	uint32_t drift = b->n > b->sorted_n ? b->n - b->sorted_n : b->sorted_n - b->n;
	uint8_t known[MAX_POSITIONS] = {0};

	if (!b->sorted_n || drift * 8 > b->sorted_n)
		return false;
	for (uint32_t i = 0; i < b->active; i++)
		known[b->order[i]] = 1;
	for (uint32_t i = 0; i < l->n_elements; i++)
		if (b->cares[i] && !known[i])
			return false;
	return true;
}

static void sort_elements(struct block *b, const struct layout *l)
{
	uint32_t score[MAX_POSITIONS];

	if (still_sorted(b, l))
		return;
	b->active = 0;
	b->masks = 0;
	b->sorted_n = b->n;
	for (uint32_t i = 0; i < l->n_elements; i++) {
		uint32_t at = b->active;

		if (!b->cares[i])
			continue;
		score[i] = survivors(b, l, i);
		for (; at > 0 && score[b->order[at - 1]] > score[i]; at--)
			b->order[at] = b->order[at - 1];
		b->order[at] = (uint16_t)i;
		b->active++;
		b->masks += l->elements[i].use == USE_MASK;
	}
}

static void free_root(void *owner, void *what)
{
	(void)owner;
	free(what);
}

bool p4n_ternary_prepare(struct p4n_ternary_writer *w)
{
	uint32_t full = (w->n_rules + 64 * WIDE - 1) / (64 * WIDE);
	struct p4n_ternary_root *root;

	if (w->n_rules <= 48 && w->n_blocks && w->blocks[0]->words != 1)
		(void)repack(w, 1);
	else if (w->n_blocks > full + full / 4 + 1 && w->since_repack > w->n_rules / 2)
		(void)repack(w, WIDE);
	root = malloc(sizeof(*root) + w->n_blocks * sizeof(root->blocks[0]));
	if (!root)
		return false;
	root->layout = &w->layout;
	root->n = w->n_blocks;
	for (uint32_t i = 0; i < w->n_blocks; i++) {
		if (w->blocks[i]->fresh)
			sort_elements(w->blocks[i], &w->layout);
		w->blocks[i]->fresh = false;
		root->blocks[i] = w->blocks[i];
	}
	free(w->next);
	w->next = root;
	return true;
}

void p4n_ternary_publish(struct p4n_ternary_writer *w)
{
	struct p4n_ternary_root *old = atomic_load(&w->table->ternary);

	atomic_store_explicit(&w->table->ternary, w->next, memory_order_release);
	w->next = NULL;
	p4n_retire(w->limbo, free_root, NULL, old, 64);
}

struct p4n_ternary_writer *p4n_ternary_create(struct p4n_table *t, struct p4n_limbo *limbo,
					      uint32_t key_off, uint32_t key_pad)
{
	struct p4n_ternary_writer *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->table = t;
	w->limbo = limbo;
	w->key_off = key_off;
	w->key_pad = key_pad;
	if (!p4n_layout_init(&w->layout, t->desc) || !p4n_ternary_prepare(w)) {
		p4n_ternary_destroy(w);
		return NULL;
	}
	p4n_ternary_publish(w);
	return w;
}

uint64_t p4n_ternary_bytes(const struct p4n_ternary_writer *w)
{
	return w->bytes;
}

void p4n_ternary_destroy(struct p4n_ternary_writer *w)
{
	for (uint32_t i = 0; i < w->n_blocks; i++)
		free(w->blocks[i]);
	free(w->spare);
	free(w->next);
	free(w->blocks);
	free(w->layout.positions);
	free(w->layout.elements);
	free(atomic_load(&w->table->ternary));
	free(w);
}
