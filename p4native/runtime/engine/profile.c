/* Action profiles and selectors: members, weighted groups, watch ports. */
#include <stdlib.h>

#include "batch.h"

P4N_EXPORT const struct p4n_entry *p4n_resolve_member(struct p4n_table *t,
						      const struct p4n_entry *e, uint32_t hash)
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

/* The array never shrinks: what was taken out always finds its place again. */
static bool insert_sorted(void ***array, uint32_t *n, uint32_t *cap, size_t off, uint32_t id,
			  void *what)
{
	uint32_t at = position(*array, *n, off, id);

	if (*n == *cap) {
		void **more = realloc(*array, (*cap + 64) * sizeof(void *));

		if (!more)
			return false;
		*array = more;
		*cap += 64;
	}
	memmove(*array + at + 1, *array + at, (*n - at) * sizeof(void *));
	(*array)[at] = what;
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

static bool keep_member(struct p4n_profile *p, struct p4n_member *m)
{
	return insert_sorted((void ***)(void *)&p->members, &p->n_members, &p->cap_members,
			     offsetof(struct p4n_member, id), m->id, m);
}

static void drop_member(struct p4n_profile *p, const struct p4n_member *m)
{
	remove_sorted((void **)p->members, &p->n_members, offsetof(struct p4n_member, id), m->id);
}

static void free_member(void *owner, void *what)
{
	struct p4n_member *m = what;

	(void)owner;
	free(atomic_load(&m->action));
	free(m);
}

static void undo_insert_member(struct p4n_instance *inst, struct p4n_change *c)
{
	struct p4n_member *m = c->to;

	drop_member(c->object, m);
	p4n_retire(&inst->limbo, free_member, NULL, m, sizeof(*m));
}

static void undo_delete_member(struct p4n_instance *inst, struct p4n_change *c)
{
	(void)inst;
	(void)keep_member(c->object, c->from);
}

static void settle_delete_member(struct p4n_instance *inst, struct p4n_change *c)
{
	p4n_retire(&inst->limbo, free_member, NULL, c->from, sizeof(struct p4n_member));
}

static enum p4n_status insert_member(struct p4n_profile *p, uint32_t id, struct p4n_entry *action,
				     struct p4n_change *c)
{
	struct p4n_member *m;

	if (is_full(p, id, p->n_members))
		return P4N_FULL;
	m = calloc(1, sizeof(*m));
	if (!m)
		return P4N_NO_MEMORY;
	m->id = id;
	atomic_store(&m->action, action);
	if (!keep_member(p, m)) {
		free(m);
		return P4N_NO_MEMORY;
	}
	*c = (struct p4n_change){NULL, undo_insert_member, c->record, p, NULL, m};
	return P4N_OK;
}

static enum p4n_status write_member(struct p4n_profile *p, const struct p4n_record *h,
				    struct p4n_change *c)
{
	struct p4n_member *m = find_member(p, (uint32_t)h->handle);
	struct p4n_entry *action;
	enum p4n_status s;

	if (h->op == OP_MEMBER_INSERT ? m != NULL : !m)
		return m ? P4N_EXISTS : P4N_MISSING;
	action = new_action(p, h->action, p4n_payload(h), h->data_bytes);
	if (!action)
		return P4N_BAD_ACTION;
	if (m) {
		p4n_put(c, &m->action, action);
		return P4N_OK;
	}
	s = insert_member(p, (uint32_t)h->handle, action, c);
	if (s != P4N_OK)
		free(action);
	return s;
}

static enum p4n_status delete_member(struct p4n_profile *p, const struct p4n_record *h,
				     struct p4n_change *c)
{
	struct p4n_member *m = find_member(p, (uint32_t)h->handle);

	if (!m || m->refs)
		return m ? P4N_IN_USE : P4N_MISSING;
	drop_member(p, m);
	*c = (struct p4n_change){settle_delete_member, undo_delete_member, h, p, m, NULL};
	return P4N_OK;
}

enum p4n_status p4n_member_op(struct p4n_instance *inst, const struct p4n_record *h,
			      struct p4n_change *c)
{
	struct p4n_profile *p;

	if (h->table >= inst->pipeline->n_profiles || !p4n_payload_is(h, 1, h->data_bytes))
		return P4N_BAD_RECORD;
	p = inst->profiles[h->table];
	return h->op == OP_MEMBER_DELETE ? delete_member(p, h, c) : write_member(p, h, c);
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

/* Weights of one group together: its choice is an array of as many. */
#define MAX_WEIGHT (1u << 20)

/* The members that are left while ports are as they are; NULL without memory. */
static struct p4n_choice *choose(struct p4n_profile *p, const struct p4n_selector_group *g)
{
	struct p4n_device *dev = p->inst->device;
	struct p4n_choice *c;
	uint64_t total = 0;

	for (uint32_t i = 0; i < g->n; i++)
		total += g->members[i].weight;
	c = malloc(sizeof(*c) + total * sizeof(c->member[0]));
	if (!c)
		return NULL;
	c->n = 0;
	for (uint32_t i = 0; i < g->n; i++) {
		const struct p4n_group_member *m = &g->members[i];

		if (m->watch != P4N_NONE && !p4n_device_port_up(dev, m->watch))
			continue;
		for (uint32_t j = 0; j < m->weight; j++)
			c->member[c->n++] = find_member(p, m->member);
	}
	return c;
}

static void retire_choice(struct p4n_profile *p, struct p4n_choice *c)
{
	p4n_retire(&p->inst->limbo, p4n_free_plain, NULL, c, 64);
}

static void count_refs(struct p4n_profile *p, const struct p4n_group_member *members, uint32_t n,
		       int32_t by)
{
	for (uint32_t i = 0; i < n; i++)
		find_member(p, members[i].member)->refs += (uint32_t)by;
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
	return total > MAX_WEIGHT || (max_size && total > max_size) ? P4N_FULL : P4N_OK;
}

static bool keep_group(struct p4n_profile *p, struct p4n_selector_group *g)
{
	return insert_sorted((void ***)(void *)&p->groups, &p->n_groups, &p->cap_groups,
			     offsetof(struct p4n_selector_group, id), g->id, g);
}

static void drop_group(struct p4n_profile *p, const struct p4n_selector_group *g)
{
	remove_sorted((void **)p->groups, &p->n_groups, offsetof(struct p4n_selector_group, id),
		      g->id);
}

static void free_group(void *owner, void *what)
{
	struct p4n_selector_group *g = what;

	(void)owner;
	free(atomic_load(&g->choice));
	free(g->members);
	free(g);
}

/* A group that no entry refers to and no list has; its references to members are not counted. */
static struct p4n_selector_group *new_group(struct p4n_profile *p, const struct p4n_record *h)
{
	struct p4n_selector_group *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->id = (uint32_t)h->handle;
	g->max_size = h->prefix_len;
	g->n = h->action;
	g->members = malloc((g->n + 1) * sizeof(*g->members));
	if (g->members && g->n)
		memcpy(g->members, p4n_payload(h), g->n * sizeof(*g->members));
	atomic_store(&g->choice, g->members ? choose(p, g) : NULL);
	if (atomic_load(&g->choice))
		return g;
	free_group(NULL, g);
	return NULL;
}

static void undo_insert_group(struct p4n_instance *inst, struct p4n_change *c)
{
	struct p4n_selector_group *g = c->to;

	count_refs(c->object, g->members, g->n, -1);
	drop_group(c->object, g);
	p4n_retire(&inst->limbo, free_group, NULL, g, sizeof(*g));
}

static void undo_delete_group(struct p4n_instance *inst, struct p4n_change *c)
{
	struct p4n_selector_group *g = c->from;

	(void)inst;
	(void)keep_group(c->object, g);
	count_refs(c->object, g->members, g->n, 1);
}

static void settle_delete_group(struct p4n_instance *inst, struct p4n_change *c)
{
	p4n_retire(&inst->limbo, free_group, NULL, c->from, sizeof(struct p4n_selector_group));
}

/* What a group is made of goes to another one, and the other's to it. */
static void swap(struct p4n_profile *p, struct p4n_selector_group *g, struct p4n_selector_group *o)
{
	struct p4n_group_member *members = g->members;
	uint32_t n = g->n, max_size = g->max_size;

	count_refs(p, o->members, o->n, 1);
	count_refs(p, g->members, g->n, -1);
	g->members = o->members;
	g->n = o->n;
	g->max_size = o->max_size;
	o->members = members;
	o->n = n;
	o->max_size = max_size;
	atomic_store(&o->choice, atomic_exchange(&g->choice, atomic_load(&o->choice)));
}

static void settle_modify_group(struct p4n_instance *inst, struct p4n_change *c)
{
	p4n_retire(&inst->limbo, free_group, NULL, c->from, sizeof(struct p4n_selector_group));
}

static void undo_modify_group(struct p4n_instance *inst, struct p4n_change *c)
{
	swap(c->object, c->to, c->from);
	p4n_retire(&inst->limbo, free_group, NULL, c->from, sizeof(struct p4n_selector_group));
}

static enum p4n_status write_group(struct p4n_profile *p, const struct p4n_record *h,
				   struct p4n_change *c)
{
	struct p4n_selector_group *g = find_group(p, (uint32_t)h->handle), *made;

	if (h->op == OP_GROUP_INSERT ? g != NULL : !g)
		return g ? P4N_EXISTS : P4N_MISSING;
	if (!g && is_full(p, (uint32_t)h->handle, p->n_groups))
		return P4N_FULL;
	made = new_group(p, h);
	if (!made)
		return P4N_NO_MEMORY;
	if (g) {
		swap(p, g, made);
		*c = (struct p4n_change){settle_modify_group, undo_modify_group, h, p, made, g};
		return P4N_OK;
	}
	if (!keep_group(p, made)) {
		free_group(NULL, made);
		return P4N_NO_MEMORY;
	}
	count_refs(p, made->members, made->n, 1);
	*c = (struct p4n_change){NULL, undo_insert_group, h, p, NULL, made};
	return P4N_OK;
}

static enum p4n_status delete_group(struct p4n_profile *p, const struct p4n_record *h,
				    struct p4n_change *c)
{
	struct p4n_selector_group *g = find_group(p, (uint32_t)h->handle);

	if (!g || g->refs)
		return g ? P4N_IN_USE : P4N_MISSING;
	drop_group(p, g);
	count_refs(p, g->members, g->n, -1);
	*c = (struct p4n_change){settle_delete_group, undo_delete_group, h, p, g, NULL};
	return P4N_OK;
}

/* `handle` is the id, `action` the number of members, prefix_len the group's own bound or 0. */
enum p4n_status p4n_group_op(struct p4n_instance *inst, const struct p4n_record *h,
			     struct p4n_change *c)
{
	struct p4n_profile *p;
	enum p4n_status s;

	if (h->table >= inst->pipeline->n_profiles)
		return P4N_BAD_RECORD;
	p = inst->profiles[h->table];
	if (h->op == OP_GROUP_DELETE)
		return delete_group(p, h, c);
	if (!p4n_payload_is(h, h->action, sizeof(struct p4n_group_member)))
		return P4N_BAD_RECORD;
	s = check_members(p, (const struct p4n_group_member *)(const void *)p4n_payload(h),
			  h->action, h->prefix_len);
	return s == P4N_OK ? write_group(p, h, c) : s;
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

void p4n_profile_count(const struct p4n_entry *e, int by)
{
	void *target;

	memcpy(&target, e->data, sizeof(target));
	if (e->flags & P4N_ENTRY_GROUP)
		((struct p4n_selector_group *)target)->refs += (uint32_t)by;
	else
		((struct p4n_member *)target)->refs += (uint32_t)by;
}

void p4n_profile_port_changed(struct p4n_profile *p)
{
	for (uint32_t i = 0; i < p->n_groups; i++) {
		struct p4n_choice *c = choose(p, p->groups[i]);

		if (c)
			retire_choice(p, atomic_exchange(&p->groups[i]->choice, c));
	}
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
