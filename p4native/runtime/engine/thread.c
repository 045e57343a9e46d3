/* The packet thread: wait, read, run the pipeline, write. */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "device.h"

#define ETHERNET_ROOM 18u /* header and one VLAN tag, which the MTU does not count */

P4N_EXPORT uint64_t p4n_now_us(const struct p4n_thread *th)
{
	return p4n_device_now_us(th->device);
}

static void read_clock(struct p4n_thread_io *io)
{
	io->th.now_us = p4n_device_now_us(io->dev);
	io->th.now_ms = (uint32_t)(io->th.now_us / 1000);
}

/* --- what the pipeline calls ------------------------------------------------------------------- */

P4N_EXPORT void p4n_drop(struct p4n_thread *th, struct p4n_packet *pkt, enum p4n_drop_reason why)
{
	if (why < P4N_DROP_REASONS)
		p4n_add(false, &th->io->drops[why], 1);
	p4n_packet_free(th, pkt);
}

P4N_EXPORT void p4n_learn(struct p4n_thread *th, uint32_t list_id, const uint8_t *data,
			  uint32_t len)
{
	p4n_learner_add(th->io->inst->learner, list_id, data, len);
}

static void send_queue(struct p4n_thread_io *io, struct p4n_txq *q)
{
	struct p4n_port *port = q->port;

	if (q->n)
		p4n_socket_write(io, port, q->pkts, q->n);
	q->n = 0;
}

static void enqueue(struct p4n_thread_io *io, struct p4n_port *port, struct p4n_packet *pkt)
{
	struct p4n_txq *q = io->txq[port->slot];

	if (!q) {
		q = calloc(1, sizeof(*q));
		if (!q) {
			p4n_drop(&io->th, pkt, P4N_DROP_NO_MEMORY);
			return;
		}
		io->txq[port->slot] = q;
	}
	if (!q->dirty) {
		q->dirty = true;
		io->dirty[io->n_dirty++] = port->slot;
	}
	q->port = port;
	q->pkts[q->n++] = pkt;
	if (q->n == P4N_BATCH)
		send_queue(io, q);
}

struct tx_target {
	struct p4n_thread_io *io;
	struct p4n_port *port;
};

static void enqueue_segment(void *ctx, struct p4n_packet *pkt)
{
	struct tx_target *t = ctx;

	enqueue(t->io, t->port, pkt);
}

/* A port that Python reads. */
static void to_queue(struct p4n_thread_io *io, struct p4n_port *port, struct p4n_packet *pkt)
{
	struct p4n_device *dev = io->dev;
	struct p4n_queue *q = port->kind == P4N_PORT_CPU ? &dev->packet_in : &dev->memory_out;

	if (port->out)
		p4n_capture_write(port->out, pkt);
	if (p4n_queue_push(q, port->number, pkt->data, pkt->len)) {
		p4n_stat_add(&port->stats.tx_packets, 1);
		p4n_stat_add(&port->stats.tx_bytes, pkt->len);
	} else {
		p4n_stat_add(&port->stats.tx_dropped, 1);
	}
	p4n_packet_free(&io->th, pkt);
}

static bool offloaded(const struct p4n_packet *pkt)
{
	return pkt->vnet.flags & 1 || pkt->vnet.gso_type;
}

/* Frames that leave something open, or exceed the MTU, are completed or cut where need be. */
static void finish(struct p4n_thread_io *io, struct p4n_port *port, struct p4n_packet *pkt)
{
	uint32_t mtu = atomic_load_explicit(&port->mtu, memory_order_relaxed);
	struct tx_target target = {io, port};
	enum p4n_fix fix = offloaded(pkt) ? p4n_fix_offload(pkt) : P4N_FIX_NONE;

	if (fix == P4N_FIX_NONE && !pkt->vnet.gso_type && pkt->len > mtu + ETHERNET_ROOM)
		fix = p4n_fix_oversize(pkt, mtu);
	if (fix == P4N_FIX_SEGMENT) {
		p4n_stat_add(&port->stats.tx_segmented, 1);
		if (p4n_segment(&io->th, pkt, mtu, enqueue_segment, &target))
			return;
		fix = P4N_FIX_DROP;
	}
	if (fix == P4N_FIX_NONE) {
		enqueue(io, port, pkt);
		return;
	}
	p4n_stat_add(&port->stats.tx_dropped, 1);
	p4n_drop(&io->th, pkt, P4N_DROP_MALFORMED);
}

