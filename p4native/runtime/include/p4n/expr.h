/* Loads, stores and arithmetic helpers of generated expressions. Byte order is the packet's
 * (big-endian); every access touches exactly the bytes named. */
#ifndef P4N_EXPR_H
#define P4N_EXPR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

__extension__ typedef unsigned __int128 p4n_u128;
__extension__ typedef __int128 p4n_i128;

#define P4N_INLINE static inline __attribute__((always_inline))

/* The n-byte (1..8, a constant) big-endian number at p. */
P4N_INLINE uint64_t p4n_ld(const uint8_t *p, unsigned n)
{
	uint16_t h;
	uint32_t w;
	uint64_t d;

	switch (n) {
	case 1:
		return p[0];
	case 2:
		memcpy(&h, p, 2);
		return __builtin_bswap16(h);
	case 3:
		return p4n_ld(p, 2) << 8 | p[2];
	case 4:
		memcpy(&w, p, 4);
		return __builtin_bswap32(w);
	case 5:
		return p4n_ld(p, 4) << 8 | p[4];
	case 6:
		return p4n_ld(p, 4) << 16 | p4n_ld(p + 4, 2);
	case 7:
		return p4n_ld(p, 4) << 24 | p4n_ld(p + 4, 3);
	default:
		memcpy(&d, p, 8);
		return __builtin_bswap64(d);
	}
}

/* Stores the low n bytes (1..8, a constant) of v at p. */
P4N_INLINE void p4n_st(uint8_t *p, unsigned n, uint64_t v)
{
	uint16_t h;
	uint32_t w;
	uint64_t d;

	switch (n) {
	case 1:
		p[0] = (uint8_t)v;
		return;
	case 2:
		h = __builtin_bswap16((uint16_t)v);
		memcpy(p, &h, 2);
		return;
	case 3:
		p4n_st(p, 2, v >> 8);
		p[2] = (uint8_t)v;
		return;
	case 4:
		w = __builtin_bswap32((uint32_t)v);
		memcpy(p, &w, 4);
		return;
	case 5:
		p4n_st(p, 4, v >> 8);
		p[4] = (uint8_t)v;
		return;
	case 6:
		p4n_st(p, 4, v >> 16);
		p4n_st(p + 4, 2, v);
		return;
	case 7:
		p4n_st(p, 4, v >> 24);
		p4n_st(p + 4, 3, v);
		return;
	default:
		d = __builtin_bswap64(v);
		memcpy(p, &d, 8);
	}
}

/* The low `bits` (1..64) of v. */
P4N_INLINE uint64_t p4n_low(uint64_t v, unsigned bits)
{
	return bits >= 64 ? v : v & ((UINT64_C(1) << bits) - 1);
}

P4N_INLINE p4n_u128 p4n_low128(p4n_u128 v, unsigned bits)
{
	return bits >= 128 ? v : v & (((p4n_u128)1 << bits) - 1);
}

/* `width` bits (1..64) that start `off` bits after p. */
P4N_INLINE uint64_t p4n_ldbits(const uint8_t *p, unsigned off, unsigned width)
{
	unsigned n = ((off & 7) + width + 7) / 8;
	unsigned shift = n * 8 - (off & 7) - width;

	p += off / 8;
	if (n <= 8)
		return p4n_low(p4n_ld(p, n) >> shift, width);
	return p4n_low(p4n_ld(p, 8) << (8 - shift) | p[8] >> shift, width);
}

/* p4n_stbits() of bits that lie in at most eight bytes. */
P4N_INLINE void p4n_stbits8(uint8_t *p, unsigned off, unsigned width, uint64_t v)
{
	unsigned n = ((off & 7) + width + 7) / 8;
	unsigned shift = n * 8 - (off & 7) - width;
	uint64_t mask = p4n_low(UINT64_MAX, width);

	p += off / 8;
	v &= mask;
	if (width != n * 8)
		v = (p4n_ld(p, n) & ~(mask << shift)) | v << shift;
	p4n_st(p, n, v);
}

/* Writes `width` bits (1..64) that start `off` bits after p; the bits around them stay. */
P4N_INLINE void p4n_stbits(uint8_t *p, unsigned off, unsigned width, uint64_t v)
{
	unsigned extra = (off & 7) + width;

	if (extra <= 64) {
		p4n_stbits8(p, off, width, v);
		return;
	}
	extra -= 64;
	p4n_stbits8(p, off, width - extra, v >> extra);
	p4n_stbits8(p, off + width - extra, extra, v);
}

/* `width` bits (1..128) that start `off` bits after p. */
P4N_INLINE p4n_u128 p4n_ldbits128(const uint8_t *p, unsigned off, unsigned width)
{
	if (width <= 64)
		return p4n_ldbits(p, off, width);
	return (p4n_u128)p4n_ldbits(p, off, width - 64) << 64 | p4n_ldbits(p, off + width - 64, 64);
}

P4N_INLINE void p4n_stbits128(uint8_t *p, unsigned off, unsigned width, p4n_u128 v)
{
	if (width > 64) {
		p4n_stbits(p, off, width - 64, (uint64_t)(v >> 64));
		off += width - 64;
		width = 64;
	}
	p4n_stbits(p, off, width, (uint64_t)v);
}

/* Two's complement value of the low `bits` (1..64) of v. */
P4N_INLINE int64_t p4n_sext(uint64_t v, unsigned bits)
{
	return (int64_t)(v << (64 - bits)) >> (64 - bits);
}

P4N_INLINE p4n_i128 p4n_sext128(p4n_u128 v, unsigned bits)
{
	return (p4n_i128)(v << (128 - bits)) >> (128 - bits);
}

/* A boolean as a number: 0 or 1. */
P4N_INLINE uint64_t p4n_bit(bool value)
{
	return value;
}

/* Shifts by any amount. */
P4N_INLINE uint64_t p4n_shl(uint64_t v, uint64_t by)
{
	return by > 63 ? 0 : v << by;
}

P4N_INLINE uint64_t p4n_shr(uint64_t v, uint64_t by)
{
	return by > 63 ? 0 : v >> by;
}

P4N_INLINE int64_t p4n_sar(int64_t v, uint64_t by)
{
	return v >> (by > 63 ? 63 : by);
}

P4N_INLINE p4n_u128 p4n_shl128(p4n_u128 v, uint64_t by)
{
	return by > 127 ? 0 : v << by;
}

P4N_INLINE p4n_u128 p4n_shr128(p4n_u128 v, uint64_t by)
{
	return by > 127 ? 0 : v >> by;
}

P4N_INLINE p4n_i128 p4n_sar128(p4n_i128 v, uint64_t by)
{
	return v >> (by > 127 ? 127 : by);
}

/* BMv2 leaves division by zero undefined; here it gives 0. */
P4N_INLINE uint64_t p4n_div(uint64_t a, uint64_t b)
{
	return b ? a / b : 0;
}

P4N_INLINE uint64_t p4n_mod(uint64_t a, uint64_t b)
{
	return b ? a % b : 0;
}

P4N_INLINE p4n_u128 p4n_div128(p4n_u128 a, p4n_u128 b)
{
	return b ? a / b : 0;
}

P4N_INLINE p4n_u128 p4n_mod128(p4n_u128 a, p4n_u128 b)
{
	return b ? a % b : 0;
}

#endif
