/* libFuzzer entry: any bytes as frames through a generated pipeline. The first bytes of the input
 * choose what each table's default entry does, so that every action is reached without the fuzzer
 * having to find keys; the rest is one frame. */
#include <stdlib.h>
#include <string.h>

#include <p4n/pipeline.h>

#include "harness.h"

#define GROUPS 16u
#define FRAME_LIMIT 4096u

static struct harness *setup(void)
{
	static const uint32_t ports[] = { 1, 2, 300 };
	struct harness *h = harness_new();

	for (uint32_t i = 0; i < GROUPS; i++) {
		harness_group(h, false, i, ports, i % 4);
		harness_group(h, true, i, ports, i % 3);
	}
	return h;
}

/* Takes one byte per table for the action, then the action's data from the same bytes. */
static size_t choose_defaults(struct harness *h, const uint8_t *data, size_t size)
{
	size_t used = 0;

	for (uint32_t t = 0; t < p4n_pipeline.n_tables; t++) {
		const struct p4n_table_desc *d = &p4n_pipeline.tables[t];
		uint8_t room[1024] = { 0 };
		uint8_t pick = used < size ? data[used++] : 0;
		size_t left = size - used;

		if (!d->n_actions || d->max_data_bytes > sizeof(room))
			continue;
		memcpy(room, data + used, left < d->max_data_bytes ? left : d->max_data_bytes);
		harness_default(h, t, d->actions[pick % d->n_actions], room, d->max_data_bytes);
	}
	return used;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct harness *h;
	static uint8_t out[1 << 16];
	uint32_t port;
	size_t used;

	if (!h)
		h = setup();
	used = choose_defaults(h, data, size);
	size = size - used > FRAME_LIMIT ? FRAME_LIMIT : size - used;
	harness_inject(h, size ? data[used] : 0, data + used, (uint32_t)size);
	while (harness_collect(h, &port, out, sizeof(out)) >= 0)
		;
	harness_flush(h);
	if (harness_live(h))
		abort(); /* a frame was lost without being sent or dropped */
	return 0;
}
