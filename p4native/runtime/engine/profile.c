/* Action profiles and selectors: members, weighted groups, watch ports. */
#include <stdlib.h>

#include "internal.h"

P4N_EXPORT const struct p4n_entry *p4n_resolve_member(struct p4n_table *t,
						      const struct p4n_entry *e, uint64_t hash)
{
	void *target;
	struct p4n_member *m;

	(void)t;
	if (!(e->flags & (P4N_ENTRY_MEMBER | P4N_ENTRY_GROUP)))
		return e;
	memcpy(&target, e->data, sizeof(target));
	m = target;
	if (e->flags & P4N_ENTRY_GROUP) {
		struct p4n_selector_group *g = target;
		struct p4n_choice *c = atomic_load_explicit(&g->choice, memory_order_acquire);

		if (!c || !c->n)
			return NULL;
		m = c->member[hash % c->n];
	}
	return atomic_load_explicit(&m->action, memory_order_acquire);
}

/* Position of the id in a sorted array of pointers to structs whose id is at `off`. */
static uint32_t position(void *const *sorted, uint32_t n, size_t off, uint32_t id)
{
	uint32_t lo = 0, hi = n;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2, at;

		memcpy(&at, (const uint8_t *)sorted[mid] + off, sizeof(at));
		if (at < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct p4n_member *find_member(const struct p4n_profile *p, uint32_t id)
{
	uint32_t at = position((void *const *)p->members, p->n_members,
			       offsetof(struct p4n_member, id), id);

	return at < p->n_members && p->members[at]->id == id ? p->members[at] : NULL;
}

static struct p4n_selector_group *find_group(const struct p4n_profile *p, uint32_t id)
{
	uint32_t at = position((void *const *)p->groups, p->n_groups,
			       offsetof(struct p4n_selector_group, id), id);

	return at < p->n_groups && p->groups[at]->id == id ? p->groups[at] : NULL;
}

static bool insert_sorted(void ***array, uint32_t *n, size_t off, uint32_t id, void *what)
{
	uint32_t at = position(*array, *n, off, id);
	void **more = *n % 64 ? *array : realloc(*array, (*n + 64) * sizeof(void *));

	if (!more)
		return false;
	memmove(more + at + 1, more + at, (*n - at) * sizeof(void *));
	more[at] = what;
	*array = more;
	(*n)++;
	return true;
}

static void remove_sorted(void **array, uint32_t *n, size_t off, uint32_t id)
{
	uint32_t at = position(array, *n, off, id);

	(*n)--;
	memmove(array + at, array + at + 1, (*n - at) * sizeof(void *));
}

/* --- members ----------------------------------------------------------------------------------- */

static struct p4n_entry *new_action(struct p4n_profile *p, uint32_t action, const uint8_t *data,
				    uint32_t bytes)
{
	const struct p4n_action_desc *d = p4n_find_action(p->inst, action);
	struct p4n_entry *e;

	if (!d || d->data_bytes != bytes)
		return NULL;
	e = calloc(1, sizeof(*e) + p4n_pad8(bytes));
	if (!e)
		return NULL;
	e->action = action;
	if (bytes)
		memcpy(e->data, data, bytes);
	return e;
}

/* Ids of P4Runtime's one-shots, whose number the control plane bounds. */
#define UNBOUNDED_IDS 0x80000000u

static bool is_full(const struct p4n_profile *p, uint32_t id, uint32_t n)
{
	return id < UNBOUNDED_IDS && p->desc->max_size && n >= p->desc->max_size;
}

static enum p4n_status insert_member(struct p4n_profile *p, uint32_t id, struct p4n_entry *action)
{
	struct p4n_member *m;

	if (find_member(p, id))
		return P4N_EXISTS;
	if (is_full(p, id, p->n_members))
		return P4N_FULL;
	m = calloc(1, sizeof(*m));
	if (!m)
		return P4N_NO_MEMORY;
	m->id = id;
	atomic_store(&m->action, action);
	if (!insert_sorted((void ***)(void *)&p->members, &p->n_members,
			   offsetof(struct p4n_member, id), id, m)) {
		free(m);
		return P4N_NO_MEMORY;
	}
	return P4N_OK;
}

static enum p4n_status modify_member(struct p4n_profile *p, uint32_t id, struct p4n_entry *action)
{
	struct p4n_member *m = find_member(p, id);

	if (!m)
		return P4N_MISSING;
	p4n_retire(&p->inst->limbo, p4n_free_plain, NULL,
		   atomic_exchange(&m->action, action), 128);
	return P4N_OK;
}

/* op: 1 insert, 2 modify (records.Op). */
P4N_EXPORT int p4n_member_write(struct p4n_instance *inst, uint32_t profile, int op, uint32_t id,
				uint32_t action, const uint8_t *data, uint32_t bytes)
{
	struct p4n_profile *p = inst->profiles[profile];
	struct p4n_entry *e;
	enum p4n_status s;

	pthread_mutex_lock(&inst->lock);
	e = new_action(p, action, data, bytes);
	s = !e ? P4N_BAD_ACTION : op == 1 ? insert_member(p, id, e) : modify_member(p, id, e);
	if (s != P4N_OK)
		free(e);
	p4n_limbo_flush(&inst->limbo);
	pthread_mutex_unlock(&inst->lock);
	return (int)s;
}

static void free_member(void *owner, void *what)
{
	struct p4n_member *m = what;

	(void)owner;
	free(atomic_load(&m->action));
	free(m);
}

P4N_EXPORT int p4n_member_delete(struct p4n_instance *inst, uint32_t profile, uint32_t id)
{
	struct p4n_profile *p = inst->profiles[profile];
	enum p4n_status s = P4N_OK;
	struct p4n_member *m;

	pthread_mutex_lock(&inst->lock);
	m = find_member(p, id);
	if (!m) {
		s = P4N_MISSING;
	} else if (m->refs) {
		s = P4N_IN_USE;
	} else {
		remove_sorted((void **)p->members, &p->n_members,
			      offsetof(struct p4n_member, id), id);
		p4n_retire(&inst->limbo, free_member, NULL, m, sizeof(*m));
		p4n_limbo_flush(&inst->limbo);
	}
	pthread_mutex_unlock(&inst->lock);
	return (int)s;
}

/* The member with the lowest id >= *id: fills id, action and data (at most 64 KiB); data length, or
 * -1 when there is none. */
P4N_EXPORT int p4n_member_next(struct p4n_instance *inst, uint32_t profile, uint32_t *id,
			       uint32_t *action, uint8_t *data)
{
	struct p4n_profile *p = inst->profiles[profile];
	int bytes = -1;
	uint32_t at;

	pthread_mutex_lock(&inst->lock);
	at = position((void *const *)p->members, p->n_members, offsetof(struct p4n_member, id),
		      *id);
	if (at < p->n_members) {
		struct p4n_entry *e = atomic_load(&p->members[at]->action);

		*id = p->members[at]->id;
		*action = e->action;
		bytes = (int)p4n_find_action(inst, e->action)->data_bytes;
		memcpy(data, e->data, (size_t)bytes);
	}
	pthread_mutex_unlock(&inst->lock);
	return bytes;
}

/* --- groups ------------------------------------------------------------------------------------ */

static bool choose(struct p4n_profile *p, struct p4n_selector_group *g)
{
	struct p4n_device *dev = p->inst->device;
	struct p4n_choice *c;
	uint64_t total = 0;

	for (uint32_t i = 0; i < g->n; i++)
		total += g->members[i].weight;
	if (total > 1u << 20)
		return false;
	c = malloc(sizeof(*c) + total * sizeof(c->member[0]));
	if (!c)
		return false;
	c->n = 0;
	for (uint32_t i = 0; i < g->n; i++) {
		const struct p4n_group_member *m = &g->members[i];

		if (m->watch != P4N_NONE && !p4n_device_port_up(dev, m->watch))
			continue;
		for (uint32_t j = 0; j < m->weight; j++)
			c->member[c->n++] = find_member(p, m->member);
	}
	p4n_retire(&p->inst->limbo, p4n_free_plain, NULL, atomic_exchange(&g->choice, c), 64);
	return true;
}

static void count_refs(struct p4n_profile *p, const struct p4n_group_member *members, uint32_t n,
		       int32_t by)
{
	for (uint32_t i = 0; i < n; i++)
		find_member(p, members[i].member)->refs += (uint32_t)by;
}

static enum p4n_status set_members(struct p4n_profile *p, struct p4n_selector_group *g,
				   const struct p4n_group_member *members, uint32_t n)
{
	struct p4n_group_member *copy = malloc((n + 1) * sizeof(*copy)), *old = g->members;
	uint32_t old_n = g->n;

	if (!copy)
		return P4N_NO_MEMORY;
	if (n)
		memcpy(copy, members, n * sizeof(*copy));
	g->members = copy;
	g->n = n;
	if (!choose(p, g)) {
		g->members = old;
		g->n = old_n;
		free(copy);
		return P4N_FULL;
	}
	count_refs(p, copy, n, 1);
	count_refs(p, old, old_n, -1);
	free(old);
	return P4N_OK;
}

static enum p4n_status check_members(struct p4n_profile *p, const struct p4n_group_member *members,
				     uint32_t n, uint32_t max_size)
{
	uint64_t total = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (!find_member(p, members[i].member))
			return P4N_MISSING;
		if (!members[i].weight)
			return P4N_BAD_RECORD;
		total += members[i].weight;
	}
	return max_size && total > max_size ? P4N_FULL : P4N_OK;
}

static void free_group(void *owner, void *what)
{
	struct p4n_selector_group *g = what;

	(void)owner;
	free(atomic_load(&g->choice));
	free(g->members);
	free(g);
}

static enum p4n_status insert_group(struct p4n_profile *p, uint32_t id, uint32_t max_size,
				    const struct p4n_group_member *members, uint32_t n)
{
	struct p4n_selector_group *g;
	enum p4n_status s;

	if (find_group(p, id))
		return P4N_EXISTS;
	if (is_full(p, id, p->n_groups))
		return P4N_FULL;
	g = calloc(1, sizeof(*g));
	if (!g)
		return P4N_NO_MEMORY;
	g->id = id;
	g->max_size = max_size;
	s = set_members(p, g, members, n);
	if (s == P4N_OK && !insert_sorted((void ***)(void *)&p->groups, &p->n_groups,
					  offsetof(struct p4n_selector_group, id), id, g)) {
		count_refs(p, members, n, -1);
		s = P4N_NO_MEMORY;
	}
	if (s != P4N_OK)
		free_group(NULL, g);
	return s;
}

/* op: 1 insert, 2 modify. */
P4N_EXPORT int p4n_group_write(struct p4n_instance *inst, uint32_t profile, int op, uint32_t id,
			       uint32_t max_size, const struct p4n_group_member *members,
			       uint32_t n)
{
	struct p4n_profile *p = inst->profiles[profile];
	struct p4n_selector_group *g;
	enum p4n_status s;

	pthread_mutex_lock(&inst->lock);
	s = check_members(p, members, n, max_size);
	g = find_group(p, id);
	if (s == P4N_OK && op == 1) {
		s = insert_group(p, id, max_size, members, n);
	} else if (s == P4N_OK) {
		s = g ? set_members(p, g, members, n) : P4N_MISSING;
		if (s == P4N_OK)
			g->max_size = max_size;
	}
	p4n_limbo_flush(&inst->limbo);
	pthread_mutex_unlock(&inst->lock);
	return (int)s;
}

P4N_EXPORT int p4n_group_delete(struct p4n_instance *inst, uint32_t profile, uint32_t id)
{
	struct p4n_profile *p = inst->profiles[profile];
	enum p4n_status s = P4N_OK;
	struct p4n_selector_group *g;

	pthread_mutex_lock(&inst->lock);
	g = find_group(p, id);
	if (!g) {
		s = P4N_MISSING;
	} else if (g->refs) {
		s = P4N_IN_USE;
	} else {
		remove_sorted((void **)p->groups, &p->n_groups,
			      offsetof(struct p4n_selector_group, id), id);
		count_refs(p, g->members, g->n, -1);
		p4n_retire(&inst->limbo, free_group, NULL, g, sizeof(*g));
		p4n_limbo_flush(&inst->limbo);
	}
	pthread_mutex_unlock(&inst->lock);
	return (int)s;
}

/* The group with the lowest id >= *id: its size and members (at most cap); their number, or -1. */
P4N_EXPORT int p4n_group_next(struct p4n_instance *inst, uint32_t profile, uint32_t *id,
			      uint32_t *max_size, struct p4n_group_member *members, uint32_t cap)
{
	struct p4n_profile *p = inst->profiles[profile];
	int n = -1;
	uint32_t at;

	pthread_mutex_lock(&inst->lock);
	at = position((void *const *)p->groups, p->n_groups,
		      offsetof(struct p4n_selector_group, id), *id);
	if (at < p->n_groups) {
		const struct p4n_selector_group *g = p->groups[at];

		*id = g->id;
		*max_size = g->max_size;
		n = (int)g->n;
		memcpy(members, g->members, (g->n < cap ? g->n : cap) * sizeof(*members));
	}
	pthread_mutex_unlock(&inst->lock);
	return n;
}

/* --- used by tables and ports ------------------------------------------------------------------ */

enum p4n_status p4n_profile_bind(struct p4n_profile *p, struct p4n_entry *e)
{
	struct p4n_selector_group *g = NULL;
	struct p4n_member *m = NULL;
	void *target;

	if (e->flags & P4N_ENTRY_GROUP) {
		g = find_group(p, e->action);
		if (g)
			g->refs++;
	} else {
		m = find_member(p, e->action);
		if (m)
			m->refs++;
	}
	if (!g && !m)
		return P4N_MISSING;
	target = g ? (void *)g : (void *)m;
	memcpy(e->data, &target, sizeof(target));
	return P4N_OK;
}

void p4n_profile_unbind(struct p4n_profile *p, struct p4n_entry *e)
{
	void *target;

	(void)p;
	memcpy(&target, e->data, sizeof(target));
	if (e->flags & P4N_ENTRY_GROUP)
		((struct p4n_selector_group *)target)->refs--;
	else
		((struct p4n_member *)target)->refs--;
}

void p4n_profile_port_changed(struct p4n_profile *p)
{
	for (uint32_t i = 0; i < p->n_groups; i++)
		(void)choose(p, p->groups[i]);
}

struct p4n_profile *p4n_profile_create(struct p4n_instance *inst, uint32_t index)
{
	struct p4n_profile *p = calloc(1, sizeof(*p));

	if (p) {
		p->inst = inst;
		p->desc = &inst->pipeline->profiles[index];
	}
	return p;
}

void p4n_profile_destroy(struct p4n_profile *p)
{
	for (uint32_t i = 0; i < p->n_groups; i++)
		free_group(NULL, p->groups[i]);
	for (uint32_t i = 0; i < p->n_members; i++)
		free_member(NULL, p->members[i]);
	free(p->groups);
	free(p->members);
	free(p);
}
