/* Indexed counters, and the additions that several packet threads may do at once. */
#ifndef P4N_COUNTER_H
#define P4N_COUNTER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct p4n_counter_cell {
	_Atomic uint64_t packets;
	_Atomic uint64_t bytes;
};

struct p4n_counter {
	uint64_t size; /* cells */
	struct p4n_counter_cell *cells;
};

/* `shared`: another packet thread may add to the same word; otherwise a plain addition is enough
 * and many times cheaper. */
static inline void p4n_add(bool shared, _Atomic uint64_t *word, uint64_t n)
{
	if (__builtin_expect(shared, 0))
		atomic_fetch_add_explicit(word, n, memory_order_relaxed);
	else
		atomic_store_explicit(word, atomic_load_explicit(word, memory_order_relaxed) + n,
				      memory_order_relaxed);
}

#endif
