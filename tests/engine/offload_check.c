/* Segmentation and checksum completion, for the sanitizers: well-formed super-frames must come out
 * as segments that a receiver accepts, mutilated ones must do no harm. Usage: offload_check ROUNDS */
#include <arpa/inet.h>
#include <sanitizer/asan_interface.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../p4native/runtime/engine/device.h"

struct p4n_device *p4n_device_create(uint32_t threads, uint32_t cpu, uint32_t drop,
				     uint32_t limit);
void p4n_device_destroy(struct p4n_device *dev);

static uint64_t state = 0x9e3779b97f4a7c15u;

static uint32_t rnd(uint32_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state % n);
}

static void put(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint32_t get(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t sum(const uint8_t *p, uint32_t n, uint32_t acc)
{
	for (uint32_t i = 0; i < n; i++)
		acc += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (acc >> 16)
		acc = (acc & 0xffff) + (acc >> 16);
	return acc;
}

/* What a frame is made of. */
struct shape {
	bool v6, udp, tunnel;
	uint32_t tags, l3, l4, headers, payload, gso;
};

static uint32_t put_ethernet(uint8_t *d, uint32_t at, uint32_t tags, bool v6)
{
	memset(d + at, 2, 12);
	at += 12;
	for (uint32_t i = 0; i < tags; i++, at += 4) {
		put(d + at, i ? 0x8100 : 0x88a8);
		put(d + at + 2, 100);
	}
	put(d + at, v6 ? 0x86dd : 0x0800);
	return at + 2;
}

static uint32_t put_ip(uint8_t *d, uint32_t at, bool v6, uint8_t protocol, uint32_t behind)
{
	uint8_t *ip = d + at;

	if (v6) {
		memset(ip, 0x20, 40);
		ip[0] = 0x60;
		put(ip + 4, behind);
		ip[6] = protocol;
		return at + 40;
	}
	memset(ip, 0, 20);
	ip[0] = 0x45;
	put(ip + 2, 20 + behind);
	put(ip + 4, 1000);
	ip[8] = 64;
	ip[9] = protocol;
	put(ip + 12, rnd(65536));
	put(ip + 18, rnd(65536));
	put(ip + 10, ~sum(ip, 20, 0) & 0xffff);
	return at + 20;
}

static void fill(struct p4n_packet *p, struct shape *s)
{
	uint8_t *d = p->data;
	uint32_t l4_bytes = s->udp ? 8 : 20 + 4 * rnd(4), at = 0;
	uint32_t inner = (s->v6 ? 40 : 20) + l4_bytes + s->payload;

	if (s->tunnel) {
		at = put_ethernet(d, 0, s->tags, false);
		at = put_ip(d, at, false, 17, 8 + 8 + 14 + inner);
		memset(d + at, 0, 16);
		put(d + at + 2, 4789);
		put(d + at + 4, 8 + 8 + 14 + inner);
		at += 16;
	}
	s->l3 = put_ethernet(d, at, s->tunnel ? 0 : s->tags, s->v6);
	s->l4 = put_ip(d, s->l3, s->v6, s->udp ? 17 : 6, l4_bytes + s->payload);
	memset(d + s->l4, 0, l4_bytes);
	put(d + s->l4, 999);
	put(d + s->l4 + 2, 888);
	if (s->udp) {
		put(d + s->l4 + 4, 8 + s->payload);
	} else {
		d[s->l4 + 12] = (uint8_t)(l4_bytes / 4 << 4);
		d[s->l4 + 13] = 0x19;
	}
	s->headers = s->l4 + l4_bytes;
	for (uint32_t i = 0; i < s->payload; i++)
		d[s->headers + i] = (uint8_t)(i * 7 + i / 251);
	p->len = p->wire_len = s->headers + s->payload;
	p->vnet = (struct p4n_vnet){
		.flags = 1,
		.gso_type = s->udp ? 5 : s->v6 ? 4 : 1,
		.hdr_len = (uint16_t)s->headers,
		.gso_size = (uint16_t)s->gso,
		.csum_start = (uint16_t)s->l4,
		.csum_offset = s->udp ? 6 : 16,
	};
}

struct check {
	struct p4n_thread *th;
	const struct p4n_packet *whole;
	const struct shape *s;
	uint32_t offset, segments;
	bool strict;
	const char *fault;
};

static bool l4_sum_is_right(const struct p4n_packet *p, const struct shape *s)
{
	const uint8_t *ip = p->data + s->l3;
	uint32_t bytes = p->len - s->l4, acc = bytes + (s->udp ? 17 : 6);

	acc = s->v6 ? sum(ip + 8, 32, acc) : sum(ip + 12, 8, acc);
	return sum(p->data + s->l4, bytes, acc) == 0xffff;
}

static const char *inspect(struct check *c, const struct p4n_packet *p)
{
	const struct shape *s = c->s;
	uint32_t bytes = p->len - s->headers;

	if (p->vnet.flags || p->vnet.gso_type)
		return "something is still open";
	if (!l4_sum_is_right(p, s))
		return "the L4 checksum is wrong";
	if (!s->v6 && sum(p->data + s->l3, 20, 0) != 0xffff)
		return "the IPv4 checksum is wrong";
	if (s->v6 ? get(p->data + s->l3 + 4) != p->len - s->l3 - 40
		  : get(p->data + s->l3 + 2) != p->len - s->l3)
		return "the IP length is wrong";
	if (s->tunnel && get(p->data + s->l3 - 14 - 8 - 8 + 4) != p->len - s->l3 + 14 + 16)
		return "the tunnel's UDP length is wrong";
	if (s->tunnel && sum(p->data + s->l3 - 14 - 16 - 20, 20, 0) != 0xffff)
		return "the tunnel's IPv4 checksum is wrong";
	if (!s->udp && get(p->data + s->l4 + 6) != (c->offset & 0xffff))
		return "the sequence number is wrong";
	if (memcmp(p->data + s->headers, c->whole->data + s->headers + c->offset, bytes))
		return "the payload is wrong";
	c->offset += bytes;
	return NULL;
}

static void emit(void *ctx, struct p4n_packet *p)
{
	struct check *c = ctx;
	const char *fault = c->strict ? inspect(c, p) : NULL;

	c->segments++;
	if (fault && !c->fault)
		c->fault = fault;
	p4n_packet_free(c->th, p);
}

static void random_shape(struct shape *s)
{
	*s = (struct shape){.v6 = rnd(2), .udp = rnd(3) == 0, .tunnel = rnd(3) == 0,
			    .tags = rnd(3), .payload = 1 + rnd(20000), .gso = 100 + rnd(1400)};
}

static const char *well_formed(struct p4n_thread *th)
{
	struct p4n_packet *p = p4n_packet_alloc(th, 0), *copy;
	struct shape s;
	struct check c = {.th = th, .s = &s, .strict = true};

	random_shape(&s);
	fill(p, &s);
	if (rnd(2)) {
		/* A complete frame that is too long finds its way by itself. */
		p->vnet = (struct p4n_vnet){0};
		if (p4n_fix_oversize(p, 1500) == P4N_FIX_NONE && p->len > 1600 && !p->vnet.gso_type)
			c.fault = "an oversize frame is left as it was";
	} else if (p4n_fix_offload(p) != (s.tunnel ? P4N_FIX_SEGMENT : P4N_FIX_NONE)) {
		c.fault = "a super-frame is misjudged";
	}
	copy = p4n_packet_clone(th, p);
	c.whole = copy;
	if (!c.fault && (!p4n_segment(th, p, 1500, emit, &c) || c.offset != s.payload))
		c.fault = c.fault ? c.fault : "payload is missing";
	else if (c.fault && !c.segments)
		p4n_packet_free(th, p);
	p4n_packet_free(th, copy);
	return c.fault;
}

/* Exactly as large as its bytes, so that the sanitizer sees a read beyond them. */
static void mutilated(struct p4n_thread *th)
{
	struct p4n_packet *p = p4n_packet_alloc(th, 0);
	struct shape s;
	struct check c = {.th = th, .s = &s};
	uint8_t *vnet = (uint8_t *)&p->vnet;

	random_shape(&s);
	s.payload = 1 + rnd(200);
	s.gso = rnd(3) ? 1 + rnd(100) : 0;
	fill(p, &s);
	for (uint32_t i = rnd(12); i-- > 0;)
		p->data[rnd(p->len)] = (uint8_t)rnd(256);
	for (uint32_t i = rnd(3); i-- > 0;)
		vnet[rnd(sizeof(p->vnet))] = (uint8_t)rnd(256);
	if (rnd(3) == 0)
		p->len = 14 + rnd(p->len);
	if (rnd(3) == 0)
		p->wire_len = p->len + rnd(100) - 50;
	__asan_poison_memory_region(p->data + p->len, 4096);
	switch (rnd(4)) {
	case 0:
		(void)p4n_fix_oversize(p, rnd(2000));
		break;
	case 1:
		(void)p4n_complete_checksum(p);
		break;
	default:
		(void)p4n_fix_offload(p);
	}
	__asan_unpoison_memory_region(p->data + p->len, 4096);
	if (!p4n_segment(th, p, 200 + rnd(2000), emit, &c))
		p4n_packet_free(th, p);
}

int main(int argc, char **argv)
{
	struct p4n_device *dev = p4n_device_create(1, P4N_NONE, 511, 16);
	struct p4n_thread *th = &dev->threads[0]->th;
	uint32_t rounds = argc > 1 ? (uint32_t)atoi(argv[1]) : 1000;
	const char *fault = NULL;

	for (uint32_t i = 0; i < rounds && !fault; i++) {
		fault = well_formed(th);
		if (fault)
			printf("round %u: %s\n", i, fault);
		for (uint32_t j = 0; j < 20; j++)
			mutilated(th);
	}
	p4n_device_destroy(dev);
	return fault != NULL;
}
