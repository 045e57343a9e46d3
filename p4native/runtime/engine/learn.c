/* Digests: records are collected into lists, sent when full or old, and not repeated until they are
 * acknowledged or the acknowledgement is overdue. */
#include <errno.h>
#include <stdlib.h>

#include "batch.h"

#define MAX_READY 1024u   /* lists waiting for a reader */
/* A list is one message to a client, and its memory is taken when its first record comes. */
#define MAX_RECORDS 16384u
#define MAX_LIST_BYTES (1u << 20) /* what Python has room for */
#define MAX_PENDING 65536u /* records sent and not acknowledged, per learn list */

struct list {
	struct list *next;
	uint32_t learn_list; /* index in the descriptor */
	uint32_t n, cap;
	uint64_t list_id;
	uint64_t opened_ns;
	uint8_t records[];
};

/* A record that was sent and must not be sent again yet. */
struct pending {
	struct pending *next;
	uint64_t hash;
	uint64_t list_id;
	uint64_t expires_ns;
	uint8_t record[];
};

#define PENDING_SLOTS 1024u

struct stream {
	bool enabled;
	uint32_t max_records;
	uint64_t max_timeout_ns, ack_timeout_ns;
	uint64_t next_id;
	struct list *open;
	struct pending *pending[PENDING_SLOTS];
	uint32_t n_pending;
};

struct p4n_learner {
	const struct p4n_pipeline *pipeline;
	pthread_mutex_t lock;
	pthread_cond_t ready_or_opened;
	struct stream *streams;
	struct list *ready, **ready_end;
	uint32_t n_ready;
	uint64_t dropped;
	uint64_t seed[2];
	bool closed;
};

struct p4n_learner *p4n_learn_create(const struct p4n_pipeline *p)
{
	struct p4n_learner *l = calloc(1, sizeof(*l));
	pthread_condattr_t attr;

	if (!l)
		return NULL;
	l->pipeline = p;
	l->ready_end = &l->ready;
	p4n_random_seed(l->seed);
	pthread_mutex_init(&l->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&l->ready_or_opened, &attr);
	pthread_condattr_destroy(&attr);
	l->streams = calloc(p->n_learn_lists + 1, sizeof(*l->streams));
	for (uint32_t i = 0; l->streams && i < p->n_learn_lists; i++)
		l->streams[i].next_id = 1;
	return l;
}

static void forget(struct stream *s, uint64_t list_id, uint64_t now_ns, bool all)
{
	for (uint32_t i = 0; i < PENDING_SLOTS; i++) {
		struct pending **at = &s->pending[i];

		while (*at) {
			struct pending *p = *at;

			if (!all && p->list_id != list_id && p->expires_ns > now_ns) {
				at = &p->next;
				continue;
			}
			*at = p->next;
			free(p);
			s->n_pending--;
		}
	}
}

static void reset(struct stream *s)
{
	free(s->open);
	s->open = NULL;
	forget(s, 0, 0, true);
}

void p4n_learn_destroy(struct p4n_learner *l)
{
	for (uint32_t i = 0; l->streams && i < l->pipeline->n_learn_lists; i++)
		reset(&l->streams[i]);
	while (l->ready) {
		struct list *next = l->ready->next;

		free(l->ready);
		l->ready = next;
	}
	pthread_cond_destroy(&l->ready_or_opened);
	pthread_mutex_destroy(&l->lock);
	free(l->streams);
	free(l);
}

/* True when the record is new; it is pending from now on. */
static bool note_record(struct p4n_learner *l, struct stream *s, const uint8_t *data,
			uint32_t len, uint64_t now_ns)
{
	uint8_t padded[4096] __attribute__((aligned(8))) = {0};
	struct pending **slot, *p;
	uint64_t hash;

	if (len > sizeof(padded))
		return true;
	memcpy(padded, data, len);
	hash = p4n_hash_key(l->seed, padded, p4n_pad8(len) / 8);
	slot = &s->pending[hash % PENDING_SLOTS];
	for (p = *slot; p; p = p->next)
		if (p->hash == hash && !memcmp(p->record, data, len)) {
			if (p->expires_ns > now_ns)
				return false;
			p->list_id = s->next_id;
			p->expires_ns = UINT64_MAX;
			return true;
		}
	if (s->n_pending >= MAX_PENDING)
		return true;
	p = malloc(sizeof(*p) + len);
	if (!p)
		return true;
	*p = (struct pending){.next = *slot, .hash = hash, .list_id = s->next_id,
			      .expires_ns = UINT64_MAX};
	memcpy(p->record, data, len);
	*slot = p;
	s->n_pending++;
	return true;
}

static void close_list(struct p4n_learner *l, struct stream *s, uint64_t now_ns)
{
	struct list *list = s->open;

	s->open = NULL;
	for (uint32_t i = 0; i < PENDING_SLOTS; i++)
		for (struct pending *p = s->pending[i]; p; p = p->next)
			if (p->list_id == list->list_id)
				p->expires_ns = now_ns + s->ack_timeout_ns;
	s->next_id++;
	if (l->n_ready >= MAX_READY) {
		l->dropped += list->n;
		forget(s, list->list_id, 0, false);
		free(list);
		return;
	}
	list->next = NULL;
	*l->ready_end = list;
	l->ready_end = &list->next;
	l->n_ready++;
	pthread_cond_broadcast(&l->ready_or_opened);
}

