/* A mutating fuzzer for encode.c: fuzz SECONDS PLAN SEED...; prints {"runs": N}. Built with
 * sanitizers, which end the process at the first fault. */
#include "encode.c"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { MAX_INPUT = 1 << 16, MAX_SEEDS = 256 };

static uint64_t state = 88172645463325252u;

static uint64_t next_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static uint8_t *read_file(const char *name, size_t *size)
{
	FILE *file = fopen(name, "rb");
	uint8_t *data = malloc(MAX_INPUT);

	if (!file || !data)
		exit(2);
	*size = fread(data, 1, MAX_INPUT, file);
	fclose(file);
	return data;
}

/* Overwrites, inserts, removes or doubles a few bytes. */
static size_t mutate(uint8_t *data, size_t size)
{
	for (uint64_t n = next_random() % 6; n; n--) {
		size_t at = size ? next_random() % size : 0;
		size_t run = next_random() % 9;

		switch (next_random() % 4) {
		case 0:
			if (size)
				data[at] = (uint8_t)next_random();
			break;
		case 1:
			if (run <= size - at) {
				memmove(data + at, data + at + run, size - at - run);
				size -= run;
			}
			break;
		case 2:
			if (size + run <= MAX_INPUT) {
				memmove(data + at + run, data + at, size - at);
				size += run;
			}
			break;
		default:
			if (size)
				data[at] ^= (uint8_t)(1u << (next_random() % 8));
		}
	}
	return size;
}

/* Exact allocations, so that one byte too far is seen. */
static void run_one(const uint32_t *plan, const uint8_t *data, size_t size)
{
	uint8_t *raw = malloc(size ? size : 1), *head, *out;
	uint32_t *offsets, *sizes, *marks;
	size_t head_size, room;
	int64_t count;

	memcpy(raw, data, size);
	count = p4r_split(raw, size, NULL, &head_size, NULL, NULL);
	if (count >= 0) {
		head = malloc(head_size + 1);
		offsets = malloc(((size_t)count + 1) * 4);
		sizes = malloc(((size_t)count + 1) * 4);
		marks = malloc(((size_t)count + 1) * 4);
		room = next_random() % 2 ? 1u << 20 : next_random() % 16384;
		out = malloc(room + 1);
		p4r_split(raw, size, head, &head_size, offsets, sizes);
		p4r_encode(plan, raw, offsets, sizes, (uint32_t)count, out, room, marks);
		free(head);
		free(offsets);
		free(sizes);
		free(marks);
		free(out);
	}
	free(raw);
}

int main(int argc, char **argv)
{
	static uint8_t *seeds[MAX_SEEDS];
	static size_t sizes[MAX_SEEDS];
	static uint8_t input[MAX_INPUT];
	static uint32_t *plan;
	uint64_t runs = 0;
	size_t plan_size;
	time_t end;
	int n = 0;

	if (argc < 4)
		return 2;
	end = time(NULL) + atoi(argv[1]);
	plan = (uint32_t *)read_file(argv[2], &plan_size);
	for (int i = 3; i < argc && n < MAX_SEEDS; i++, n++)
		seeds[n] = read_file(argv[i], &sizes[n]);
	while (time(NULL) < end) {
		for (int i = 0; i < 200; i++, runs++) {
			uint64_t pick = next_random() % (uint64_t)n;

			memcpy(input, seeds[pick], sizes[pick]);
			run_one(plan, input, mutate(input, sizes[pick]));
		}
	}
	printf("{\"runs\": %llu}\n", (unsigned long long)runs);
	return 0;
}
