/* Numbers of more than 128 bits: little-endian arrays of 64-bit limbs in two's complement.
 * Operands shorter than the result are sign-extended; results wrap at their own length. */
#ifndef P4N_WIDE_H
#define P4N_WIDE_H

#include <stdbool.h>
#include <stdint.h>

#include <p4n/expr.h>

/* An operand: limbs and how many. */
struct p4n_num {
	const uint64_t *limb;
	unsigned n;
};

#define P4N_NUM(a, n) ((struct p4n_num){ (a), (n) })

void p4n_wide_u128(uint64_t *d, unsigned n, p4n_u128 v);
void p4n_wide_i128(uint64_t *d, unsigned n, p4n_i128 v);
p4n_u128 p4n_wide_low128(struct p4n_num a);
/* `width` bits that start `off` bits after p, unsigned or in two's complement. */
void p4n_wide_load(uint64_t *d, unsigned n, const uint8_t *p, unsigned off, unsigned width,
		   bool is_signed);
void p4n_wide_store(uint8_t *p, unsigned off, unsigned width, struct p4n_num a);
void p4n_wide_copy(uint64_t *d, unsigned n, struct p4n_num a);
void p4n_wide_add(uint64_t *d, unsigned n, struct p4n_num a, struct p4n_num b);
void p4n_wide_sub(uint64_t *d, unsigned n, struct p4n_num a, struct p4n_num b);
void p4n_wide_mul(uint64_t *d, unsigned n, struct p4n_num a, struct p4n_num b);
void p4n_wide_and(uint64_t *d, unsigned n, struct p4n_num a, struct p4n_num b);
void p4n_wide_or(uint64_t *d, unsigned n, struct p4n_num a, struct p4n_num b);
void p4n_wide_xor(uint64_t *d, unsigned n, struct p4n_num a, struct p4n_num b);
void p4n_wide_not(uint64_t *d, unsigned n, struct p4n_num a);
void p4n_wide_shl(uint64_t *d, unsigned n, struct p4n_num a, uint64_t by);
void p4n_wide_shr(uint64_t *d, unsigned n, struct p4n_num a, uint64_t by);
/* Division of non-negative numbers; 0 when b is 0. d must not overlap an operand. */
void p4n_wide_div(uint64_t *d, unsigned n, struct p4n_num a, struct p4n_num b);
void p4n_wide_mod(uint64_t *d, unsigned n, struct p4n_num a, struct p4n_num b);
/* The value of the low `width` bits, in two's complement or unsigned. */
void p4n_wide_sext(uint64_t *d, unsigned n, struct p4n_num a, unsigned width);
void p4n_wide_zext(uint64_t *d, unsigned n, struct p4n_num a, unsigned width);
/* Clamped to `width` bits, signed or unsigned. */
void p4n_wide_sat(uint64_t *d, unsigned n, struct p4n_num a, unsigned width, bool is_signed);
/* As a shift amount: UINT64_MAX when it does not fit. */
uint64_t p4n_wide_amount(struct p4n_num a);
/* -1, 0 or 1. */
int p4n_wide_cmp(struct p4n_num a, struct p4n_num b);

#endif
