/* Arithmetic on numbers of more than 128 bits: simple loops, since such fields are rare. */
#include <p4n/wide.h>

/* Longest number that generated code makes: 4096 bits and a sign. */
#define MAX_LIMBS 65u

static uint64_t limb(struct p4n_num a, unsigned i)
{
	if (i < a.n)
		return a.limb[i];
	return (uint64_t)((int64_t)a.limb[a.n - 1] >> 63);
}

void p4n_wide_u128(uint64_t *d, unsigned n, p4n_u128 v)
{
	for (unsigned i = 0; i < n; i++)
		d[i] = i == 0 ? (uint64_t)v : i == 1 ? (uint64_t)(v >> 64) : 0;
}

void p4n_wide_i128(uint64_t *d, unsigned n, p4n_i128 v)
{
	for (unsigned i = 0; i < n; i++)
		d[i] = i == 0 ? (uint64_t)v : i == 1 ? (uint64_t)(v >> 64) : (uint64_t)(v >> 127);
}

p4n_u128 p4n_wide_low128(struct p4n_num a)
{
	return (p4n_u128)limb(a, 1) << 64 | limb(a, 0);
}

void p4n_wide_load(uint64_t *d, unsigned n, const uint8_t *p, unsigned off, unsigned width,
		   bool is_signed)
{
	for (unsigned i = 0; i < n; i++) {
		unsigned low = i * 64;
		unsigned take = low >= width ? 0 : width - low < 64 ? width - low : 64;

		d[i] = 0;
		for (unsigned k = 0; k < take; k += 8) {
			unsigned w = take - k < 8 ? take - k : 8;

			d[i] |= p4n_ldbits(p, off + width - low - k - w, w) << k;
		}
	}
	if (is_signed)
		p4n_wide_sext(d, n, P4N_NUM(d, n), width);
}

void p4n_wide_store(uint8_t *p, unsigned off, unsigned width, struct p4n_num a)
{
	for (unsigned low = 0; low < width; low += 8) {
		unsigned w = width - low < 8 ? width - low : 8;

		p4n_stbits(p, off + width - low - w, w, limb(a, low / 64) >> (low % 64));
	}
}

void p4n_wide_copy(uint64_t *d, unsigned n, struct p4n_num a)
{
	for (unsigned i = 0; i < n; i++)
		d[i] = limb(a, i);
}

void p4n_wide_add(uint64_t *d, unsigned n, struct p4n_num a, struct p4n_num b)
{
	p4n_u128 carry = 0;

	for (unsigned i = 0; i < n; i++) {
		carry += (p4n_u128)limb(a, i) + limb(b, i);
		d[i] = (uint64_t)carry;
		carry >>= 64;
	}
}

void p4n_wide_sub(uint64_t *d, unsigned n, struct p4n_num a, struct p4n_num b)
{
	p4n_u128 carry = 1;

	for (unsigned i = 0; i < n; i++) {
		carry += (p4n_u128)limb(a, i) + (uint64_t)~limb(b, i);
		d[i] = (uint64_t)carry;
		carry >>= 64;
	}
}

void p4n_wide_mul(uint64_t *d, unsigned n, struct p4n_num a, struct p4n_num b)
{
	uint64_t r[MAX_LIMBS] = { 0 };

	for (unsigned i = 0; i < n; i++) {
		p4n_u128 carry = 0;

		for (unsigned j = 0; i + j < n; j++) {
			carry += (p4n_u128)limb(a, i) * limb(b, j) + r[i + j];
			r[i + j] = (uint64_t)carry;
			carry >>= 64;
		}
	}
	p4n_wide_copy(d, n, P4N_NUM(r, n));
}

void p4n_wide_and(uint64_t *d, unsigned n, struct p4n_num a, struct p4n_num b)
{
	for (unsigned i = 0; i < n; i++)
		d[i] = limb(a, i) & limb(b, i);
}

void p4n_wide_or(uint64_t *d, unsigned n, struct p4n_num a, struct p4n_num b)
{
	for (unsigned i = 0; i < n; i++)
		d[i] = limb(a, i) | limb(b, i);
}

void p4n_wide_xor(uint64_t *d, unsigned n, struct p4n_num a, struct p4n_num b)
{
	for (unsigned i = 0; i < n; i++)
		d[i] = limb(a, i) ^ limb(b, i);
}

void p4n_wide_not(uint64_t *d, unsigned n, struct p4n_num a)
{
	for (unsigned i = 0; i < n; i++)
		d[i] = ~limb(a, i);
}

void p4n_wide_shl(uint64_t *d, unsigned n, struct p4n_num a, uint64_t by)
{
	uint64_t skip = by / 64;
	unsigned bit = by % 64;

	for (unsigned i = n; i-- > 0;) {
		uint64_t high = i >= skip ? limb(a, (unsigned)(i - skip)) : 0;
		uint64_t low = i >= skip + 1 ? limb(a, (unsigned)(i - skip - 1)) : 0;

		d[i] = bit ? high << bit | low >> (64 - bit) : high;
	}
}

