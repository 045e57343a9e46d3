/* Numbers and strings into bounded text. */
#include <p4n/text.h>

static void add_char(struct p4n_text *t, char c)
{
	if (t->len < P4N_TEXT_BYTES)
		t->data[t->len++] = c;
}

void p4n_text_add(struct p4n_text *t, const char *s)
{
	while (*s)
		add_char(t, *s++);
}

void p4n_text_u128(struct p4n_text *t, p4n_u128 v)
{
	char digits[40];
	unsigned n = 0;

	do {
		digits[n++] = (char)('0' + (unsigned)(v % 10));
		v /= 10;
	} while (v);
	while (n)
		add_char(t, digits[--n]);
}

void p4n_text_i128(struct p4n_text *t, p4n_i128 v)
{
	if (v < 0)
		add_char(t, '-');
	p4n_text_u128(t, v < 0 ? -(p4n_u128)v : (p4n_u128)v);
}

void p4n_text_hex(struct p4n_text *t, struct p4n_num v)
{
	p4n_text_add(t, "0x");
	for (unsigned i = v.n * 16; i-- > 0;)
		add_char(t, "0123456789abcdef"[v.limb[i / 16] >> (i % 16 * 4) & 15]);
}
