/* The state of one frame inside a generated pipeline: where each header's bytes are, which headers
 * are valid, the metadata, and what the architecture was asked to do.
 *
 * Included by generated code after it has defined P4N_HEADERS, P4N_EMITTED, P4N_STACKS, P4N_UNIONS,
 * P4N_VARBITS, P4N_HOME_BYTES and struct p4n_meta. Headers are numbered in the deparser's order.
 *
 * A parsed header stays where it is in the frame: h[i] points at its bytes, and reads and writes go
 * there. A header that the program adds lives in its own storage (`home`). Header P4N_HEADERS is a
 * sink: what is out of range of a stack refers to it. */
#ifndef P4N_PHV_H
#define P4N_PHV_H

#include <p4n/engine.h>
#include <p4n/expr.h>

#define P4N_FN static inline __attribute__((unused))
#define P4N_VALID_WORDS ((P4N_HEADERS + 64) / 64)
#define P4N_NO_UNION 0xffffu

/* instance_type, as BMv2 numbers it. */
enum p4n_instance {
	P4N_INSTANCE_NORMAL = 0,
	P4N_INSTANCE_INGRESS_CLONE = 1,
	P4N_INSTANCE_EGRESS_CLONE = 2,
	P4N_INSTANCE_RECIRC = 4,
	P4N_INSTANCE_REPLICATION = 5,
	P4N_INSTANCE_RESUBMIT = 6,
};

/* Marks a clone request, so that session 0 is one too. */
#define P4N_CLONE_REQUEST 0x8000u

struct p4n_header_info {
	uint32_t home;      /* offset of its own storage */
	uint32_t bytes;     /* length without its variable-length field */
	uint32_t max_bytes; /* length of its own storage */
	uint32_t in_union;  /* the union it is a member of, or P4N_NO_UNION */
};

struct p4n_phv {
	struct p4n_thread *th;
	struct p4n_packet *pkt;
	uint8_t *h[P4N_HEADERS + 1];
	uint64_t valid[P4N_VALID_WORDS];
#if P4N_VARBITS
	uint16_t varlen[P4N_HEADERS + 1]; /* bytes of the variable-length field */
#endif
#if P4N_STACKS
	uint32_t next[P4N_STACKS]; /* elements in use, as the parser counts */
#endif
	uint32_t parsed;        /* bytes the parser consumed: the payload follows */
	uint32_t packet_length; /* BMv2's packet length register */
	uint32_t keep;          /* truncate to so many bytes */
	uint32_t error;         /* parser error */
	uint32_t clone;         /* session | P4N_CLONE_REQUEST, or 0 */
	uint32_t clone_list;
	uint32_t learn;
	uint32_t resubmit;
	uint32_t recirculate;
	bool checksum_error;
	bool exit;
	bool failed; /* assert() */
	struct p4n_meta m;
	uint8_t home[P4N_HOME_BYTES] __attribute__((aligned(8)));
};

static const struct p4n_header_info p4n_headers[P4N_HEADERS + 1];
#if P4N_UNIONS
static const uint64_t p4n_union_members[P4N_UNIONS][P4N_VALID_WORDS];
#endif

P4N_INLINE bool p4n_is_valid(const struct p4n_phv *p, unsigned i)
{
	return p->valid[i / 64] >> (i % 64) & 1;
}

P4N_INLINE void p4n_mark_valid(struct p4n_phv *p, unsigned i)
{
#if P4N_UNIONS
	if (p4n_headers[i].in_union != P4N_NO_UNION)
		for (unsigned w = 0; w < P4N_VALID_WORDS; w++)
			p->valid[w] &= ~p4n_union_members[p4n_headers[i].in_union][w];
#endif
	p->valid[i / 64] |= UINT64_C(1) << (i % 64);
}

P4N_INLINE void p4n_mark_invalid(struct p4n_phv *p, unsigned i)
{
	p->valid[i / 64] &= ~(UINT64_C(1) << (i % 64));
}

#if P4N_UNIONS
P4N_INLINE bool p4n_union_valid(const struct p4n_phv *p, unsigned u)
{
	uint64_t any = 0;

	for (unsigned w = 0; w < P4N_VALID_WORDS; w++)
		any |= p->valid[w] & p4n_union_members[u][w];
	return any != 0;
}
#endif

P4N_INLINE uint32_t p4n_header_bytes(const struct p4n_phv *p, unsigned i)
{
#if P4N_VARBITS
	return p4n_headers[i].bytes + p->varlen[i];
#else
	(void)p;
	return p4n_headers[i].bytes;
#endif
}

/* setValid(): a header that was not there appears zeroed in its own storage. */
P4N_INLINE void p4n_add_header(struct p4n_phv *p, unsigned i)
{
	if (p4n_is_valid(p, i))
		return;
	p->h[i] = p->home + p4n_headers[i].home;
	memset(p->h[i], 0, p4n_headers[i].max_bytes);
	p4n_mark_valid(p, i);
	p->packet_length += p4n_header_bytes(p, i);
}

P4N_INLINE void p4n_remove_header(struct p4n_phv *p, unsigned i)
{
	if (!p4n_is_valid(p, i))
		return;
	p->packet_length -= p4n_header_bytes(p, i);
	p4n_mark_invalid(p, i);
}

