/* Packet replication: multicast groups and clone sessions, and backups for ports that are down. */
#include <stdlib.h>

#include "batch.h"

/* The place of an id's object; NULL for an impossible id, or without memory. */
static void *_Atomic *place(struct p4n_id_map *map, uint32_t id)
{
	void *_Atomic *page;

	if (id > 0xffff)
		return NULL;
	page = atomic_load(&map->page[id >> 8]);
	if (!page) {
		page = calloc(256, sizeof(*page));
		if (!page)
			return NULL;
		atomic_store_explicit(&map->page[id >> 8], page, memory_order_release);
	}
	return &page[id & 0xff];
}

static void store(struct p4n_instance *inst, void *_Atomic *at, void *value)
{
	p4n_retire(&inst->limbo, p4n_free_plain, NULL, atomic_exchange(at, value), 256);
}

static uint32_t count_backups(const struct p4n_replica *wanted, uint32_t n)
{
	uint32_t backups = 0;

	for (uint32_t i = 0; i < n; i++)
		backups += wanted[i].backup;
	return backups;
}

/* Takes of each replica and its backups, which follow it, the first whose port is up; the replica
 * itself if none is. Without backups nothing is looked at. */
static uint32_t choose(const struct p4n_device *dev, const struct p4n_replica *wanted, uint32_t n,
		       struct p4n_replica *out)
{
	bool backups = count_backups(wanted, n) != 0, settled = true;
	uint32_t made = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (!wanted[i].backup) {
			out[made++] = wanted[i];
			settled = !backups || p4n_device_port_up(dev, wanted[i].port);
		} else if (!settled && p4n_device_port_up(dev, wanted[i].port)) {
			out[made - 1] = wanted[i];
			settled = true;
		}
	}
	return made;
}

/* What was asked for is kept behind what was chosen from it, if there was anything to choose. */
static uint32_t keep_wanted(const struct p4n_replica *wanted, uint32_t n, struct p4n_replica *after)
{
	if (!count_backups(wanted, n))
		return 0;
	memcpy(after, wanted, n * sizeof(*wanted));
	return n;
}

static struct p4n_group *new_group(const struct p4n_device *dev, uint32_t id,
				   const struct p4n_replica *wanted, uint32_t n)
{
	struct p4n_group *g = malloc(sizeof(*g) + 2 * (size_t)n * sizeof(*wanted));

	if (!g)
		return NULL;
	g->id = id;
	g->n = choose(dev, wanted, n, g->out);
	g->wanted = keep_wanted(wanted, n, g->out + g->n);
	return g;
}

static struct p4n_clone_session *new_session(const struct p4n_device *dev,
					     const struct p4n_clone_session *like,
					     const struct p4n_replica *wanted, uint32_t n)
{
	struct p4n_clone_session *s = malloc(sizeof(*s) + 2 * (size_t)n * sizeof(*wanted));

	if (!s)
		return NULL;
	*s = *like;
	s->n = choose(dev, wanted, n, s->out);
	s->wanted = keep_wanted(wanted, n, s->out + s->n);
	return s;
}

static bool well_formed(const struct p4n_record *h)
{
	if (h->op == OP_MULTICAST || h->op == OP_CLONE)
		return p4n_payload_is(h, h->action, sizeof(struct p4n_replica));
	return p4n_payload_is(h, 0, 0);
}

/* `handle` is the id, `action` the number of replicas: in the order in which they are made, each
 * before its backups. */
enum p4n_status p4n_replication_op(struct p4n_instance *inst, const struct p4n_record *h,
				   struct p4n_change *c)
{
	const struct p4n_replica *replicas = (const struct p4n_replica *)(const void *)p4n_payload(h);
	const struct p4n_clone_session like = {.id = (uint32_t)h->handle,
					       .egress_port = P4N_NONE,
					       .packet_length = h->prefix_len,
					       .class_of_service = (uint32_t)h->priority};
	bool session = h->op >= OP_CLONE, made = h->op == OP_MULTICAST || h->op == OP_CLONE;
	void *_Atomic *at;
	void *value = NULL;

	if (!well_formed(h) || h->handle > 0xffff)
		return P4N_BAD_RECORD;
	at = place(session ? &inst->pre.sessions : &inst->pre.groups, like.id);
	if (made)
		value = session ? (void *)new_session(inst->device, &like, replicas, h->action)
				: (void *)new_group(inst->device, like.id, replicas, h->action);
	if (!at || (made && !value)) {
		free(value);
		return P4N_NO_MEMORY;
	}
	p4n_put(c, (void *)at, value);
	return P4N_OK;
}

/* A new one of the same replicas, chosen anew; NULL where there is no choice, or no memory. */
static void *again(const struct p4n_instance *inst, bool session, const void *old)
{
	const struct p4n_clone_session *s = old;
	const struct p4n_group *g = old;

	if (!old || !(session ? s->wanted : g->wanted))
		return NULL;
	return session ? (void *)new_session(inst->device, s, s->out + s->n, s->wanted)
		       : (void *)new_group(inst->device, g->id, g->out + g->n, g->wanted);
}

void p4n_pre_ports_changed(struct p4n_instance *inst)
{
	for (uint32_t i = 0; i < 2 << 16; i++) {
		struct p4n_id_map *map = i >> 16 ? &inst->pre.sessions : &inst->pre.groups;
		uint32_t id = i & 0xffff;
		void *made;

		if (!atomic_load(&map->page[id >> 8])) {
			i |= 0xff;
			continue;
		}
		made = again(inst, i >> 16, p4n_id_find(map, id));
		if (made)
			store(inst, place(map, id), made);
	}
}
