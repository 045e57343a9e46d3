/* Bounded queues of whole frames from packet threads to Python. */
#include <stdlib.h>

#include "device.h"

void p4n_queue_init(struct p4n_queue *q, uint32_t limit)
{
	pthread_condattr_t attr;

	memset(q, 0, sizeof(*q));
	q->last = &q->first;
	q->limit = limit;
	pthread_mutex_init(&q->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&q->filled, &attr);
	pthread_condattr_destroy(&attr);
}

void p4n_queue_destroy(struct p4n_queue *q)
{
	while (q->first) {
		struct p4n_frame *next = q->first->next;

		free(q->first);
		q->first = next;
	}
	pthread_cond_destroy(&q->filled);
	pthread_mutex_destroy(&q->lock);
}

bool p4n_queue_push(struct p4n_queue *q, uint32_t port, const uint8_t *data, uint32_t len)
{
	struct p4n_frame *f = malloc(sizeof(*f) + len);

	pthread_mutex_lock(&q->lock);
	if (!f || q->n >= q->limit || q->closed) {
		pthread_mutex_unlock(&q->lock);
		p4n_stat_add(&q->dropped, 1);
		free(f);
		return false;
	}
	*f = (struct p4n_frame){.port = port, .len = len};
	memcpy(f->data, data, len);
	*q->last = f;
	q->last = &f->next;
	if (q->n++ == 0)
		pthread_cond_signal(&q->filled);
	pthread_mutex_unlock(&q->lock);
	return true;
}

struct p4n_frame *p4n_queue_take(struct p4n_queue *q)
{
	struct p4n_frame *first;

	pthread_mutex_lock(&q->lock);
	first = q->first;
	q->first = NULL;
	q->last = &q->first;
	q->n = 0;
	pthread_mutex_unlock(&q->lock);
	return first;
}

void p4n_queue_close(struct p4n_queue *q)
{
	pthread_mutex_lock(&q->lock);
	q->closed = true;
	pthread_cond_broadcast(&q->filled);
	pthread_mutex_unlock(&q->lock);
}

/* Waits until the deadline (CLOCK_MONOTONIC) for a frame, then packs as many as fit, each as port,
 * length, bytes (padded to 4). Returns the bytes used; a first frame larger than `cap` is dropped. */
static size_t pop(struct p4n_queue *q, uint64_t deadline_ns, uint8_t *out, size_t cap,
		  uint32_t limit)
{
	struct timespec ts = {.tv_sec = (time_t)(deadline_ns / 1000000000u),
			      .tv_nsec = (long)(deadline_ns % 1000000000u)};
	uint8_t *at = out;

	pthread_mutex_lock(&q->lock);
	while (!q->first && !q->closed && p4n_clock_ns() < deadline_ns)
		pthread_cond_timedwait(&q->filled, &q->lock, &ts);
	for (uint32_t i = 0; q->first && i < limit; i++) {
		struct p4n_frame *f = q->first;
		uint32_t head[2] = {f->port, f->len}, padded = (f->len + 3) & ~3u;

		if (sizeof(head) + padded > cap - (size_t)(at - out))
			break;
		memcpy(at, head, sizeof(head));
		memcpy(at + sizeof(head), f->data, f->len);
		at += sizeof(head) + padded;
		q->first = f->next;
		if (!q->first)
			q->last = &q->first;
		q->n--;
		free(f);
	}
	pthread_mutex_unlock(&q->lock);
	return (size_t)(at - out);
}

P4N_EXPORT size_t p4n_packet_in_wait(struct p4n_device *dev, uint64_t deadline_ns, uint8_t *out,
				     size_t cap, uint32_t limit)
{
	return pop(&dev->packet_in, deadline_ns, out, cap, limit);
}

P4N_EXPORT size_t p4n_memory_wait(struct p4n_device *dev, uint64_t deadline_ns, uint8_t *out,
				  size_t cap, uint32_t limit)
{
	return pop(&dev->memory_out, deadline_ns, out, cap, limit);
}

P4N_EXPORT size_t p4n_log_wait(struct p4n_device *dev, uint64_t deadline_ns, uint8_t *out,
			       size_t cap, uint32_t limit)
{
	return pop(&dev->log, deadline_ns, out, cap, limit);
}

P4N_EXPORT uint64_t p4n_packet_in_dropped(struct p4n_device *dev)
{
	return atomic_load(&dev->packet_in.dropped);
}
