/* Longest prefix match: a tree bitmap that consumes 4 bits per node, and in nodes where the prefixes
 * below have more in common, up to 64 more.
 *
 * A node holds the prefixes of length 0 to 3 that end in it and its children, both as bitmaps over
 * one packed array of pointers. Nodes never change, apart from the pointers; a change of shape makes
 * a new node and swaps one pointer. So a lookup is at most width / 4 + 1 dependent steps, whatever
 * the routes. Tables with exact fields too have one tree per value of those, found by hash.
 *
 * What is to be seen at once is staged: the nodes on the way to each change are copied first, once per
 * stage, under a root that packets do not see before it is published. */
#include <stdlib.h>

#include "internal.h"

#define MAX_KEY 1024u /* bytes, all fields */

#define MAX_SKIP 16u

struct p4n_node {
	uint64_t stage;    /* in which it was made: while that lasts, packets do not see it */
	uint64_t path;     /* nibbles to match before the node's own, the first in the highest bits */
	uint32_t skip;     /* so many of them */
	uint16_t children; /* bit n: the subtree of nibble n */
	uint16_t leaves;   /* bit (1 << len | value) - 1: a prefix of len bits ends here */
	void *_Atomic ptr[]; /* children by nibble, then entries by bit */
};

/* next, other: only in the stage that it last had a part in. */
struct p4n_tree {
	struct p4n_node *_Atomic root;
	struct p4n_node *_Atomic next; /* what the root is going to be */
	struct p4n_tree *other;	       /* staged before it */
	uint64_t stage;
};

struct p4n_trie {
	struct p4n_limbo *limbo;
	uint64_t stage; /* the present one, or the next */
	bool staging;
	struct p4n_tree *staged;
	uint32_t key_off;
	uint32_t key_pad;
	uint32_t off, bytes; /* of the lpm field in the key */
	uint32_t skip;       /* bits before the field's first one */
	bool rooted;         /* has exact fields: roots by hash */
	struct p4n_tree tree;
	struct p4n_hash roots; /* p4n_entry.data: the tree, then the key without the lpm field */
	struct p4n_hash_writer roots_writer;
	struct p4n_slab root_slab;
};

/* Prefixes of length 0 to 3 that a nibble has, as bits of `leaves`. */
static inline uint32_t ancestors(uint32_t nibble)
{
	return 1u | 1u << (1 + (nibble >> 3)) | 1u << (3 + (nibble >> 2)) |
	       1u << (7 + (nibble >> 1));
}

static inline uint32_t nibble_at(const uint8_t *bytes, uint32_t i)
{
	return i & 1 ? bytes[i >> 1] & 15u : bytes[i >> 1] >> 4;
}

static inline uint32_t rank(uint32_t bitmap, uint32_t bit)
{
	return (uint32_t)__builtin_popcount(bitmap & ((1u << bit) - 1));
}

static inline uint32_t n_children(const struct p4n_node *n)
{
	return (uint32_t)__builtin_popcount(n->children);
}

static inline void *load(const struct p4n_node *n, uint32_t i)
{
	return atomic_load_explicit((void *_Atomic *)(uintptr_t)&n->ptr[i], memory_order_acquire);
}

static inline uint32_t path_nibble(const struct p4n_node *n, uint32_t i)
{
	return (uint32_t)(n->path >> (60 - 4 * i)) & 15u;
}

/* Nibbles of the node's path that the field has at `depth`, looking at `most` at most. */
static inline uint32_t common(const struct p4n_node *n, const uint8_t *field, uint32_t depth,
			      uint32_t most)
{
	uint32_t i = 0;

	while (i < most && nibble_at(field, depth + i) == path_nibble(n, i))
		i++;
	return i;
}

static struct p4n_entry *search(const struct p4n_node *n, const uint8_t *field, uint32_t bytes)
{
	const struct p4n_node *best = NULL;
	uint32_t best_at = 0;

