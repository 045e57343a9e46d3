/* Super-frames and partial checksums: what a frame's offload state leaves open, kept true while
 * headers change, and completed in software where it cannot be passed on. */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>

#include "device.h"

#define IP4_MIN 20u
#define IP6_BYTES 40u
#define UDP_BYTES 8u
#define TCP_MIN 20u
#define VXLAN_BYTES 8u
#define VXLAN_PORT 4789u
#define GSO_UDP_L4 5u /* VIRTIO_NET_HDR_GSO_UDP_L4, missing from older kernel headers */

static inline uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

/* --- Internet checksum: sums of big-endian 16-bit words ---------------------------------------- */

static uint64_t sum_bytes(const uint8_t *p, uint32_t len)
{
	uint64_t sum = 0;
	uint32_t i = 0;

	for (; i + 4 <= len; i += 4) {
		uint32_t w;

		memcpy(&w, p + i, 4);
		sum += w;
	}
	for (; i < len; i += 2) {
		uint8_t last[2] = {p[i], i + 1 < len ? p[i + 1] : 0};
		uint16_t w;

		memcpy(&w, last, 2);
		sum += w;
	}
	return sum;
}

/* Of native-endian sums: folds and returns the value as it stands in memory. */
static uint16_t fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* --- where the headers are --------------------------------------------------------------------- */

/* The L4 header that csum_start names, and the IP header right before it. */
struct where {
	uint32_t l3, l4;
	uint32_t l4_bytes;
	bool v6;
	uint8_t protocol;
};

static bool is_l4(uint8_t protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;
}

/* An IPv4 header of any length, or an IPv6 one, that ends exactly where L4 begins. */
static bool find_l3(const struct p4n_packet *pkt, struct where *w)
{
	const uint8_t *d = pkt->data;

	for (uint32_t bytes = IP4_MIN; bytes <= 60 && bytes + ETH_HLEN <= w->l4; bytes += 4) {
		uint32_t at = w->l4 - bytes;

		if (d[at] == (0x40 | bytes / 4) && is_l4(d[at + 9])) {
			w->l3 = at;
			w->v6 = false;
			w->protocol = d[at + 9];
			return true;
		}
	}
	if (w->l4 >= ETH_HLEN + IP6_BYTES && d[w->l4 - IP6_BYTES] >> 4 == 6 &&
	    is_l4(d[w->l4 - IP6_BYTES + 6])) {
		w->l3 = w->l4 - IP6_BYTES;
		w->v6 = true;
		w->protocol = d[w->l3 + 6];
		return true;
	}
	return false;
}

static inline uint16_t checksum_at(const struct where *w)
{
	return w->protocol == IPPROTO_TCP ? 16 : 6;
}

static bool locate(const struct p4n_packet *pkt, struct where *w)
{
	uint32_t least;

	w->l4 = pkt->vnet.csum_start;
	if (w->l4 < ETH_HLEN + IP4_MIN || w->l4 + UDP_BYTES > pkt->len || !find_l3(pkt, w))
		return false;
	least = w->protocol == IPPROTO_TCP ? TCP_MIN : UDP_BYTES;
	if (w->l4 + least > pkt->len)
		return false;
	w->l4_bytes = w->protocol == IPPROTO_TCP ? (pkt->data[w->l4 + 12] >> 4) * 4u : UDP_BYTES;
	return w->l4_bytes >= least && w->l4 + w->l4_bytes <= pkt->len;
}

/* Skips the Ethernet header at `from` and its tags; 0 when no IP header follows. */
static uint32_t ip_after_ethernet(const struct p4n_packet *pkt, uint32_t from)
{
	uint32_t at = from + 2 * ETH_ALEN;
	uint16_t type;

	if (at + 2 > pkt->len)
		return 0;
	type = get16(pkt->data + at);
	while ((type == ETH_P_8021Q || type == ETH_P_8021AD) && at + 6 <= pkt->len) {
		at += 4;
		type = get16(pkt->data + at);
	}
	return type == ETH_P_IP || type == ETH_P_IPV6 ? at + 2 : 0;
}

