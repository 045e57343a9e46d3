/* The head of one packed operation on a table, or of an entry read. */
#ifndef P4N_RECORD_H
#define P4N_RECORD_H

#include <stdint.h>

struct p4n_record {
	uint32_t size;
	uint16_t op;
	uint16_t table;
	uint32_t action;
	uint32_t flags;
	int32_t priority;
	uint32_t prefix_len;
	uint64_t idle_ns;
	uint16_t data_bytes;
	uint16_t note_bytes;
	uint32_t zero;
	uint64_t handle;
	uint64_t age_ns;
};

_Static_assert(sizeof(struct p4n_record) == 56, "records.HEADER has this size");

#endif