/* Python gets frames whole, super-frames too, with a checksum over all of it. */
static void finish_for_python(struct p4n_port *port, struct p4n_packet *pkt)
{
	if (p4n_fix_offload(pkt) != P4N_FIX_DROP && p4n_complete_checksum(pkt))
		p4n_stat_add(&port->stats.tx_checksummed, 1);
}

P4N_EXPORT void p4n_tx(struct p4n_thread *th, uint32_t number, struct p4n_packet *pkt)
{
	struct p4n_thread_io *io = th->io;
	struct p4n_port *port = p4n_port_find(io->dev, number);

	if (__builtin_expect(!port, 0)) {
		p4n_drop(th, pkt, P4N_DROP_NO_PORT);
	} else if (__builtin_expect(port->kind != P4N_PORT_PACKET, 0)) {
		if (offloaded(pkt))
			finish_for_python(port, pkt);
		to_queue(io, port, pkt);
	} else if (__builtin_expect(offloaded(pkt) || pkt->len > port->mtu + ETHERNET_ROOM, 0)) {
		finish(io, port, pkt);
	} else {
		enqueue(io, port, pkt);
	}
}

void p4n_thread_flush(struct p4n_thread_io *io)
{
	while (io->n_dirty) {
		struct p4n_txq *q = io->txq[io->dirty[--io->n_dirty]];

		q->dirty = false;
		send_queue(io, q);
	}
}

/* --- running the pipeline ---------------------------------------------------------------------- */

void p4n_thread_adopt(struct p4n_thread_io *io, struct p4n_instance *inst)
{
	struct p4n_thread *th = &io->th;

	if (io->inst && io->inst->pipeline->flush)
		io->inst->pipeline->flush(th);
	p4n_thread_flush(io);
	free(th->pipeline_state);
	th->pipeline_state = NULL;
	io->kept = 0;
	io->inst = inst;
	if (!inst)
		return;
	if (inst->pipeline->state_bytes) {
		size_t bytes = (inst->pipeline->state_bytes + 63u) & ~(size_t)63;

		th->pipeline_state = aligned_alloc(64, bytes);
		if (th->pipeline_state)
			memset(th->pipeline_state, 0, bytes);
		else
			io->inst = NULL; /* without memory: drop everything rather than crash */
	}
	th->tables = inst->tables;
	th->counters = inst->counters;
	th->meters = inst->meters;
	th->registers = inst->registers;
	th->value_sets = inst->value_sets;
	th->pre = &inst->pre;
}

static void run_ready(struct p4n_thread_io *io, struct p4n_packet **pkts, uint32_t n)
{
	if (!io->inst) {
		for (uint32_t i = 0; i < n; i++)
			p4n_drop(&io->th, pkts[i], P4N_DROP_NO_PIPELINE);
		return;
	}
	io->kept = io->inst->pipeline->process(&io->th, pkts, n);
}

static void run_segment(void *ctx, struct p4n_packet *pkt)
{
	run_ready(ctx, &pkt, 1);
}

/* Completes what the program needs complete; true when the frame can be run as it is. */
static bool complete(struct p4n_thread_io *io, struct p4n_packet *pkt)
{
	if (!io->inst || !p4n_needs_completion(io->inst))
		return true;
	if (pkt->vnet.gso_type) {
		if (!p4n_segment(&io->th, pkt, UINT16_MAX, run_segment, io))
			p4n_drop(&io->th, pkt, P4N_DROP_MALFORMED);
		return false;
	}
	if (p4n_complete_checksum(pkt))
		return true;
	p4n_drop(&io->th, pkt, P4N_DROP_MALFORMED);
	return false;
}

