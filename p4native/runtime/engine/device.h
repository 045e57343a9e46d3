/* A device: ports, packet threads, queues to the controller. */
#ifndef P4N_DEVICE_H
#define P4N_DEVICE_H

#include <net/if.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "internal.h"

#define P4N_BATCH 16u        /* frames per system call, */
#define P4N_BATCH_BYTES (256u << 10) /* fewer if they are large: their bytes should stay in the cache */
#define P4N_POOL 2048u       /* frames per packet thread */
#define P4N_EVENTS 64u      /* ready queues per look */
#define P4N_TAILROOM 64u
#define P4N_MAX_SLOTS 4096u  /* ports at once */
#define P4N_REMOVED_KEPT 256u
#define P4N_SENDER_QUEUES 16u /* receive queues of a port that many senders share */

struct p4n_capture;

/* A receive queue, one socket: its sender's frames wait here, and are lost here when it is full. */
struct p4n_rxq {
	int fd;
	uint32_t thread; /* that reads it */
	uint32_t size;	 /* bytes of a frame, as many as the last ones had on average */
	uint64_t spent;  /* what it has had of that thread, in the nanoseconds of turns.c */
};

struct p4n_port {
	uint32_t number;
	uint32_t slot; /* index of its transmit queues */
	enum p4n_port_kind kind;
	uint32_t n_queues;
	struct p4n_rxq rxq[P4N_SENDER_QUEUES]; /* frames are sent by the first */
	int ifindex;
	char name[IFNAMSIZ];
	_Atomic bool up;
	_Atomic bool forced_down;
	_Atomic uint32_t mtu; /* bytes behind the Ethernet header */
	struct p4n_port_stats stats;
	struct p4n_capture *in, *out; /* NULL: not captured */
};

/* Frames that one thread has for one port until the end of the batch. */
struct p4n_txq {
	struct p4n_port *port;
	bool dirty; /* listed in the thread's dirty ports */
	uint32_t n;
	struct p4n_packet *pkts[P4N_BATCH];
};

struct p4n_thread_io {
	struct p4n_thread th;
	struct p4n_device *dev;
	struct p4n_instance *inst; /* what th points into */
	uint32_t reader;
	uint32_t kept; /* frames the pipeline holds for another pass */
	pthread_t pthread;
	int epoll_fd, wake_fd;
	struct p4n_packet *pool;
	uint32_t made; /* frames allocated so far */
	uint64_t turn; /* turns.c */
	struct p4n_packet *rx[P4N_BATCH];
	struct p4n_txq *txq[P4N_MAX_SLOTS];
	uint32_t dirty[P4N_MAX_SLOTS], n_dirty;
	_Atomic uint64_t drops[P4N_DROP_REASONS];
};

/* Whole frames for Python, bounded: what does not fit is dropped and counted. */
struct p4n_queue {
	pthread_mutex_t lock;
	pthread_cond_t filled;
	struct p4n_frame *first, **last;
	uint32_t n, limit;
	_Atomic uint64_t dropped;
	bool closed;
};

struct p4n_frame {
	struct p4n_frame *next;
	uint32_t port;
	uint32_t len;
	uint8_t data[];
};

struct p4n_device {
	struct p4n_domain domain;
	pthread_mutex_t lock; /* ports, pipeline, start and stop */
	pthread_mutex_t inline_lock; /* frames injected while no packet thread runs */
	uint64_t start_ns;
	uint32_t cpu_port, drop_port;
	uint32_t n_threads;
	bool running;
	_Atomic bool stopping;
	struct p4n_queue inbox; /* injected frames, for the first packet thread */
	uint64_t injected, completed; /* guarded by the inbox's lock */
	pthread_cond_t inbox_done;
	struct p4n_instance *inst;
	struct p4n_id_map ports;
	uint8_t slots[P4N_MAX_SLOTS];
	/* Removed ports: a table update may still be asking whether one is up. */
	struct p4n_port *removed[P4N_REMOVED_KEPT];
	uint32_t n_removed;
	struct p4n_thread_io **threads; /* n_threads, then the one for injection without them */
	struct p4n_queue packet_in, memory_out, log;
	pthread_t monitor;
	int monitor_wake;
};

/* --- pool.c --- */
void p4n_pool_destroy(struct p4n_thread_io *io);

/* --- monitor.c --- */
/* What follows the state of ports is chosen anew. The caller holds dev->lock. */
void p4n_ports_changed(struct p4n_device *dev);

