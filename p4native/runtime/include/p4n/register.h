/* Register arrays. Cells up to 64 bits are native-endian words of 1, 2, 4 or 8 bytes; wider ones
 * are ceil(width / 8) bytes, big-endian. */
#ifndef P4N_REGISTER_H
#define P4N_REGISTER_H

#include <stdatomic.h>
#include <stdint.h>

struct p4n_register {
	void *cells;
	uint64_t size;       /* cells */
	uint32_t width;      /* bits */
	uint32_t cell_bytes;
	atomic_flag lock;    /* held over an action's reads and writes when threads share it */
};

#endif
