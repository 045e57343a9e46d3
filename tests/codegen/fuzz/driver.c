/* Stands in for libFuzzer where it is not installed: mutates the seed files blindly, from a fixed
 * seed, for the given time. Usage: fuzzer SEEDS_FOLDER SECONDS */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_SEEDS 64
#define MAX_BYTES 2048u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t seeds[MAX_SEEDS][MAX_BYTES];
static size_t lengths[MAX_SEEDS];
static unsigned n_seeds;
static uint64_t state = 1;

static uint64_t next_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static void read_seeds(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;

	while (dir && n_seeds < MAX_SEEDS && (entry = readdir(dir))) {
		char path[4096];
		FILE *f;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		f = fopen(path, "rb");
		if (!f)
			continue;
		lengths[n_seeds] = fread(seeds[n_seeds], 1, MAX_BYTES, f);
		n_seeds++;
		fclose(f);
	}
	if (dir)
		closedir(dir);
}

static void run_mutant(void)
{
	uint8_t data[MAX_BYTES];
	unsigned pick = (unsigned)(next_random() % n_seeds);
	size_t size = lengths[pick];

	memcpy(data, seeds[pick], size);
	if (next_random() % 3 == 0)
		size = next_random() % (size + 1);
	else if (next_random() % 3 == 0)
		while (size < MAX_BYTES && next_random() % 16)
			data[size++] = (uint8_t)next_random();
	for (uint64_t i = next_random() % 24; size && i > 0; i--)
		data[next_random() % size] = (uint8_t)next_random();
	LLVMFuzzerTestOneInput(data, size);
}

int main(int argc, char **argv)
{
	time_t end = time(NULL) + (argc > 2 ? atoi(argv[2]) : 1);
	uint64_t runs = 0;

	if (argc > 1)
		read_seeds(argv[1]);
	if (!n_seeds)
		return 2;
	while (time(NULL) <= end)
		for (int i = 0; i < 1000; i++, runs++)
			run_mutant();
	printf("%llu runs\n", (unsigned long long)runs);
	return 0;
}
