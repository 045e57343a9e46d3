/* Bounded text for log_msg(). */
#ifndef P4N_TEXT_H
#define P4N_TEXT_H

#include <stdint.h>

#include <p4n/wide.h>

#define P4N_TEXT_BYTES 1024u

struct p4n_text {
	uint32_t len;
	char data[P4N_TEXT_BYTES];
};

/* What does not fit is cut off. */
void p4n_text_add(struct p4n_text *t, const char *s);
void p4n_text_u128(struct p4n_text *t, p4n_u128 v);
void p4n_text_i128(struct p4n_text *t, p4n_i128 v);
void p4n_text_hex(struct p4n_text *t, struct p4n_num v);

#endif
