/* Turns: the receive queues that a thread reads share its time, whatever their frames cost.
 *
 * Start-time fair queueing. What each queue has cost is added up in nanoseconds; of those that have
 * frames, the one that has cost least is served, with those that are ahead of it by less than a
 * batch. A queue that was empty begins where the least served one is: it cannot save up. So a guest
 * that floods gets its share of the NIC and no more while others want theirs, and its surplus is
 * lost where that is cheapest, in its own queue. The share is one of time, not of frames or bytes:
 * a super-frame costs several small frames, and a small frame ten times what its bytes do. */
#include <sys/epoll.h>

#include "device.h"

#define AHEAD_NS 50000u   /* about a batch of small frames */
#define COST_MAX_NS 1000000u /* more, and the thread was not running: nobody's fault */

struct ready {
	struct p4n_port *port;
	struct p4n_rxq *queue;
};

/* The queues that events name, brought up to now; their number. */
static uint32_t collect(struct p4n_thread_io *io, const struct epoll_event *events, int n,
			struct ready *ready)
{
	uint64_t least = UINT64_MAX;
	uint32_t found = 0;

	for (int i = 0; i < n; i++) {
		/* The port's number, not its address: it may be gone by now. */
		uint32_t number = (uint32_t)events[i].data.u64;
		uint32_t index = (uint32_t)(events[i].data.u64 >> 32);
		struct p4n_port *port = number == P4N_NONE ? NULL : p4n_port_find(io->dev, number);

		if (!port || index >= port->n_queues)
			continue;
		ready[found] = (struct ready){port, &port->rxq[index]};
		if (ready[found].queue->spent < io->turn)
			ready[found].queue->spent = io->turn;
		if (ready[found].queue->spent < least)
			least = ready[found].queue->spent;
		found++;
	}
	if (found)
		io->turn = least;
	return found;
}

/* One batch, in and out again: what it costs is known, and nothing waits for the other queues. */
static void serve(struct p4n_thread_io *io, const struct ready *r)
{
	struct p4n_packet *pkts[P4N_BATCH];
	uint32_t n = p4n_socket_read(io, r->port, r->queue, pkts);

	if (n)
		p4n_run(io, pkts, n);
	p4n_thread_flush(io);
}

void p4n_turns_serve(struct p4n_thread_io *io, const struct epoll_event *events, int n)
{
	struct ready ready[P4N_EVENTS];
	uint32_t found = collect(io, events, n, ready);
	uint64_t began, ended, cost;

	if (found == 1) {
		serve(io, &ready[0]);
		return;
	}
	began = found ? p4n_clock_ns() : 0;
	for (uint32_t i = 0; i < found; i++) {
		if (ready[i].queue->spent > io->turn + AHEAD_NS)
			continue;
		serve(io, &ready[i]);
		ended = p4n_clock_ns();
		cost = ended - began;
		ready[i].queue->spent += cost < COST_MAX_NS ? cost : COST_MAX_NS;
		began = ended;
	}
}