/* dst = src for headers of one type; the packet length register stays, as in BMv2. */
P4N_INLINE void p4n_copy_header(struct p4n_phv *p, unsigned dst, unsigned src)
{
	if (!p4n_is_valid(p, src)) {
		p4n_mark_invalid(p, dst);
		return;
	}
	if (dst == src)
		return;
#if P4N_VARBITS
	if (!p4n_is_valid(p, dst) || p->varlen[dst] != p->varlen[src])
		p->h[dst] = p->home + p4n_headers[dst].home;
	p->varlen[dst] = p->varlen[src];
#else
	if (!p4n_is_valid(p, dst))
		p->h[dst] = p->home + p4n_headers[dst].home;
#endif
	memmove(p->h[dst], p->h[src], p4n_header_bytes(p, src));
	p4n_mark_valid(p, dst);
}

/* Same type, both valid and equal bytes. */
P4N_INLINE bool p4n_equal_headers(const struct p4n_phv *p, unsigned a, unsigned b)
{
	uint32_t n = p4n_header_bytes(p, a);

	return p4n_is_valid(p, a) && p4n_is_valid(p, b) && n == p4n_header_bytes(p, b) &&
	       memcmp(p->h[a], p->h[b], n) == 0;
}

/* Moves what element src holds to element dst of the same stack. */
P4N_INLINE void p4n_move_header(struct p4n_phv *p, unsigned dst, unsigned src)
{
	uint8_t *own = p->home + p4n_headers[dst].home;

	if (!p4n_is_valid(p, src)) {
		p4n_mark_invalid(p, dst);
		p->h[dst] = own;
		return;
	}
#if P4N_VARBITS
	p->varlen[dst] = p->varlen[src];
#endif
	if (p->h[src] == p->home + p4n_headers[src].home) {
		memcpy(own, p->h[src], p4n_headers[src].max_bytes);
		p->h[dst] = own;
	} else {
		p->h[dst] = p->h[src];
		p->h[src] = p->home + p4n_headers[src].home;
	}
	p4n_mark_invalid(p, src);
	p4n_mark_valid(p, dst);
}

#if P4N_VARBITS
/* Copies a variable-length field between headers of any type; `to_at` and `from_at` are the bytes in
 * front of it. What follows it in the header moves; what exceeds the header's longest is cut. */
P4N_FN void p4n_copy_varbit(struct p4n_phv *p, unsigned to, unsigned to_at, unsigned from,
			    unsigned from_at)
{
	const struct p4n_header_info *info = &p4n_headers[to];
	uint8_t *own = p->home + info->home;
	uint32_t tail = info->bytes - to_at;
	uint32_t n = p->varlen[from];
	uint8_t *old = p->h[to];

	if (n > info->max_bytes - info->bytes)
		n = info->max_bytes - info->bytes;
	memmove(own + to_at + n, old + to_at + p->varlen[to], tail);
	memmove(own, old, to_at);
	memmove(own + to_at, p->h[from] + from_at, n);
	p->h[to] = own;
	p->varlen[to] = (uint16_t)n;
}
#endif

#if P4N_VARBITS
P4N_INLINE bool p4n_equal_varbits(const struct p4n_phv *p, unsigned a, unsigned a_at, unsigned b,
				  unsigned b_at)
{
	return p->varlen[a] == p->varlen[b] &&
	       memcmp(p->h[a] + a_at, p->h[b] + b_at, p->varlen[a]) == 0;
}
#endif

/* Points the headers of `to`, a byte copy of `from`, at its own storage and at its own frame. */
P4N_FN void p4n_rebase(struct p4n_phv *to, const struct p4n_phv *from)
{
	for (unsigned i = 0; i <= P4N_HEADERS; i++) {
		const uint8_t *at = from->h[i];

		if (at >= from->home && at < from->home + P4N_HOME_BYTES)
			to->h[i] = to->home + (at - from->home);
		else
			to->h[i] = to->pkt->data + (at - from->pkt->data);
	}
}

/* A fresh state: no header valid, everything reads as zero. */
P4N_FN void p4n_phv_reset(struct p4n_phv *p, struct p4n_thread *th, struct p4n_packet *pkt)
{
	p->th = th;
	p->pkt = pkt;
	for (unsigned i = 0; i <= P4N_HEADERS; i++)
		p->h[i] = p->home + p4n_headers[i].home;
	memset(p->valid, 0, (size_t)(p->home - (uint8_t *)p->valid) + P4N_HOME_BYTES);
	p->packet_length = pkt->len;
	p->keep = UINT32_MAX;
}

P4N_INLINE const uint8_t *p4n_payload(const struct p4n_phv *p)
{
	return p->pkt->data + p->parsed;
}

/* A truncated frame's payload ends early for checksums, as in BMv2. */
P4N_INLINE uint32_t p4n_payload_bytes(const struct p4n_phv *p)
{
	uint32_t n = p->pkt->len - p->parsed;

	return n < p->keep ? n : p->keep;
}

/* Room for any frame and P4N_HOME_BYTES more, valid until the next call that uses it. */
P4N_FN uint8_t *p4n_scratch(struct p4n_thread *th);

/* Clears the architecture's requests, but not the packet length register. */
P4N_INLINE void p4n_clear_requests(struct p4n_phv *p)
{
	p->clone = 0;
	p->clone_list = 0;
	p->learn = 0;
	p->resubmit = 0;
	p->recirculate = 0;
	p->exit = false;
}

#endif
