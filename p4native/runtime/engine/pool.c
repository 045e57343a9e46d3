/* Frames: one pool per packet thread, last in first out so that warm memory is used again. */
#include <stdlib.h>

#include "device.h"

/* Where a frame starts, so that what follows Ethernet, IPv4 and TCP with timestamps is aligned as it is in
 * the kernel, which copies that faster; whatever headers are pushed before it. */
#define START (P4N_HEADROOM + LINE - (14u + 20u + 32u) % LINE)
#define LINE 64u
#define CAPACITY (START + P4N_MAX_FRAME + P4N_TAILROOM)

static struct p4n_packet *new_packet(struct p4n_thread_io *io)
{
	struct p4n_packet *p;

	if (io->made >= P4N_POOL)
		return NULL;
	p = aligned_alloc(64, (sizeof(*p) + CAPACITY + 127) & ~(size_t)63);
	if (!p)
		return NULL;
	io->made++;
	p->buf = (uint8_t *)p + ((sizeof(*p) + 63) & ~(size_t)63);
	p->capacity = CAPACITY;
	return p;
}

P4N_EXPORT struct p4n_packet *p4n_packet_alloc(struct p4n_thread *th, uint32_t len)
{
	struct p4n_thread_io *io = th->io;
	struct p4n_packet *p;

	if (len > P4N_MAX_FRAME)
		return NULL;
	/* Many replicas of a whole batch may be waiting to be sent. */
	if (!io->pool && io->made >= P4N_POOL)
		p4n_thread_flush(io);
	p = io->pool;
	if (p)
		io->pool = p->next;
	else if (!(p = new_packet(io)))
		return NULL;
	p->data = p->buf + START;
	p->len = len;
	p->wire_len = len;
	p->ingress_port = 0;
	memset(&p->vnet, 0, sizeof(p->vnet));
	p->flags = 0;
	p->cookie = 0;
	p->next = NULL;
	return p;
}

P4N_EXPORT struct p4n_packet *p4n_packet_clone(struct p4n_thread *th, const struct p4n_packet *pkt)
{
	struct p4n_packet *p = p4n_packet_alloc(th, pkt->len);

	if (!p)
		return NULL;
	memcpy(p->data, pkt->data, pkt->len);
	p->ingress_port = pkt->ingress_port;
	p->wire_len = pkt->wire_len;
	p->vnet = pkt->vnet;
	p->flags = pkt->flags;
	p->cookie = pkt->cookie;
	return p;
}

P4N_EXPORT void p4n_packet_free(struct p4n_thread *th, struct p4n_packet *pkt)
{
	pkt->next = th->io->pool;
	th->io->pool = pkt;
}

void p4n_pool_destroy(struct p4n_thread_io *io)
{
	while (io->pool) {
		struct p4n_packet *next = io->pool->next;

		free(io->pool);
		io->pool = next;
	}
}