	for (uint32_t i = 0; n; i++) {
		uint32_t nibble, hit;

		if (n->skip) {
			if (common(n, field, i, n->skip) < n->skip)
				break;
			i += n->skip;
		}
		if (i == bytes * 2) { /* the whole field: only the prefix of length 0 is left */
			if (n->leaves & 1) {
				best = n;
				best_at = n_children(n);
			}
			break;
		}
		nibble = nibble_at(field, i);
		hit = n->leaves & ancestors(nibble);
		if (hit) {
			best = n;
			best_at = n_children(n) + rank(n->leaves, 31 - (uint32_t)__builtin_clz(hit));
		}
		if (!(n->children >> nibble & 1))
			break;
		n = load(n, rank(n->children, nibble));
	}
	return best ? load(best, best_at) : NULL;
}

/* The key with the lpm field zeroed: what the roots are found by. */
static inline void exact_part(const struct p4n_trie *t, const uint8_t *key, uint8_t *out)
{
	memcpy(out, key, t->key_pad);
	memset(out + t->off, 0, t->bytes);
}

static inline struct p4n_tree *held_tree(struct p4n_entry *holder)
{
	return (struct p4n_tree *)(void *)holder->data;
}

P4N_EXPORT const struct p4n_entry *p4n_lpm_lookup(struct p4n_table *t, const uint8_t *key,
						  uint32_t key_bytes)
{
	struct p4n_trie *trie = atomic_load_explicit(&t->trie, memory_order_acquire);
	uint8_t exact[MAX_KEY] __attribute__((aligned(8)));
	struct p4n_entry *holder;

	(void)key_bytes;
	if (!trie->rooted)
		return search(atomic_load_explicit(&trie->tree.root, memory_order_acquire),
			      key + trie->off, trie->bytes);
	exact_part(trie, key, exact);
	holder = p4n_hash_find(&trie->roots, exact, trie->key_pad / 8);
	if (!holder)
		return NULL;
	return search(atomic_load_explicit(&held_tree(holder)->root, memory_order_acquire),
		      key + trie->off, trie->bytes);
}

struct p4n_trie *p4n_trie_create(const struct p4n_table_desc *desc, struct p4n_limbo *limbo,
				 uint32_t key_off)
{
	const struct p4n_key_field *f = &desc->fields[desc->lpm_field];
	struct p4n_trie *t = calloc(1, sizeof(*t));

	if (!t || p4n_pad8(desc->key_bytes) > MAX_KEY) {
		free(t);
		return NULL;
	}
	t->limbo = limbo;
	t->key_off = key_off;
	t->key_pad = p4n_pad8(desc->key_bytes);
	t->off = f->offset;
	t->bytes = f->bytes;
	t->skip = f->bytes * 8 - f->width;
	t->rooted = desc->n_fields > 1;
	t->stage = 1;
	p4n_slab_init(&t->root_slab,
		      (uint32_t)(sizeof(struct p4n_entry) + sizeof(struct p4n_tree)) + t->key_pad);
	if (t->rooted && !p4n_hash_init(&t->roots_writer, &t->roots, limbo,
					sizeof(struct p4n_tree), t->key_pad)) {
		free(t);
		return NULL;
	}
	return t;
}

static struct p4n_node *new_node(const struct p4n_trie *t, uint32_t children, uint32_t leaves,
				 uint64_t path, uint32_t skip)
{
	uint32_t n = (uint32_t)(__builtin_popcount(children) + __builtin_popcount(leaves));
	struct p4n_node *node = calloc(1, sizeof(*node) + n * sizeof(void *));

	if (node) {
		node->stage = t->staging ? t->stage : 0;
		node->children = (uint16_t)children;
		node->leaves = (uint16_t)leaves;
		node->path = path;
		node->skip = skip;
	}
	return node;
}

/* A copy of `n` with other bitmaps, without the first `cut` nibbles of its path: pointers that are
 * in both move, new ones are NULL. */
static struct p4n_node *reshape(const struct p4n_trie *t, const struct p4n_node *n,
				uint32_t children, uint32_t leaves, uint32_t cut)
{
	uint64_t path = cut < MAX_SKIP ? n->path << 4 * cut : 0;
	struct p4n_node *copy = new_node(t, children, leaves, path, n->skip - cut);

	for (uint32_t bit = 0; copy && bit < 16; bit++) {
		if (n->children & children & 1u << bit)
			atomic_init(&copy->ptr[rank(children, bit)], load(n, rank(n->children, bit)));
		if (n->leaves & leaves & 1u << bit)
			atomic_init(&copy->ptr[n_children(copy) + rank(leaves, bit)],
				    load(n, n_children(n) + rank(n->leaves, bit)));
	}
	return copy;
}

