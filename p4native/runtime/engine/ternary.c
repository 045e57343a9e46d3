/* Ternary, range and optional matching: bit vectors over nibbles of the key.
 *
 * Rules sit in blocks of 64 or 512, best first across and within blocks. For each nibble of the key
 * and each of its 16 values a block has a line: one bit per rule, set where the rule accepts the
 * value. A lookup ANDs one line per nibble; the first bit left is the answer. Its cost follows from
 * the number of rules and nibbles, never from earlier traffic.
 *
 * A range bound is compared nibble by nibble: greater | equal & (greater | equal & ...), with a line
 * for "greater" and one for "equal", so ranges need neither expansion nor intervals.
 *
 * Published blocks never change. A batch of updates copies each block it touches once, inserts by
 * shifting the lines, and publishes all at once. */
#include <stdlib.h>

#include "ternary.h"

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

/* --- the packet's side ------------------------------------------------------------------------- */

/* For each position the line, counted from its block's first, that the key selects. */
static inline void select_lines(const struct layout *l, const uint8_t *key, uint32_t *lines)
{
	for (uint32_t i = 0; i < l->n_positions; i++)
		lines[i] = l->positions[i].base + nibble_of(key, &l->positions[i]);
}

/* Rules whose lower bound is not above the key (upper: whose upper bound is not below it). */
static inline uint64_t bound_word(const struct block *b, const struct element *e,
				  const uint32_t *lines, bool upper)
{
	uint64_t acc = b->lines[lines[e->first + e->count - 1u] + (upper ? 16 : 0)];

	for (uint32_t i = e->count - 1u; i-- > 0;) {
		uint32_t at = lines[e->first + i] + (upper ? 32 : 0);

		acc = b->lines[at] | (b->lines[at + 16] & acc);
	}
	return acc;
}

static struct p4n_entry *search_narrow(const struct block *b, const struct layout *l,
				       const uint32_t *lines)
{
	uint64_t acc = b->lines[0];

	for (uint32_t i = 0; acc && i < b->masks; i++)
		acc &= b->lines[lines[l->elements[b->order[i]].first]];
	for (uint32_t i = b->masks; acc && i < b->active; i++) {
		const struct element *e = &l->elements[b->order[i]];

		acc &= bound_word(b, e, lines, false) & bound_word(b, e, lines, true);
	}
	return acc ? b->rules[__builtin_ctzll(acc)] : NULL;
}

#if defined(__AVX512F__)
typedef __m512i line_t;
static inline line_t line_load(const uint64_t *p) { return _mm512_load_si512(p); }
static inline line_t line_and(line_t a, line_t b) { return _mm512_and_si512(a, b); }
static inline line_t line_or(line_t a, line_t b) { return _mm512_or_si512(a, b); }
static inline bool line_empty(line_t a) { return !_mm512_test_epi64_mask(a, a); }
static inline void line_store(uint64_t *p, line_t a) { _mm512_store_si512(p, a); }
#elif defined(__AVX2__)
typedef struct { __m256i lo, hi; } line_t;
static inline line_t line_load(const uint64_t *p)
{
	return (line_t){_mm256_load_si256((const __m256i *)(const void *)p),
			_mm256_load_si256((const __m256i *)(const void *)(p + 4))};
}
static inline line_t line_and(line_t a, line_t b)
{
	return (line_t){_mm256_and_si256(a.lo, b.lo), _mm256_and_si256(a.hi, b.hi)};
}
static inline line_t line_or(line_t a, line_t b)
{
	return (line_t){_mm256_or_si256(a.lo, b.lo), _mm256_or_si256(a.hi, b.hi)};
}
static inline bool line_empty(line_t a)
{
	__m256i both = _mm256_or_si256(a.lo, a.hi);

	return _mm256_testz_si256(both, both);
}
static inline void line_store(uint64_t *p, line_t a)
{
	_mm256_store_si256((__m256i *)(void *)p, a.lo);
	_mm256_store_si256((__m256i *)(void *)(p + 4), a.hi);
}
#else
typedef struct { uint64_t w[WIDE]; } line_t;
static inline line_t line_load(const uint64_t *p)
{
	line_t r;

	memcpy(&r, p, sizeof(r));
	return r;
}
static inline line_t line_and(line_t a, line_t b)
{
	for (uint32_t i = 0; i < WIDE; i++)
		a.w[i] &= b.w[i];
	return a;
}
static inline line_t line_or(line_t a, line_t b)
{
	for (uint32_t i = 0; i < WIDE; i++)
		a.w[i] |= b.w[i];
	return a;
}
static inline bool line_empty(line_t a)
{
	uint64_t any = 0;

	for (uint32_t i = 0; i < WIDE; i++)
		any |= a.w[i];
	return !any;
}
static inline void line_store(uint64_t *p, line_t a) { memcpy(p, &a, sizeof(a)); }
#endif