static void add_record(struct p4n_learner *l, uint32_t index, const uint8_t *data, uint32_t len)
{
	struct stream *s = &l->streams[index];
	uint64_t now_ns = p4n_clock_ns();

	if (!s->enabled || !note_record(l, s, data, len, now_ns))
		return;
	if (!s->open) {
		s->open = malloc(sizeof(*s->open) + (size_t)s->max_records * len);
		if (!s->open) {
			l->dropped++;
			return;
		}
		*s->open = (struct list){.learn_list = index, .cap = s->max_records,
					 .list_id = s->next_id, .opened_ns = now_ns};
		pthread_cond_broadcast(&l->ready_or_opened);
	}
	memcpy(s->open->records + (size_t)s->open->n++ * len, data, len);
	if (s->open->n == s->open->cap || !s->max_timeout_ns)
		close_list(l, s, now_ns);
}

void p4n_learner_add(struct p4n_learner *l, uint32_t list_id, const uint8_t *data, uint32_t len)
{
	const struct p4n_pipeline *p = l->pipeline;

	for (uint32_t i = 0; i < p->n_learn_lists; i++) {
		if (p->learn_lists[i].id != list_id || p->learn_lists[i].record_bytes != len)
			continue;
		pthread_mutex_lock(&l->lock);
		add_record(l, i, data, len);
		pthread_mutex_unlock(&l->lock);
		return;
	}
}

/* 0 asks for no bound. */
static uint32_t records_in_list(uint32_t asked, uint32_t record_bytes)
{
	uint32_t most = MAX_LIST_BYTES / (record_bytes + 1);

	most = most < MAX_RECORDS ? most : MAX_RECORDS;
	return asked && asked < most ? asked : most;
}

static void settle_digest(struct p4n_instance *inst, struct p4n_change *c)
{
	const struct p4n_record *h = c->record;
	struct p4n_learner *l = inst->learner;
	struct stream *s = c->object;

	pthread_mutex_lock(&l->lock);
	if (s->open)
		close_list(l, s, p4n_clock_ns());
	if (h->op == OP_DIGEST_OFF)
		reset(s);
	s->enabled = h->op == OP_DIGEST;
	s->max_records = records_in_list(h->action,
					 l->pipeline->learn_lists[h->table].record_bytes);
	s->max_timeout_ns = h->idle_ns;
	s->ack_timeout_ns = h->age_ns;
	pthread_mutex_unlock(&l->lock);
}

/* `action`: records in a list; idle_ns: its age; age_ns: that of an acknowledgement. */
enum p4n_status p4n_digest_op(struct p4n_instance *inst, const struct p4n_record *h,
			      struct p4n_change *c)
{
	if (h->table >= inst->pipeline->n_learn_lists)
		return P4N_BAD_RECORD;
	c->object = &inst->learner->streams[h->table];
	c->settle = settle_digest;
	return P4N_OK;
}

P4N_EXPORT void p4n_digest_ack(struct p4n_instance *inst, uint32_t index, uint64_t list_id)
{
	struct p4n_learner *l = inst->learner;

	pthread_mutex_lock(&l->lock);
	forget(&l->streams[index], list_id, p4n_clock_ns(), false);
	pthread_mutex_unlock(&l->lock);
}

/* Closes lists that are old enough; the time of the next one that will be, or UINT64_MAX. */
static uint64_t close_due(struct p4n_learner *l, uint64_t now_ns)
{
	uint64_t next = UINT64_MAX;

	for (uint32_t i = 0; i < l->pipeline->n_learn_lists; i++) {
		struct stream *s = &l->streams[i];
		uint64_t due = s->open ? s->open->opened_ns + s->max_timeout_ns : UINT64_MAX;

		if (due <= now_ns)
			close_list(l, s, now_ns);
		else if (due < next)
			next = due;
	}
	return next;
}

/* Waits for a list until the deadline (CLOCK_MONOTONIC); copies it and returns its records, 0 when
 * there is none. */
P4N_EXPORT uint32_t p4n_digest_wait(struct p4n_instance *inst, uint64_t deadline_ns,
				    uint32_t *index, uint64_t *list_id, uint8_t *out, size_t cap)
{
	struct p4n_learner *l = inst->learner;
	struct list *list;
	uint32_t n = 0;

	pthread_mutex_lock(&l->lock);
	for (;;) {
		uint64_t now_ns = p4n_clock_ns(), next = close_due(l, now_ns);
		struct timespec ts;

		if (l->ready || now_ns >= deadline_ns || l->closed)
			break;
		next = next < deadline_ns ? next : deadline_ns;
		ts.tv_sec = (time_t)(next / 1000000000u);
		ts.tv_nsec = (long)(next % 1000000000u);
		pthread_cond_timedwait(&l->ready_or_opened, &l->lock, &ts);
	}
	list = l->ready;
	if (list) {
		size_t bytes = (size_t)list->n *
			       l->pipeline->learn_lists[list->learn_list].record_bytes;

		l->ready = list->next;
		if (!l->ready)
			l->ready_end = &l->ready;
		l->n_ready--;
		*index = list->learn_list;
		*list_id = list->list_id;
		if (bytes <= cap) {
			n = list->n;
			memcpy(out, list->records, bytes);
		}
		free(list);
	}
	pthread_mutex_unlock(&l->lock);
	return n;
}

/* Wakes all waiters, for good. */
P4N_EXPORT void p4n_digest_close(struct p4n_instance *inst)
{
	pthread_mutex_lock(&inst->learner->lock);
	inst->learner->closed = true;
	pthread_cond_broadcast(&inst->learner->ready_or_opened);
	pthread_mutex_unlock(&inst->learner->lock);
}
