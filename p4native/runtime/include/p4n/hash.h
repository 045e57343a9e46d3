/* BMv2's hash algorithms over one contiguous input, and its random numbers. */
#ifndef P4N_HASH_H
#define P4N_HASH_H

#include <stdint.h>

#include <p4n/engine.h>
#include <p4n/expr.h>

uint64_t p4n_crc8(const uint8_t *p, uint32_t n);
uint64_t p4n_crc16(const uint8_t *p, uint32_t n);
uint64_t p4n_crc_ccitt(const uint8_t *p, uint32_t n);
uint64_t p4n_crc32(const uint8_t *p, uint32_t n);
uint64_t p4n_crc64(const uint8_t *p, uint32_t n);
uint64_t p4n_csum16(const uint8_t *p, uint32_t n);
uint64_t p4n_xor16(const uint8_t *p, uint32_t n);
uint64_t p4n_xor32(const uint8_t *p, uint32_t n);
uint64_t p4n_identity(const uint8_t *p, uint32_t n);
uint64_t p4n_xxh64(const uint8_t *p, uint32_t n);
uint64_t p4n_hash_ex(const uint8_t *p, uint32_t n);
/* With the all-zero key that BMv2 starts with: always 0. */
uint64_t p4n_toeplitz(const uint8_t *p, uint32_t n);

/* xoroshiro128+ on the thread's own state. */
P4N_INLINE uint64_t p4n_random64(struct p4n_thread *th)
{
	uint64_t a = th->rng[0] | 1;
	uint64_t b = th->rng[1];
	uint64_t sum = a + b;

	b ^= a;
	th->rng[0] = (a << 24 | a >> 40) ^ b ^ b << 16;
	th->rng[1] = b << 37 | b >> 27;
	return sum;
}

/* Uniform in [lo, hi] (lo <= hi). */
P4N_INLINE uint64_t p4n_random(struct p4n_thread *th, uint64_t lo, uint64_t hi)
{
	uint64_t span = hi - lo + 1;
	uint64_t r = p4n_random64(th);

	return span ? lo + (uint64_t)((p4n_u128)r * span >> 64) : r;
}

P4N_INLINE uint64_t p4n_random_hash(struct p4n_thread *th)
{
	return p4n_random64(th);
}

/* A different number each time. */
P4N_INLINE uint64_t p4n_round_robin(struct p4n_thread *th)
{
	return th->rng[0]++;
}

#endif