/* Where a prefix ends: nodes to pass, and the bit in the last one. */
struct place {
	uint32_t depth;
	uint32_t bit;
};

static struct place place_of(const struct p4n_trie *t, const struct p4n_entry *e)
{
	const uint8_t *field = e->data + t->key_off + t->off;
	uint32_t bits = e->prefix_len + t->skip;
	uint32_t rest = bits & 3;
	struct place p = {.depth = bits / 4, .bit = (1u << rest) - 1};

	if (rest)
		p.bit += nibble_at(field, p.depth) >> (4 - rest);
	return p;
}

static uint64_t path_of(const uint8_t *field, uint32_t from, uint32_t n)
{
	uint64_t path = 0;

	for (uint32_t i = 0; i < n; i++)
		path |= (uint64_t)nibble_at(field, from + i) << (60 - 4 * i);
	return path;
}

/* New nodes for the nibbles from depth `from` down to the entry's own: mostly a single one. */
static struct p4n_node *chain(const struct p4n_trie *t, struct p4n_entry *e, struct place p,
			      uint32_t from)
{
	const uint8_t *field = e->data + t->key_off + t->off;
	uint32_t at = p.depth - from > MAX_SKIP ? p.depth - MAX_SKIP : from;
	struct p4n_node *n =
		new_node(t, 0, 1u << p.bit, path_of(field, at, p.depth - at), p.depth - at);

	if (n)
		atomic_init(&n->ptr[0], e);
	while (n && at > from) {
		uint32_t own = at - 1; /* this nibble chooses the child, those before it are path */
		struct p4n_node *up;

		at = own - from > MAX_SKIP ? own - MAX_SKIP : from;
		up = new_node(t, 1u << nibble_at(field, own), 0, path_of(field, at, own - at),
			      own - at);
		if (!up) {
			free(n); /* out of memory: what hangs below it is lost, nothing is visible */
			return NULL;
		}
		atomic_init(&up->ptr[0], n);
		n = up;
	}
	return n;
}

static void swap_node(struct p4n_trie *t, void *_Atomic *slot, struct p4n_node *from,
		      struct p4n_node *to)
{
	bool unseen = from && t->staging && from->stage == t->stage;

	atomic_store_explicit(slot, to, memory_order_release);
	if (unseen)
		free(from);
	else if (from)
		p4n_retire(t->limbo, p4n_free_plain, NULL, from, 160);
}

/* The node, ours to change the pointers of: while changes are staged, a copy that packets do not see.
 * NULL without memory. */
static struct p4n_node *own_node(struct p4n_trie *t, void *_Atomic *slot)
{
	struct p4n_node *n = atomic_load(slot), *copy;

	if (!t->staging || n->stage == t->stage)
		return n;
	copy = reshape(t, n, n->children, n->leaves, 0);
	if (copy)
		swap_node(t, slot, n, copy);
	return copy;
}

/* The prefix leaves n's path after `same` nibbles: a node for what they share takes n's place. */
static struct p4n_node *split(const struct p4n_trie *t, struct p4n_entry *e, struct place p,
			      const struct p4n_node *n, uint32_t depth, uint32_t same)
{
	const uint8_t *field = e->data + t->key_off + t->off;
	bool ends = depth + same == p.depth;
	uint32_t old = path_nibble(n, same), own = ends ? old : nibble_at(field, depth + same);
	struct p4n_node *upper = new_node(t, 1u << old | 1u << own, ends ? 1u << p.bit : 0,
					  path_of(field, depth, same), same);
	struct p4n_node *lower = reshape(t, n, n->children, n->leaves, same + 1);
	struct p4n_node *below = ends ? NULL : chain(t, e, p, depth + same + 1);

	if (!upper || !lower || (!ends && !below)) {
		free(upper);
		free(lower);
		free(below);
		return NULL;
	}
	atomic_init(&upper->ptr[rank(upper->children, old)], lower);
	if (ends)
		atomic_init(&upper->ptr[1], e);
	else
		atomic_init(&upper->ptr[rank(upper->children, own)], below);
	return upper;
}

