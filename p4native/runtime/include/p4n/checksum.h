/* One's complement sums (the Internet checksum), streamed. */
#ifndef P4N_CHECKSUM_H
#define P4N_CHECKSUM_H

#include <stdint.h>
#include <string.h>

#include <p4n/expr.h>

/* Sum of n bytes (even, a small constant) as native 16- and 32-bit words; never overflows 64 bits
 * for less than 2^32 of them. */
P4N_INLINE uint64_t p4n_csum_words(const uint8_t *p, unsigned n)
{
	uint64_t sum = 0;
	uint32_t w;
	uint16_t h;

	for (; n >= 4; n -= 4, p += 4) {
		memcpy(&w, p, 4);
		sum += w;
	}
	if (n) {
		memcpy(&h, p, 2);
		sum += h;
	}
	return sum;
}

/* Adds a number of at most 64 bits whose last byte stands `shift` (0 or 8) bits before the end of
 * a 16-bit word of the input. */
P4N_INLINE uint64_t p4n_csum_number(uint64_t v, unsigned shift)
{
	uint64_t s = shift ? v >> 56 : 0;

	v = shift ? v << 8 : v;
	s += (v & 0xffff) + (v >> 16 & 0xffff) + (v >> 32 & 0xffff) + (v >> 48);
	/* Words of the input are big-endian, the sum is kept in native order. */
	s = (s & 0xffff) + (s >> 16);
	s = (s & 0xffff) + (s >> 16);
	return __builtin_bswap16((uint16_t)s);
}

/* Adds n bytes of any length that start at an even position of the input. */
uint64_t p4n_csum_add(uint64_t sum, const uint8_t *p, uint32_t n);

/* The checksum of a sum: folded, complemented, in host order. */
P4N_INLINE uint16_t p4n_csum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~__builtin_bswap16((uint16_t)sum);
}

#endif
