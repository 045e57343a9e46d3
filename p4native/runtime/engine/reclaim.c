/* Quiescent-state reclamation: writers unlink, readers pass between batches, then memory is freed. */
#include <sched.h>
#include <stdlib.h>

#include "internal.h"

/* More garbage than this waits for the readers rather than growing further. */
#define LIMBO_LIMIT (64u << 20)

void p4n_domain_init(struct p4n_domain *d)
{
	memset(d, 0, sizeof(*d));
	atomic_store(&d->epoch, 1);
	pthread_mutex_init(&d->pause_lock, NULL);
	pthread_cond_init(&d->resumed, NULL);
}

void p4n_domain_destroy(struct p4n_domain *d)
{
	pthread_cond_destroy(&d->resumed);
	pthread_mutex_destroy(&d->pause_lock);
}

P4N_EXPORT void p4n_reader_offline(struct p4n_domain *d, uint32_t reader)
{
	atomic_store_explicit(&d->readers[reader].seen, 0, memory_order_release);
}

P4N_EXPORT void p4n_reader_online(struct p4n_domain *d, uint32_t reader)
{
	for (;;) {
		/* Sequentially consistent on both sides: either the pausing writer sees this reader
		 * or this reader sees the pause. */
		atomic_store(&d->readers[reader].seen, atomic_load(&d->epoch));
		if (!atomic_load(&d->pausing))
			return;
		p4n_reader_offline(d, reader);
		pthread_mutex_lock(&d->pause_lock);
		while (atomic_load(&d->pausing))
			pthread_cond_wait(&d->resumed, &d->pause_lock);
		pthread_mutex_unlock(&d->pause_lock);
	}
}

void p4n_domain_pause(struct p4n_domain *d)
{
	atomic_fetch_add(&d->pausing, 1);
	for (uint32_t i = 0; i < P4N_MAX_THREADS; i++)
		while (atomic_load(&d->readers[i].seen))
			sched_yield();
}

void p4n_domain_resume(struct p4n_domain *d)
{
	pthread_mutex_lock(&d->pause_lock);
	if (atomic_fetch_sub(&d->pausing, 1) == 1)
		pthread_cond_broadcast(&d->resumed);
	pthread_mutex_unlock(&d->pause_lock);
}

/* The oldest epoch that some reader may still be in; UINT64_MAX when none is online. */
static uint64_t oldest_reader(struct p4n_domain *d)
{
	uint64_t oldest = UINT64_MAX;

	for (uint32_t i = 0; i < P4N_MAX_THREADS; i++) {
		uint64_t seen = atomic_load(&d->readers[i].seen);

		if (seen && seen < oldest)
			oldest = seen;
	}
	return oldest;
}

void p4n_domain_synchronize(struct p4n_domain *d)
{
	uint64_t epoch = atomic_fetch_add(&d->epoch, 1) + 1;

	while (oldest_reader(d) < epoch)
		sched_yield();
}

static void free_first(struct p4n_limbo *l)
{
	struct p4n_garbage g = l->ring[l->head];

	l->head = (l->head + 1) & (l->cap - 1);
	l->count--;
	if (l->stamped)
		l->stamped--;
	l->bytes -= g.bytes;
	g.fn(g.owner, g.what);
}

static bool grow(struct p4n_limbo *l)
{
	size_t cap = l->cap ? l->cap * 2 : 256;
	struct p4n_garbage *ring = malloc(cap * sizeof(*ring));

	if (!ring)
		return false;
	for (size_t i = 0; i < l->count; i++)
		ring[i] = l->ring[(l->head + i) & (l->cap - 1)];
	free(l->ring);
	l->ring = ring;
	l->cap = cap;
	l->head = 0;
	return true;
}

void p4n_retire(struct p4n_limbo *l, p4n_free_fn fn, void *owner, void *what, size_t bytes)
{
	/* Without memory for the note the object is leaked: never a dangling pointer. */
	if (!what || (l->count == l->cap && !grow(l)))
		return;
	l->ring[(l->head + l->count++) & (l->cap - 1)] =
		(struct p4n_garbage){.fn = fn, .owner = owner, .what = what, .bytes = bytes};
	l->bytes += bytes;
}

static void stamp(struct p4n_limbo *l)
{
	uint64_t epoch;

	if (l->stamped == l->count)
		return;
	epoch = atomic_fetch_add(&l->domain->epoch, 1) + 1;
	for (; l->stamped < l->count; l->stamped++)
		l->ring[(l->head + l->stamped) & (l->cap - 1)].epoch = epoch;
}

void p4n_limbo_flush(struct p4n_limbo *l)
{
	stamp(l);
	do {
		uint64_t oldest = oldest_reader(l->domain);

		while (l->count && l->ring[l->head].epoch <= oldest)
			free_first(l);
		if (l->bytes > LIMBO_LIMIT)
			sched_yield();
	} while (l->bytes > LIMBO_LIMIT);
}

void p4n_limbo_destroy(struct p4n_limbo *l)
{
	while (l->count)
		free_first(l);
	free(l->ring);
	l->ring = NULL;
	l->cap = 0;
}

void p4n_free_plain(void *owner, void *what)
{
	(void)owner;
	free(what);
}