/* What n becomes with the entry in it, or with the entry's chain below it. */
static struct p4n_node *extend(const struct p4n_trie *t, struct p4n_entry *e, struct place p,
			       const struct p4n_node *n, uint32_t depth)
{
	uint32_t nibble = 0;
	struct p4n_node *fresh, *below = NULL;

	if (depth == p.depth) {
		fresh = reshape(t, n, n->children, n->leaves | 1u << p.bit, 0);
		if (fresh)
			atomic_init(&fresh->ptr[n_children(fresh) + rank(fresh->leaves, p.bit)], e);
		return fresh;
	}
	nibble = nibble_at(e->data + t->key_off + t->off, depth);
	below = chain(t, e, p, depth + 1);
	fresh = below ? reshape(t, n, n->children | 1u << nibble, n->leaves, 0) : NULL;
	if (fresh)
		atomic_init(&fresh->ptr[rank(fresh->children, nibble)], below);
	return fresh;
}

static bool insert_at(struct p4n_trie *t, void *_Atomic *slot, struct p4n_entry *e)
{
	const uint8_t *field = e->data + t->key_off + t->off;
	struct place p = place_of(t, e);
	struct p4n_node *n = atomic_load(slot), *fresh = NULL;
	uint32_t depth = 0;

	while (n) {
		uint32_t left = p.depth - depth, most = n->skip < left ? n->skip : left;
		uint32_t same = common(n, field, depth, most), nibble;

		if (same < n->skip) {
			fresh = split(t, e, p, n, depth, same);
			break;
		}
		depth += n->skip;
		nibble = depth < p.depth ? nibble_at(field, depth) : 0;
		if (depth == p.depth || !(n->children >> nibble & 1)) {
			fresh = extend(t, e, p, n, depth);
			break;
		}
		n = own_node(t, slot);
		if (!n)
			return false;
		slot = &n->ptr[rank(n->children, nibble)];
		n = atomic_load(slot);
		depth++;
	}
	if (!n)
		fresh = chain(t, e, p, depth);
	if (!fresh)
		return false;
	swap_node(t, slot, n, fresh);
	return true;
}

/* The entry of the exact fields' tree; makes one when asked to. */
static struct p4n_entry *holder_of(struct p4n_trie *t, const struct p4n_entry *e, bool make)
{
	uint8_t exact[MAX_KEY] __attribute__((aligned(8)));
	struct p4n_entry *holder;

	exact_part(t, e->data + t->key_off, exact);
	holder = p4n_hash_find(&t->roots, exact, t->key_pad / 8);
	if (holder || !make)
		return holder;
	holder = p4n_slab_alloc(&t->root_slab);
	if (!holder)
		return NULL;
	memcpy(holder->data + sizeof(struct p4n_tree), exact, t->key_pad);
	if (!p4n_hash_insert(&t->roots_writer, holder)) {
		p4n_slab_free(&t->root_slab, holder);
		return NULL;
	}
	return holder;
}

static struct p4n_tree *tree_of(struct p4n_trie *t, const struct p4n_entry *e, bool make)
{
	struct p4n_entry *holder;

	if (!t->rooted)
		return &t->tree;
	holder = holder_of(t, e, make);
	return holder ? held_tree(holder) : NULL;
}

/* Where changes of the tree begin. */
static void *_Atomic *top_of(struct p4n_trie *t, struct p4n_tree *tree)
{
	if (!t->staging)
		return (void *_Atomic *)(void *)&tree->root;
	if (tree->stage != t->stage) {
		tree->stage = t->stage;
		tree->other = t->staged;
		t->staged = tree;
		atomic_store(&tree->next, atomic_load(&tree->root));
	}
	return (void *_Atomic *)(void *)&tree->next;
}

/* Nobody looks for anything in an empty one. */
static void forget_empty(struct p4n_trie *t, struct p4n_tree *tree)
{
	struct p4n_entry *holder;

	if (!t->rooted || atomic_load(&tree->root))
		return;
	holder = (struct p4n_entry *)(void *)((uint8_t *)tree - offsetof(struct p4n_entry, data));
	p4n_hash_remove(&t->roots_writer, holder);
	p4n_retire(t->limbo, p4n_slab_free, &t->root_slab, holder, t->root_slab.stride);
}

