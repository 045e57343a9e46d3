/* Hash and checksum algorithms, by the definitions that BMv2 uses. */
#include <p4n/checksum.h>
#include <p4n/hash.h>

static uint8_t crc8_table[256];
static uint16_t crc16_table[256];
static uint16_t ccitt_table[256];
static uint32_t crc32_table[8][256];
static uint64_t crc64_table[256];

/* One step of a CRC with the most significant bit first. */
static uint64_t crc_bits(uint64_t r, uint64_t poly, unsigned width)
{
	for (unsigned bit = 0; bit < 8; bit++)
		r = r >> (width - 1) & 1 ? r << 1 ^ poly : r << 1;
	return r;
}

/* The same with the least significant bit first; poly is reflected. */
static uint64_t crc_bits_reflected(uint64_t r, uint64_t poly)
{
	for (unsigned bit = 0; bit < 8; bit++)
		r = r & 1 ? r >> 1 ^ poly : r >> 1;
	return r;
}

__attribute__((constructor)) static void fill_tables(void)
{
	for (unsigned i = 0; i < 256; i++) {
		crc8_table[i] = (uint8_t)crc_bits(i, 0x07, 8);
		ccitt_table[i] = (uint16_t)crc_bits((uint64_t)i << 8, 0x1021, 16);
		crc16_table[i] = (uint16_t)crc_bits_reflected(i, 0xa001);
		crc32_table[0][i] = (uint32_t)crc_bits_reflected(i, 0xedb88320);
		crc64_table[i] = crc_bits_reflected(i, 0xd800000000000000);
	}
	for (unsigned k = 1; k < 8; k++)
		for (unsigned i = 0; i < 256; i++) {
			uint32_t r = crc32_table[k - 1][i];

			crc32_table[k][i] = r >> 8 ^ crc32_table[0][r & 255];
		}
}

uint64_t p4n_crc8(const uint8_t *p, uint32_t n)
{
	uint8_t r = 0;

	while (n--)
		r = crc8_table[r ^ *p++];
	return r;
}

uint64_t p4n_crc16(const uint8_t *p, uint32_t n)
{
	uint16_t r = 0;

	while (n--)
		r = (uint16_t)(r >> 8 ^ crc16_table[(r ^ *p++) & 255]);
	return r;
}

uint64_t p4n_crc_ccitt(const uint8_t *p, uint32_t n)
{
	uint16_t r = 0xffff;

	while (n--)
		r = (uint16_t)(r << 8 ^ ccitt_table[(r >> 8 ^ *p++) & 255]);
	return r;
}

/* Eight bytes at a time: this one is asked for per packet. */
uint64_t p4n_crc32(const uint8_t *p, uint32_t n)
{
	uint32_t r = UINT32_MAX;

	for (; n >= 8; n -= 8, p += 8) {
		uint64_t w;

		memcpy(&w, p, 8);
		w ^= r;
		r = 0;
		for (unsigned k = 0; k < 8; k++)
			r ^= crc32_table[7 - k][w >> (8 * k) & 255];
	}
	while (n--)
		r = r >> 8 ^ crc32_table[0][(r ^ *p++) & 255];
	return (uint32_t)~r;
}

uint64_t p4n_crc64(const uint8_t *p, uint32_t n)
{
	uint64_t r = 0;

	while (n--)
		r = r >> 8 ^ crc64_table[(r ^ *p++) & 255];
	return r;
}

uint64_t p4n_csum_add(uint64_t sum, const uint8_t *p, uint32_t n)
{
	uint64_t a = 0, b = 0;
	uint32_t w[4];

	for (; n >= 16; n -= 16, p += 16) {
		memcpy(w, p, 16);
		a += (uint64_t)w[0] + w[1];
		b += (uint64_t)w[2] + w[3];
	}
	a += p4n_csum_words(p, n & 12);
	p += n & 12;
	if (n & 2)
		b += p4n_csum_words(p, 2);
	p += n & 2;
	if (n & 1)
		b += *p;
	sum = (sum & 0xffffffff) + (sum >> 32);
	return sum + a + b;
}

