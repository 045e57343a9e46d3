/* Measures a pipeline in memory: the same frames again and again, without any interface. */
#include <linux/perf_event.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "device.h"

#define EVENTS 4u
#define UNKNOWN UINT64_MAX

static const uint64_t event_ids[EVENTS] = {
	PERF_COUNT_HW_CPU_CYCLES,
	PERF_COUNT_HW_INSTRUCTIONS,
	PERF_COUNT_HW_CACHE_MISSES,
	PERF_COUNT_HW_BRANCH_MISSES,
};

/* -1 where the kernel or the machine has no such counter for us. */
static int open_event(uint64_t id)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_HARDWARE,
		.size = sizeof(attr),
		.config = id,
		.disabled = 1,
		.exclude_kernel = 1,
		.exclude_hv = 1,
	};

	return (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

static void switch_events(const int fds[EVENTS], unsigned long request)
{
	for (uint32_t i = 0; i < EVENTS; i++)
		if (fds[i] >= 0)
			ioctl(fds[i], request, 0);
}

/* Of this thread's processor time, so that other work on the machine does not count. */
static uint64_t nanoseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Frames follow each other in `data`; takes the next ones, a batch at a time. */
struct source {
	const uint8_t *data;
	const uint32_t *lens;
	const uint32_t *ports;
	uint32_t n, next;
	size_t at;
};

static bool fill(struct p4n_thread_io *io, struct source *s, struct p4n_packet **pkts)
{
	for (uint32_t i = 0; i < P4N_BATCH; i++) {
		pkts[i] = p4n_packet_alloc(&io->th, s->lens[s->next]);
		if (!pkts[i]) {
			while (i--)
				p4n_packet_free(&io->th, pkts[i]);
			return false;
		}
		memcpy(pkts[i]->data, s->data + s->at, s->lens[s->next]);
		pkts[i]->ingress_port = s->ports[s->next];
		s->at += s->lens[s->next];
		if (++s->next == s->n) {
			s->next = 0;
			s->at = 0;
		}
	}
	return true;
}

/* Runs `batches` of P4N_BATCH frames; with `process` off only allocates, copies and frees them,
 * which is what to subtract. out: ns, frames (0: the pool ran dry), then the events of event_ids or
 * UNKNOWN. */
P4N_EXPORT void p4n_bench(struct p4n_device *dev, const uint8_t *data, const uint32_t *lens,
			  const uint32_t *ports, uint32_t n, uint64_t batches, bool process,
			  uint64_t out[2 + EVENTS])
{
	struct p4n_thread_io *io = dev->threads[dev->n_threads];
	struct source source = {.data = data, .lens = lens, .ports = ports, .n = n};
	struct p4n_packet *pkts[P4N_BATCH];
	int fds[EVENTS];
	uint64_t start;

	for (uint32_t i = 0; i < EVENTS; i++)
		fds[i] = open_event(event_ids[i]);
	pthread_mutex_lock(&dev->inline_lock);
	p4n_reader_online(&dev->domain, io->reader);
	out[1] = 0;
	switch_events(fds, PERF_EVENT_IOC_ENABLE);
	start = nanoseconds();
	for (uint64_t b = 0; b < batches; b++, out[1] += P4N_BATCH) {
		if (!fill(io, &source, pkts)) {
			out[1] = 0;
			break;
		}
		if (process)
			p4n_run(io, pkts, P4N_BATCH);
		else
			for (uint32_t i = 0; i < P4N_BATCH; i++)
				p4n_packet_free(&io->th, pkts[i]);
	}
	out[0] = nanoseconds() - start;
	switch_events(fds, PERF_EVENT_IOC_DISABLE);
	p4n_thread_flush(io);
	p4n_reader_offline(&dev->domain, io->reader);
	pthread_mutex_unlock(&dev->inline_lock);
	for (uint32_t i = 0; i < EVENTS; i++) {
		out[2 + i] = UNKNOWN;
		if (fds[i] < 0)
			continue;
		if (read(fds[i], &out[2 + i], sizeof(out[0])) != sizeof(out[0]))
			out[2 + i] = UNKNOWN;
		close(fds[i]);
	}
}
