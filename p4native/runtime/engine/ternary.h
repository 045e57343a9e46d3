/* How rules lie in memory: what lookups and updates of ternary tables share. */
#ifndef P4N_TERNARY_H
#define P4N_TERNARY_H

#include "internal.h"

#define WIDE 8u /* words per line in blocks of 512 rules */

enum line_use { USE_MASK, USE_RANGE };

/* One nibble of the key. Range nibbles have up to four groups of 16 lines, mask nibbles one. */
struct position {
	uint16_t byte;
	uint8_t shift;
	uint8_t last; /* range: least significant nibble of its field */
	uint32_t base; /* first line */
};

/* A field that is ANDed as a whole: one nibble of a mask field, or a whole range field. */
struct element {
	uint16_t first, count; /* positions */
	uint8_t use;
};

#define MAX_POSITIONS 2048u /* nibbles of the longest key */

struct layout {
	uint32_t n_positions, n_elements, n_lines;
	struct position *positions;
	struct element *elements;
};

struct block {
	uint32_t n;      /* rules, at bits 0 to n - 1 */
	uint32_t words;  /* per line: 1 or WIDE */
	uint32_t active; /* elements that some rule of the block constrains */
	uint32_t sorted_n; /* rules when the order was made */
	bool fresh;      /* made in this batch: not published yet */
	uint16_t *order; /* active elements: those that exclude most rules first, ranges last */
	uint32_t masks;  /* so many of them are not ranges */
	uint32_t *cares; /* per element: rules that constrain it */
	struct p4n_entry **rules;
	uint64_t *lines;
	size_t bytes;
};

struct p4n_ternary_root {
	const struct layout *layout;
	uint32_t n;
	struct block *blocks[];
};

static inline uint32_t nibble_of(const uint8_t *key, const struct position *p)
{
	return key[p->byte] >> p->shift & 15u;
}

/* Places for the table's key; false without memory. */
bool p4n_layout_init(struct layout *l, const struct p4n_table_desc *desc);

#endif