void p4n_trie_stage(struct p4n_trie *t)
{
	t->staging = true;
}

void p4n_trie_publish(struct p4n_trie *t)
{
	for (struct p4n_tree *tree = t->staged; tree; tree = tree->other) {
		atomic_store_explicit(&tree->root, atomic_load(&tree->next), memory_order_release);
		forget_empty(t, tree);
	}
	t->stage += t->staging;
	t->staging = false;
	t->staged = NULL;
}

bool p4n_trie_insert(struct p4n_trie *t, struct p4n_entry *e)
{
	struct p4n_tree *tree = tree_of(t, e, true);

	return tree && insert_at(t, top_of(t, tree), e);
}

/* Takes the entry out below `slot`, and every node that is empty then. False without memory. */
static bool remove_at(struct p4n_trie *t, void *_Atomic *slot, const struct p4n_entry *e,
		      struct place p, uint32_t depth)
{
	struct p4n_node *n = own_node(t, slot), *fresh = NULL;
	uint32_t children = n ? n->children : 0, leaves = n ? n->leaves : 0;

	if (!n)
		return false;
	depth += n->skip;
	if (depth == p.depth) {
		leaves &= ~(1u << p.bit);
	} else {
		uint32_t nibble = nibble_at(e->data + t->key_off + t->off, depth);
		void *_Atomic *below = &n->ptr[rank(n->children, nibble)];

		if (!remove_at(t, below, e, p, depth + 1))
			return false;
		if (atomic_load(below))
			return true;
		children &= ~(1u << nibble);
	}
	if (children || leaves) {
		fresh = reshape(t, n, children, leaves, 0);
		if (!fresh)
			return false;
	}
	swap_node(t, slot, n, fresh);
	return true;
}

bool p4n_trie_remove(struct p4n_trie *t, struct p4n_entry *e)
{
	struct p4n_tree *tree = tree_of(t, e, false);

	if (!remove_at(t, top_of(t, tree), e, place_of(t, e), 0))
		return false;
	if (!t->staging)
		forget_empty(t, tree);
	return true;
}

bool p4n_trie_replace(struct p4n_trie *t, struct p4n_entry *from, struct p4n_entry *to)
{
	const uint8_t *field = from->data + t->key_off + t->off;
	struct place p = place_of(t, from);
	struct p4n_node *n = own_node(t, top_of(t, tree_of(t, from, false)));

	for (uint32_t depth = n ? n->skip : 0; n && depth < p.depth; depth += 1 + n->skip) {
		n = own_node(t, &n->ptr[rank(n->children, nibble_at(field, depth))]);
		if (!n)
			return false;
	}
	if (n)
		atomic_store_explicit(&n->ptr[n_children(n) + rank(n->leaves, p.bit)], to,
				      memory_order_release);
	return n != NULL;
}

static void free_tree(struct p4n_node *n)
{
	if (!n)
		return;
	for (uint32_t i = 0; i < n_children(n); i++)
		free_tree(load(n, i));
	free(n);
}

static void free_roots(struct p4n_trie *t)
{
	struct p4n_hash_array *roots;

	p4n_hash_settle(&t->roots_writer);
	roots = atomic_load(&t->roots.cur);
	for (uint64_t i = 0; i <= roots->mask; i++)
		for (uint32_t j = 0; j < P4N_BUCKET_SLOTS; j++) {
			uint64_t s = atomic_load(&roots->buckets[i].slot[j]);

			if (!s)
				continue;
			free_tree(atomic_load(&held_tree(p4n_slot_entry(s))->root));
			p4n_slab_free(&t->root_slab, p4n_slot_entry(s));
		}
	p4n_hash_destroy(&t->roots_writer);
}

void p4n_trie_destroy(struct p4n_trie *t)
{
	free_tree(atomic_load(&t->tree.root));
	if (t->rooted)
		free_roots(t);
	p4n_slab_destroy(&t->root_slab);
	free(t);
}
