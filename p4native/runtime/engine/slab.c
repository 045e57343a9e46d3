/* Fixed-size objects whose bytes from 32 on start a cache line. */
#include <stdlib.h>

#include "internal.h"

#define CHUNK_BYTES (256u << 10)
#define HOT_OFFSET 32u

void p4n_slab_init(struct p4n_slab *s, uint32_t object_bytes)
{
	memset(s, 0, sizeof(*s));
	s->stride = (object_bytes + 63u) & ~63u;
}

#if defined(__SANITIZE_ADDRESS__) || defined(P4N_PLAIN_ALLOC)
/* One allocation each, so that the sanitizer sees every use after free. */
void *p4n_slab_alloc(struct p4n_slab *s)
{
	return calloc(1, s->stride);
}

void p4n_slab_free(void *slab, void *object)
{
	(void)slab;
	free(object);
}

void p4n_slab_destroy(struct p4n_slab *s)
{
	(void)s;
}
#else
static bool add_chunk(struct p4n_slab *s)
{
	uint32_t bytes = s->stride * 8 > CHUNK_BYTES ? s->stride * 8 : CHUNK_BYTES;
	uint8_t *chunk = aligned_alloc(64, bytes + 64u);
	uint32_t n = bytes / s->stride;

	if (!chunk)
		return false;
	*(void **)(void *)chunk = s->chunks;
	s->chunks = chunk;
	s->bytes += bytes + 64u;
	for (uint32_t i = n; i-- > 0;) {
		void *object = chunk + HOT_OFFSET + (size_t)i * s->stride;

		*(void **)object = s->free;
		s->free = object;
	}
	return true;
}

void *p4n_slab_alloc(struct p4n_slab *s)
{
	void *object;

	if (!s->free && !add_chunk(s))
		return NULL;
	object = s->free;
	s->free = *(void **)object;
	return memset(object, 0, s->stride);
}

void p4n_slab_free(void *slab, void *object)
{
	struct p4n_slab *s = slab;

	*(void **)object = s->free;
	s->free = object;
}

void p4n_slab_destroy(struct p4n_slab *s)
{
	while (s->chunks) {
		void *next = *(void **)s->chunks;

		free(s->chunks);
		s->chunks = next;
	}
	s->free = NULL;
}
#endif