static inline line_t line_at(const struct block *b, uint32_t line)
{
	return line_load(b->lines + (size_t)line * WIDE);
}

static inline line_t bound_line(const struct block *b, const struct element *e,
				const uint32_t *lines, bool upper)
{
	line_t acc = line_at(b, lines[e->first + e->count - 1u] + (upper ? 16 : 0));

	for (uint32_t i = e->count - 1u; i-- > 0;) {
		uint32_t at = lines[e->first + i] + (upper ? 32 : 0);

		acc = line_or(line_at(b, at), line_and(line_at(b, at + 16), acc));
	}
	return acc;
}

static inline struct p4n_entry *first_rule(const struct block *b, line_t acc)
{
	uint64_t w[WIDE] __attribute__((aligned(64)));

	line_store(w, acc);
	for (uint32_t i = 0; i < WIDE; i++)
		if (w[i])
			return b->rules[i * 64 + (uint32_t)__builtin_ctzll(w[i])];
	return NULL;
}

#define GROUP 4u /* lines between two looks at whether any rule is left */

static inline line_t mask_line(const struct block *b, const struct layout *l, uint32_t i,
			       const uint32_t *lines)
{
	return line_at(b, lines[l->elements[b->order[i]].first]);
}

static struct p4n_entry *search_wide(const struct block *b, const struct layout *l,
				     const uint32_t *lines)
{
	/* Line 0 has a bit for every rule there is; the first mask's line has no others. */
	line_t acc = b->masks ? mask_line(b, l, 0, lines) : line_at(b, 0);
	uint32_t i = 0;

	for (; i + GROUP <= b->masks; i += GROUP) {
		line_t two = line_and(mask_line(b, l, i, lines), mask_line(b, l, i + 1, lines));
		line_t four = line_and(mask_line(b, l, i + 2, lines),
				       mask_line(b, l, i + 3, lines));

		acc = line_and(acc, line_and(two, four));
		if (line_empty(acc))
			return NULL;
	}
	for (; i < b->masks; i++)
		acc = line_and(acc, mask_line(b, l, i, lines));
	for (; i < b->active && !line_empty(acc); i++) {
		const struct element *e = &l->elements[b->order[i]];

		acc = line_and(acc, line_and(bound_line(b, e, lines, false),
					     bound_line(b, e, lines, true)));
	}
	return first_rule(b, acc);
}

P4N_EXPORT const struct p4n_entry *p4n_ternary_lookup(struct p4n_table *t, const uint8_t *key,
						      uint32_t key_bytes)
{
	const struct p4n_ternary_root *r = atomic_load_explicit(&t->ternary, memory_order_acquire);
	uint32_t lines[MAX_POSITIONS];

	(void)key_bytes;
	if (!r->n)
		return NULL;
	select_lines(r->layout, key, lines);
	for (uint32_t i = 0; i < r->n; i++) {
		const struct block *b = r->blocks[i];
		struct p4n_entry *e = b->words == 1 ? search_narrow(b, r->layout, lines)
						    : search_wide(b, r->layout, lines);

		if (e)
			return e;
	}
	return NULL;
}

/* --- layout ------------------------------------------------------------------------------------ */

static void add_position(struct layout *l, const struct p4n_key_field *f, uint32_t nibble,
			 uint32_t groups, bool last)
{
	l->positions[l->n_positions++] = (struct position){
		.byte = (uint16_t)(f->offset + nibble / 2),
		.shift = nibble & 1 ? 0 : 4,
		.last = last,
		.base = l->n_lines,
	};
	l->n_lines += groups * 16;
}

static void add_field(struct layout *l, const struct p4n_key_field *f)
{
	uint32_t end = f->bytes * 2, first = end - (f->width + 3) / 4;

	if (f->match == P4N_MATCH_RANGE) {
		l->elements[l->n_elements++] = (struct element){
			(uint16_t)l->n_positions, (uint16_t)(end - first), USE_RANGE};
		for (uint32_t i = first; i < end; i++)
			add_position(l, f, i, i + 1 == end ? 2 : 4, i + 1 == end);
		return;
	}
	for (uint32_t i = first; i < end; i++) {
		l->elements[l->n_elements++] =
			(struct element){(uint16_t)l->n_positions, 1, USE_MASK};
		add_position(l, f, i, 1, false);
	}
}

bool p4n_layout_init(struct layout *l, const struct p4n_table_desc *desc)
{
	if (desc->key_bytes * 2 > MAX_POSITIONS)
		return false;
	l->positions = calloc(desc->key_bytes * 2 + 1, sizeof(*l->positions));
	l->elements = calloc(desc->key_bytes * 2 + 1, sizeof(*l->elements));
	if (!l->positions || !l->elements)
		return false;
	l->n_lines = 1; /* the rules there are */
	for (uint32_t i = 0; i < desc->n_fields; i++)
		add_field(l, &desc->fields[i]);
	return true;
}
