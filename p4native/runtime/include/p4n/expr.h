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

/* The big-endian number of 1 to 8 bytes at p. */
P4N_INLINE uint64_t p4n_ld1(const uint8_t *p)
{
	return p[0];
}

P4N_INLINE uint64_t p4n_ld2(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, 2);
	return __builtin_bswap16(v);
}

P4N_INLINE uint64_t p4n_ld4(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return __builtin_bswap32(v);
}

P4N_INLINE uint64_t p4n_ld8(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return __builtin_bswap64(v);
}

P4N_INLINE uint64_t p4n_ld3(const uint8_t *p)
{
	return p4n_ld2(p) << 8 | p[2];
}

P4N_INLINE uint64_t p4n_ld5(const uint8_t *p)
{
	return p4n_ld4(p) << 8 | p[4];
}

P4N_INLINE uint64_t p4n_ld6(const uint8_t *p)
{
	return p4n_ld4(p) << 16 | p4n_ld2(p + 4);
}

P4N_INLINE uint64_t p4n_ld7(const uint8_t *p)
{
	return p4n_ld4(p) << 24 | p4n_ld3(p + 4);
}

/* Stores the low 1 to 8 bytes of v at p. */
P4N_INLINE void p4n_st1(uint8_t *p, uint64_t v)
{
	p[0] = (uint8_t)v;
}

P4N_INLINE void p4n_st2(uint8_t *p, uint64_t v)
{
	uint16_t be = __builtin_bswap16((uint16_t)v);

	memcpy(p, &be, 2);
}

P4N_INLINE void p4n_st4(uint8_t *p, uint64_t v)
{
	uint32_t be = __builtin_bswap32((uint32_t)v);

	memcpy(p, &be, 4);
}

P4N_INLINE void p4n_st8(uint8_t *p, uint64_t v)
{
	uint64_t be = __builtin_bswap64((uint64_t)v);

	memcpy(p, &be, 8);
}

P4N_INLINE void p4n_st3(uint8_t *p, uint64_t v)
{
	p4n_st2(p, v >> 8);
	p[2] = (uint8_t)v;
}

P4N_INLINE void p4n_st5(uint8_t *p, uint64_t v)
{
	p4n_st4(p, v >> 8);
	p[4] = (uint8_t)v;
}

P4N_INLINE void p4n_st6(uint8_t *p, uint64_t v)
{
	p4n_st4(p, v >> 16);
	p4n_st2(p + 4, v);
}

P4N_INLINE void p4n_st7(uint8_t *p, uint64_t v)
{
	p4n_st4(p, v >> 24);
	p4n_st3(p + 4, v);
}

/* The same for a number of bytes that is only known at run time. */
static inline uint64_t p4n_ld(const uint8_t *p, unsigned n)
{
	uint64_t v = 0;

	if (n == 8)
		return p4n_ld8(p);
	while (n--)
		v = v << 8 | *p++;
	return v;
}

static inline void p4n_st(uint8_t *p, unsigned n, uint64_t v)
{
	if (n == 8) {
		p4n_st8(p, v);
		return;
	}
	for (; n--; v >>= 8)
		p[n] = (uint8_t)v;
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

/* `width` bits (1..64) that start `off` bits after p, wherever that is. */
static inline uint64_t p4n_ldbits(const uint8_t *p, unsigned off, unsigned width)
{
	unsigned n = ((off & 7) + width + 7) / 8;
	unsigned shift = n * 8 - (off & 7) - width;

	p += off / 8;
	if (n <= 8)
		return p4n_low(p4n_ld(p, n) >> shift, width);
	return p4n_low(p4n_ld(p, 8) << (8 - shift) | p[8] >> shift, width);
}

/* p4n_stbits() of bits that lie in at most eight bytes. */
static inline void p4n_stbits8(uint8_t *p, unsigned off, unsigned width, uint64_t v)
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
static inline void p4n_stbits(uint8_t *p, unsigned off, unsigned width, uint64_t v)
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
static inline p4n_u128 p4n_ldbits128(const uint8_t *p, unsigned off, unsigned width)
{
	if (width <= 64)
		return p4n_ldbits(p, off, width);
	return (p4n_u128)p4n_ldbits(p, off, width - 64) << 64 | p4n_ldbits(p, off + width - 64, 64);
}

static inline void p4n_stbits128(uint8_t *p, unsigned off, unsigned width, p4n_u128 v)
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