void p4n_run(struct p4n_thread_io *io, struct p4n_packet **pkts, uint32_t n)
{
	uint32_t from = 0;

	read_clock(io);
	for (uint32_t i = 0; i < n; i++) {
		if (__builtin_expect(!offloaded(pkts[i]), 1))
			continue;
		/* Frames before this one go first: order within a port is kept. */
		if (io->inst && p4n_needs_completion(io->inst)) {
			if (i > from)
				run_ready(io, pkts + from, i - from);
			from = i + 1;
			if (complete(io, pkts[i]))
				run_ready(io, pkts + i, 1);
		}
	}
	if (n > from || n == 0)
		run_ready(io, pkts + from, n - from);
}

/* Passes of a frame that recirculates for ever, before others get their turn. */
#define MAX_PASSES 4096u

void p4n_run_frame(struct p4n_thread_io *io, uint32_t number, const uint8_t *data, uint32_t len)
{
	struct p4n_packet *pkt = p4n_packet_alloc(&io->th, len);
	struct p4n_port *port = p4n_port_find(io->dev, number);

	if (!pkt) {
		p4n_add(false, &io->drops[P4N_DROP_NO_MEMORY], 1);
		return;
	}
	memcpy(pkt->data, data, len);
	pkt->ingress_port = number;
	if (port) {
		p4n_stat_add(&port->stats.rx_packets, 1);
		p4n_stat_add(&port->stats.rx_bytes, len);
		if (port->in)
			p4n_capture_write(port->in, pkt);
	}
	p4n_run(io, &pkt, 1);
	for (uint32_t i = 0; io->kept && i < MAX_PASSES; i++)
		p4n_run(io, NULL, 0);
}

void p4n_thread_wake(struct p4n_thread_io *io)
{
	uint64_t one = 1;
	ssize_t written = write(io->wake_fd, &one, sizeof(one));

	(void)written; /* a full counter wakes too */
}

static void drain_wake(struct p4n_thread_io *io)
{
	uint64_t count;
	ssize_t got = read(io->wake_fd, &count, sizeof(count));

	(void)got;
}

static void serve_inbox(struct p4n_thread_io *io)
{
	struct p4n_device *dev = io->dev;
	struct p4n_frame *f = io->th.index ? NULL : p4n_queue_take(&dev->inbox), *next;
	uint64_t n = 0;

	for (; f; f = next, n++) {
		next = f->next;
		p4n_run_frame(io, f->port, f->data, f->len);
		free(f);
	}
	if (!n)
		return;
	p4n_thread_flush(io);
	pthread_mutex_lock(&dev->inbox.lock);
	dev->completed += n;
	pthread_cond_broadcast(&dev->inbox_done);
	pthread_mutex_unlock(&dev->inbox.lock);
}

/* Events that are there; sleeps, holding no reference, when there are none. */
static int wait_events(struct p4n_thread_io *io, struct epoll_event *events)
{
	struct p4n_domain *d = &io->dev->domain;
	int n = epoll_wait(io->epoll_fd, events, (int)P4N_EVENTS, 0);

	if (n || io->kept)
		return n;
	p4n_reader_offline(d, io->reader);
	n = epoll_wait(io->epoll_fd, events, (int)P4N_EVENTS, -1);
	p4n_reader_online(d, io->reader);
	return n;
}

void *p4n_thread_main(void *arg)
{
	struct p4n_thread_io *io = arg;
	struct p4n_domain *d = &io->dev->domain;
	struct epoll_event events[P4N_EVENTS];

	p4n_reader_online(d, io->reader);
	while (!atomic_load_explicit(&io->dev->stopping, memory_order_relaxed)) {
		int n = wait_events(io, events);

		for (int i = 0; i < n; i++) {
			if (events[i].data.u64 == p4n_event(P4N_NONE, 0)) {
				drain_wake(io);
				serve_inbox(io);
			}
		}
		p4n_turns_serve(io, events, n);
		if (io->kept)
			p4n_run(io, NULL, 0);
		p4n_thread_flush(io);
		p4n_reader_quiescent(d, io->reader);
	}
	p4n_reader_offline(d, io->reader);
	return NULL;
}