uint64_t p4n_csum16(const uint8_t *p, uint32_t n)
{
	return p4n_csum_fold(p4n_csum_add(0, p, n));
}

/* Big-endian words of `size` bytes; the last one is padded with zeros behind. */
static uint64_t xor_words(const uint8_t *p, uint32_t n, unsigned size)
{
	uint64_t r = 0;

	for (uint32_t i = 0; i < n; i++)
		r ^= (uint64_t)p[i] << (8 * (size - 1 - i % size));
	return r;
}

uint64_t p4n_xor16(const uint8_t *p, uint32_t n)
{
	return xor_words(p, n, 2);
}

uint64_t p4n_xor32(const uint8_t *p, uint32_t n)
{
	return xor_words(p, n, 4);
}

uint64_t p4n_identity(const uint8_t *p, uint32_t n)
{
	uint64_t r = 0;

	for (uint32_t i = 0; i < n && i < 8; i++)
		r = r << 8 | p[i];
	return r;
}

uint64_t p4n_hash_ex(const uint8_t *p, uint32_t n)
{
	uint32_t h = 2166136261u;

	for (uint32_t i = 0; i < n; i++)
		h = (h ^ (uint32_t)(int8_t)p[i]) * 16777619u;
	h += h << 13;
	h ^= h >> 7;
	h += h << 3;
	h ^= h >> 17;
	h += h << 5;
	return h;
}

uint64_t p4n_toeplitz(const uint8_t *p, uint32_t n)
{
	(void)p;
	(void)n;
	return 0;
}

#define XXH_1 UINT64_C(0x9e3779b185ebca87)
#define XXH_2 UINT64_C(0xc2b2ae3d27d4eb4f)
#define XXH_3 UINT64_C(0x165667b19e3779f9)
#define XXH_4 UINT64_C(0x85ebca77c2b2ae63)
#define XXH_5 UINT64_C(0x27d4eb2f165667c5)

static uint64_t rotl(uint64_t v, unsigned by)
{
	return v << by | v >> (64 - by);
}

static uint64_t little64(const uint8_t *p)
{
	return __builtin_bswap64(p4n_ld8(p));
}

static uint64_t xxh_round(uint64_t acc, uint64_t word)
{
	return rotl(acc + word * XXH_2, 31) * XXH_1;
}

static uint64_t xxh_stripes(const uint8_t **p, uint32_t n)
{
	uint64_t v[4] = { XXH_1 + XXH_2, XXH_2, 0, 0 - XXH_1 };
	uint64_t h;

	for (; n >= 32; n -= 32)
		for (unsigned i = 0; i < 4; i++, *p += 8)
			v[i] = xxh_round(v[i], little64(*p));
	h = rotl(v[0], 1) + rotl(v[1], 7) + rotl(v[2], 12) + rotl(v[3], 18);
	for (unsigned i = 0; i < 4; i++)
		h = (h ^ xxh_round(0, v[i])) * XXH_1 + XXH_4;
	return h;
}

/* XXH64 with seed 0. */
uint64_t p4n_xxh64(const uint8_t *p, uint32_t n)
{
	uint64_t h = n >= 32 ? xxh_stripes(&p, n) : XXH_5;
	uint32_t left = n % 32;

	h += n;
	for (; left >= 8; left -= 8, p += 8)
		h = rotl(h ^ xxh_round(0, little64(p)), 27) * XXH_1 + XXH_4;
	if (left >= 4) {
		h = rotl(h ^ (uint64_t)__builtin_bswap32((uint32_t)p4n_ld4(p)) * XXH_1, 23) * XXH_2 +
		    XXH_3;
		p += 4;
		left -= 4;
	}
	while (left--)
		h = rotl(h ^ *p++ * XXH_5, 11) * XXH_1;
	h = (h ^ h >> 33) * XXH_2;
	h = (h ^ h >> 29) * XXH_3;
	return h ^ h >> 32;
}