/* --- queue.c --- */
void p4n_queue_init(struct p4n_queue *q, uint32_t limit);
void p4n_queue_destroy(struct p4n_queue *q);
/* False when it was full. */
bool p4n_queue_push(struct p4n_queue *q, uint32_t port, const uint8_t *data, uint32_t len);
/* All that is there, oldest first; the caller frees the frames. */
struct p4n_frame *p4n_queue_take(struct p4n_queue *q);
void p4n_queue_close(struct p4n_queue *q);

/* --- socket.c: AF_PACKET --- */
/* Up to P4N_BATCH frames of a receive queue; their number. */
uint32_t p4n_socket_read(struct p4n_thread_io *io, struct p4n_port *port, struct p4n_rxq *q,
			 struct p4n_packet **out);
void p4n_socket_write(struct p4n_thread_io *io, struct p4n_port *port, struct p4n_packet **pkts,
		      uint32_t n);
bool p4n_link_up(const char *name);
uint32_t p4n_link_mtu(const char *name);

/* --- receive.c: receive queues --- */
int p4n_receive_open(struct p4n_port *port, uint32_t n); /* n of them at most; 0 or -errno */
void p4n_receive_close(struct p4n_port *port);
/* Follows an interface that came back under another index; the descriptors stay the same. */
void p4n_receive_reopen(struct p4n_device *dev, struct p4n_port *port);
int p4n_receive_watch(struct p4n_device *dev, struct p4n_port *port); /* 0 or -errno */
/* Adds the frames that found a queue full since the last time to rx_dropped. */
void p4n_receive_count_losses(struct p4n_port *port);

/* --- capture.c: pcap --- */
struct p4n_capture *p4n_capture_open(const char *folder, const char *port, const char *direction);
void p4n_capture_write(struct p4n_capture *c, const struct p4n_packet *pkt);
void p4n_capture_close(struct p4n_capture *c);

/* --- offload.c --- */
/* True when the program reads what offloaded frames leave open: they are completed before it. */
bool p4n_needs_completion(const struct p4n_instance *inst);
/* Completes a partial checksum in place and clears the mark; false when the frame is malformed. */
bool p4n_complete_checksum(struct p4n_packet *pkt);
typedef void (*p4n_emit_fn)(void *ctx, struct p4n_packet *segment);
/* Cuts a super-frame into complete frames that fit the MTU, each handed to emit; frees pkt. */
bool p4n_segment(struct p4n_thread *th, struct p4n_packet *pkt, uint32_t mtu, p4n_emit_fn emit,
		 void *ctx);
/* After the pipeline: makes the offload state agree with the headers as they are now. */
enum p4n_fix { P4N_FIX_NONE, P4N_FIX_SEGMENT, P4N_FIX_DROP };
enum p4n_fix p4n_fix_offload(struct p4n_packet *pkt);
/* Lets the kernel, or p4n_segment(), cut a complete TCP or UDP frame that exceeds the MTU: what a
 * super-frame is after a detour through the controller. */
enum p4n_fix p4n_fix_oversize(struct p4n_packet *pkt, uint32_t mtu);

/* --- thread.c --- */
void p4n_thread_adopt(struct p4n_thread_io *io, struct p4n_instance *inst);
void p4n_thread_flush(struct p4n_thread_io *io);
void p4n_run(struct p4n_thread_io *io, struct p4n_packet **pkts, uint32_t n);
void *p4n_thread_main(void *io);
void p4n_thread_wake(struct p4n_thread_io *io);
/* Runs one frame from Python to completion. */
void p4n_run_frame(struct p4n_thread_io *io, uint32_t port, const uint8_t *data, uint32_t len);

/* --- turns.c: queues share a thread's time --- */
struct epoll_event;
/* Serves those of the ready queues whose turn it is; woken when the thread was. */
void p4n_turns_serve(struct p4n_thread_io *io, const struct epoll_event *events, int n);

/* --- monitor.c --- */
void *p4n_monitor_main(void *dev);

/* What a thread's epoll says of a ready queue: its port's number and its index there. */
static inline uint64_t p4n_event(uint32_t port, uint32_t queue)
{
	return (uint64_t)queue << 32 | port;
}

static inline struct p4n_port *p4n_port_find(const struct p4n_device *dev, uint32_t number)
{
	return p4n_id_find(&dev->ports, number);
}

static inline void p4n_stat_add(_Atomic uint64_t *word, uint64_t n)
{
	atomic_fetch_add_explicit(word, n, memory_order_relaxed);
}

#endif