static uint32_t outer_l3(const struct p4n_packet *pkt)
{
	return ip_after_ethernet(pkt, 0);
}

/* --- partial checksums ------------------------------------------------------------------------- */

static uint64_t pseudo_sum(const struct p4n_packet *pkt, const struct where *w)
{
	const uint8_t *l3 = pkt->data + w->l3;
	uint64_t sum = (uint64_t)htons(w->protocol) + htonl(pkt->len - w->l4);

	return sum + (w->v6 ? sum_bytes(l3 + 8, 32) : sum_bytes(l3 + 12, 8));
}

bool p4n_needs_completion(const struct p4n_instance *inst)
{
	uint32_t effects = inst->pipeline->effects;

	/* A program that reads an L4 checksum to write it adjusts it to the headers it changes; that
	 * is done for it after the pipeline, from the headers as they are then. */
	if (effects & P4N_WRITES_L4_CSUM)
		effects &= ~(uint32_t)P4N_READS_L4_CSUM;
	return (effects & (P4N_READS_PAYLOAD | P4N_READS_L4_CSUM)) != 0;
}

bool p4n_complete_checksum(struct p4n_packet *pkt)
{
	uint32_t start = pkt->vnet.csum_start, at = start + pkt->vnet.csum_offset;
	uint16_t sum;

	if (!(pkt->vnet.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return true;
	if (start >= pkt->len || at + 2 > pkt->len)
		return false;
	sum = (uint16_t)~fold(sum_bytes(pkt->data + start, pkt->len - start));
	/* A UDP checksum of zero would mean that there is none. */
	if (!sum && pkt->vnet.csum_offset == 6)
		sum = 0xffff;
	memcpy(pkt->data + at, &sum, sizeof(sum));
	pkt->vnet = (struct p4n_vnet){0};
	return true;
}

/* What is left open is the sum over the payload: the field holds that over the pseudo-header. */
static void refresh_pseudo(struct p4n_packet *pkt, const struct where *w)
{
	uint16_t sum = fold(pseudo_sum(pkt, w));

	memcpy(pkt->data + w->l4 + pkt->vnet.csum_offset, &sum, sizeof(sum));
}

enum p4n_fix p4n_fix_offload(struct p4n_packet *pkt)
{
	int32_t moved = (int32_t)(pkt->len - pkt->wire_len);
	struct where w;

	if (!(pkt->vnet.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)) {
		/* A super-frame always leaves checksums open. */
		return pkt->vnet.gso_type ? P4N_FIX_DROP : P4N_FIX_NONE;
	}
	pkt->vnet.csum_start = (uint16_t)(pkt->vnet.csum_start + moved);
	pkt->vnet.hdr_len = pkt->vnet.gso_type ? (uint16_t)(pkt->vnet.hdr_len + moved) : 0;
	pkt->wire_len = pkt->len;
	if (!locate(pkt, &w) || pkt->vnet.csum_offset != checksum_at(&w)) {
		/* Not TCP or UDP over IP, or cut short: the sum alone can still be completed. */
		if (pkt->vnet.gso_type)
			return P4N_FIX_DROP;
		return p4n_complete_checksum(pkt) ? P4N_FIX_NONE : P4N_FIX_DROP;
	}
	refresh_pseudo(pkt, &w);
	if (!pkt->vnet.gso_type)
		return P4N_FIX_NONE;
	return outer_l3(pkt) == w.l3 ? P4N_FIX_NONE : P4N_FIX_SEGMENT;
}

/* The TCP or UDP header behind the IP header at l3; 0 without one, or in a fragment. */
static uint32_t l4_after(const struct p4n_packet *pkt, uint32_t l3)
{
	const uint8_t *ip = pkt->data + l3;

	if (!l3 || l3 + IP6_BYTES + UDP_BYTES > pkt->len)
		return 0;
	if (ip[0] >> 4 == 6)
		return is_l4(ip[6]) ? l3 + IP6_BYTES : 0;
	return is_l4(ip[9]) && !(get16(ip + 6) & 0x3fff) ? l3 + (ip[0] & 15u) * 4 : 0;
}

static bool is_vxlan(const struct p4n_packet *pkt, uint32_t l3, uint32_t l4)
{
	uint8_t protocol = pkt->data[l3 + (pkt->data[l3] >> 4 == 6 ? 6 : 9)];

	return protocol == IPPROTO_UDP && l4 + UDP_BYTES + VXLAN_BYTES <= pkt->len &&
	       get16(pkt->data + l4 + 2) == VXLAN_PORT;
}

/* The L4 header whose payload can be cut: the inner one of a tunnelled frame. */
static uint32_t find_l4(const struct p4n_packet *pkt, uint32_t l3)
{
	uint32_t l4 = l4_after(pkt, l3);

	if (!l4 || !is_vxlan(pkt, l3, l4))
		return l4;
	return l4_after(pkt, ip_after_ethernet(pkt, l4 + UDP_BYTES + VXLAN_BYTES));
}

enum p4n_fix p4n_fix_oversize(struct p4n_packet *pkt, uint32_t mtu)
{
	uint32_t l3 = outer_l3(pkt), l4 = find_l4(pkt, l3), headers;
	struct where w;

	pkt->vnet = (struct p4n_vnet){.csum_start = (uint16_t)l4};
	if (!l4 || !locate(pkt, &w) || w.l4 + w.l4_bytes - l3 + 64 > mtu) {
		pkt->vnet.csum_start = 0;
		return P4N_FIX_NONE; /* the kernel refuses it, and that is counted */
	}
	headers = w.l4 + w.l4_bytes;
	pkt->vnet = (struct p4n_vnet){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = w.protocol == IPPROTO_UDP ? GSO_UDP_L4
			    : w.v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = (uint16_t)headers,
		.gso_size = (uint16_t)(mtu - (headers - l3)),
		.csum_start = (uint16_t)w.l4,
		.csum_offset = checksum_at(&w),
	};
	refresh_pseudo(pkt, &w);
	return l3 == w.l3 ? P4N_FIX_NONE : P4N_FIX_SEGMENT;
}

/* --- segmentation ------------------------------------------------------------------------------ */

struct cut {
	struct where w;
	uint32_t headers; /* bytes before the payload */
	uint32_t payload; /* of the whole frame */
	uint32_t offset, bytes; /* of this segment's payload */
	uint32_t index;
	bool last;
};

static void refresh_ip4(uint8_t *ip, uint32_t removed, uint32_t index)
{
	uint32_t bytes = (ip[0] & 15u) * 4;
	uint16_t sum;

	put16(ip + 2, get16(ip + 2) - removed);
	put16(ip + 4, get16(ip + 4) + index);
	memset(ip + 10, 0, 2);
	sum = (uint16_t)~fold(sum_bytes(ip, bytes));
	memcpy(ip + 10, &sum, sizeof(sum));
}

/* Shortens the lengths of the tunnel's IP and UDP headers; a UDP checksum that is in use is summed
 * anew, innermost part first, so this comes last. */
static void shorten_outer(struct p4n_packet *pkt, const struct cut *c, uint32_t removed)
{
	uint32_t l3 = outer_l3(pkt), udp = 0;
	uint8_t protocol = 0, *ip = pkt->data + l3;
	struct where outer = {0};

	if (!l3 || l3 >= c->w.l3)
		return;
	if (ip[0] >> 4 == 4) {
		refresh_ip4(ip, removed, c->index);
		protocol = ip[9];
		udp = l3 + (ip[0] & 15u) * 4;
	} else {
		put16(ip + 4, get16(ip + 4) - removed);
		protocol = ip[6];
		udp = l3 + IP6_BYTES;
	}
	if (protocol != IPPROTO_UDP || udp + UDP_BYTES > c->w.l3)
		return;
	put16(pkt->data + udp + 4, get16(pkt->data + udp + 4) - removed);
	if (get16(pkt->data + udp + 6)) {
		outer = (struct where){.l3 = l3, .l4 = udp, .v6 = ip[0] >> 4 == 6,
				       .protocol = IPPROTO_UDP};
		pkt->vnet = (struct p4n_vnet){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					      .csum_start = (uint16_t)udp, .csum_offset = 6};
		refresh_pseudo(pkt, &outer);
		(void)p4n_complete_checksum(pkt);
	}
}

static void fix_tcp(uint8_t *tcp, const struct cut *c)
{
	uint32_t seq = get32(tcp + 4) + c->offset;

	put16(tcp + 4, seq >> 16);
	put16(tcp + 6, seq);
	if (!c->last)
		tcp[13] &= (uint8_t)~0x09; /* FIN and PSH belong to the last one */
	if (c->index)
		tcp[13] &= (uint8_t)~0x80; /* CWR to the first */
}

static void fix_segment(struct p4n_packet *s, const struct cut *c)
{
	uint32_t removed = c->payload - c->bytes;
	uint8_t *l3 = s->data + c->w.l3, *l4 = s->data + c->w.l4;

	if (c->w.v6)
		put16(l3 + 4, get16(l3 + 4) - removed);
	else
		refresh_ip4(l3, removed, c->index);
	if (c->w.protocol == IPPROTO_TCP)
		fix_tcp(l4, c);
	else
		put16(l4 + 4, UDP_BYTES + c->bytes);
	s->vnet = (struct p4n_vnet){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.csum_start = (uint16_t)c->w.l4,
		.csum_offset = checksum_at(&c->w),
	};
	refresh_pseudo(s, &c->w);
	(void)p4n_complete_checksum(s);
	shorten_outer(s, c, removed);
}

static struct p4n_packet *make_segment(struct p4n_thread *th, const struct p4n_packet *pkt,
				       const struct cut *c)
{
	struct p4n_packet *s = p4n_packet_alloc(th, c->headers + c->bytes);

	if (!s)
		return NULL;
	memcpy(s->data, pkt->data, c->headers);
	memcpy(s->data + c->headers, pkt->data + c->headers + c->offset, c->bytes);
	s->ingress_port = pkt->ingress_port;
	s->cookie = pkt->cookie;
	fix_segment(s, c);
	return s;
}

static bool segmentable(const struct p4n_packet *pkt, struct cut *c)
{
	uint8_t type = pkt->vnet.gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;

	if (!pkt->vnet.gso_size || !(pkt->vnet.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) ||
	    !locate(pkt, &c->w))
		return false;
	if (c->w.protocol == IPPROTO_TCP)
		return type == VIRTIO_NET_HDR_GSO_TCPV4 || type == VIRTIO_NET_HDR_GSO_TCPV6;
	return type == GSO_UDP_L4;
}

/* Payload bytes per segment: the sender's choice, or less where tunnel headers need the room. */
static uint32_t segment_bytes(const struct p4n_packet *pkt, const struct cut *c, uint32_t mtu)
{
	uint32_t around = c->headers - (outer_l3(pkt) ? outer_l3(pkt) : ETH_HLEN);

	if (mtu < around + 64 || around + pkt->vnet.gso_size <= mtu)
		return pkt->vnet.gso_size;
	return mtu - around;
}

bool p4n_segment(struct p4n_thread *th, struct p4n_packet *pkt, uint32_t mtu, p4n_emit_fn emit,
		 void *ctx)
{
	struct cut c = {0};
	uint32_t most;

	if (!segmentable(pkt, &c))
		return false;
	c.headers = c.w.l4 + c.w.l4_bytes;
	c.payload = pkt->len - c.headers;
	most = segment_bytes(pkt, &c, mtu);
	do {
		struct p4n_packet *s;

		c.bytes = c.payload - c.offset;
		if (c.bytes > most)
			c.bytes = most;
		c.last = c.offset + c.bytes == c.payload;
		s = make_segment(th, pkt, &c);
		if (!s)
			p4n_add(false, &th->io->drops[P4N_DROP_NO_MEMORY], 1);
		else
			emit(ctx, s);
		c.offset += c.bytes;
		c.index++;
	} while (c.offset < c.payload);
	p4n_packet_free(th, pkt);
	return true;
}