void p4n_wide_shr(uint64_t *d, unsigned n, struct p4n_num a, uint64_t by)
{
	unsigned skip = by / 64 > a.n ? a.n : (unsigned)(by / 64);
	unsigned bit = by % 64;

	for (unsigned i = 0; i < n; i++) {
		uint64_t low = limb(a, i + skip);
		uint64_t high = limb(a, i + skip + 1);

		d[i] = bit ? low >> bit | high << (64 - bit) : low;
	}
}

/* Schoolbook division, one bit at a time: r = a mod b, q (when given) = a / b. */
static void divide(uint64_t *q, uint64_t *r, unsigned n, struct p4n_num a, struct p4n_num b)
{
	static const uint64_t zero;

	for (unsigned i = 0; i < n; i++)
		r[i] = 0;
	if (p4n_wide_cmp(b, P4N_NUM(&zero, 1)) <= 0)
		return;
	for (unsigned bit = a.n * 64; bit-- > 0;) {
		p4n_wide_shl(r, n, P4N_NUM(r, n), 1);
		r[0] |= limb(a, bit / 64) >> (bit % 64) & 1;
		if (p4n_wide_cmp(P4N_NUM(r, n), b) < 0)
			continue;
		p4n_wide_sub(r, n, P4N_NUM(r, n), b);
		if (q && bit / 64 < n)
			q[bit / 64] |= UINT64_C(1) << (bit % 64);
	}
}

void p4n_wide_div(uint64_t *d, unsigned n, struct p4n_num a, struct p4n_num b)
{
	uint64_t r[MAX_LIMBS + 1];

	for (unsigned i = 0; i < n; i++)
		d[i] = 0;
	divide(d, r, (b.n > n ? b.n : n) + 1 > MAX_LIMBS ? MAX_LIMBS + 1 : (b.n > n ? b.n : n) + 1,
	       a, b);
}

void p4n_wide_mod(uint64_t *d, unsigned n, struct p4n_num a, struct p4n_num b)
{
	uint64_t r[MAX_LIMBS + 1];
	unsigned wide = b.n + 1 > MAX_LIMBS ? MAX_LIMBS + 1 : b.n + 1;

	divide(NULL, r, wide, a, b);
	p4n_wide_copy(d, n, P4N_NUM(r, wide));
}

void p4n_wide_sext(uint64_t *d, unsigned n, struct p4n_num a, unsigned width)
{
	bool negative = limb(a, (width - 1) / 64) >> ((width - 1) % 64) & 1;

	p4n_wide_zext(d, n, a, width);
	if (!negative)
		return;
	for (unsigned i = width / 64; i < n; i++)
		d[i] |= i == width / 64 ? UINT64_MAX << (width % 64) : UINT64_MAX;
}

void p4n_wide_zext(uint64_t *d, unsigned n, struct p4n_num a, unsigned width)
{
	for (unsigned i = 0; i < n; i++) {
		unsigned low = i * 64;

		d[i] = low >= width ? 0 : p4n_low(limb(a, i), width - low > 64 ? 64 : width - low);
	}
}

void p4n_wide_sat(uint64_t *d, unsigned n, struct p4n_num a, unsigned width, bool is_signed)
{
	uint64_t max[MAX_LIMBS + 1];
	uint64_t min[MAX_LIMBS + 1];
	unsigned w = width / 64 + 1;
	unsigned top = is_signed ? width - 1 : width;

	for (unsigned i = 0; i < w; i++) {
		max[i] = UINT64_MAX;
		min[i] = 0;
	}
	p4n_wide_zext(max, w, P4N_NUM(max, w), top ? top : 1);
	if (is_signed)
		p4n_wide_not(min, w, P4N_NUM(max, w));
	if (p4n_wide_cmp(a, P4N_NUM(max, w)) > 0)
		p4n_wide_copy(d, n, P4N_NUM(max, w));
	else if (p4n_wide_cmp(a, P4N_NUM(min, w)) < 0)
		p4n_wide_copy(d, n, P4N_NUM(min, w));
	else
		p4n_wide_copy(d, n, a);
}

uint64_t p4n_wide_amount(struct p4n_num a)
{
	for (unsigned i = 1; i < a.n; i++)
		if (a.limb[i])
			return UINT64_MAX;
	return a.limb[0];
}

int p4n_wide_cmp(struct p4n_num a, struct p4n_num b)
{
	unsigned n = a.n > b.n ? a.n : b.n;
	int64_t ha = (int64_t)limb(a, n - 1);
	int64_t hb = (int64_t)limb(b, n - 1);

	if (ha != hb)
		return ha < hb ? -1 : 1;
	for (unsigned i = n; i-- > 0;)
		if (limb(a, i) != limb(b, i))
			return limb(a, i) < limb(b, i) ? -1 : 1;
	return 0;
}
