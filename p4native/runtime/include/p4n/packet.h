/* A frame on its way through a pipeline, and the ownership rules around it. */
#ifndef P4N_PACKET_H
#define P4N_PACKET_H

#include <stdint.h>

/* Free bytes kept in front of a received frame, so that adding headers rarely copies the payload. */
#define P4N_HEADROOM 256u

/* Largest frame: a GSO super-frame plus its Ethernet, VLAN and tunnel headers. */
#define P4N_MAX_FRAME 65536u

/* struct virtio_net_hdr of the kernel, native endian, as PACKET_VNET_HDR uses it. */
struct p4n_vnet {
	uint8_t flags;
	uint8_t gso_type;
	uint16_t hdr_len;
	uint16_t gso_size;
	uint16_t csum_start;
	uint16_t csum_offset;
};

/* One frame. The engine allocates it; whoever holds the pointer owns it until it calls
 * p4n_tx(), p4n_drop() or p4n_packet_free(). Bytes [buf, data) are headroom and bytes
 * [data + len, buf + capacity) are tailroom: both may be overwritten by the owner. */
struct p4n_packet {
	uint8_t *data;         /* first byte of the frame */
	uint32_t len;          /* bytes in the frame */
	uint32_t capacity;     /* bytes in buf */
	uint8_t *buf;          /* start of the allocation */
	uint32_t ingress_port; /* port number it arrived on */
	uint32_t wire_len;     /* length when it arrived: what counters and meters count */
	struct p4n_vnet vnet;  /* offload state; all zero for a complete plain frame */
	uint16_t flags;        /* engine's own */
	uint64_t cookie;       /* engine's own */
	struct p4n_packet *next;
};

struct p4n_thread;

/* Every allocation leaves P4N_HEADROOM bytes before data; NULL when the pool is exhausted. */
struct p4n_packet *p4n_packet_alloc(struct p4n_thread *th, uint32_t len);
/* A copy of bytes, lengths, ports and offload state with P4N_HEADROOM bytes before data. */
struct p4n_packet *p4n_packet_clone(struct p4n_thread *th, const struct p4n_packet *pkt);
void p4n_packet_free(struct p4n_thread *th, struct p4n_packet *pkt);

/* Makes room for `need` bytes before data, moving the frame when the headroom is short;
 * false (and the frame unchanged) when the buffer cannot hold it. */
static inline _Bool p4n_packet_reserve(struct p4n_packet *pkt, uint32_t need)
{
	uint32_t head = (uint32_t)(pkt->data - pkt->buf);
	uint32_t spare;

	if (__builtin_expect(head >= need, 1))
		return 1;
	if (need > pkt->capacity || pkt->len > pkt->capacity - need)
		return 0;
	spare = pkt->capacity - pkt->len;
	__builtin_memmove(pkt->buf + spare, pkt->data, pkt->len);
	pkt->data = pkt->buf + spare;
	return 1;
}

#endif
