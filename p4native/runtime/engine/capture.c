/* Captures in pcap format, nanosecond timestamps, written by packet threads and flushed per frame. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "device.h"

#define SNAP_BYTES 262144u
#define LINK_ETHERNET 1u
#define MAGIC_NANOSECONDS 0xa1b23c4du

struct p4n_capture {
	pthread_mutex_t lock;
	FILE *file;
};

struct file_header {
	uint32_t magic;
	uint16_t major, minor;
	uint32_t zone, accuracy, snap, link;
};

struct frame_header {
	uint32_t seconds, nanoseconds, captured, length;
};

struct p4n_capture *p4n_capture_open(const char *folder, const char *port, const char *direction)
{
	struct file_header h = {MAGIC_NANOSECONDS, 2, 4, 0, 0, SNAP_BYTES, LINK_ETHERNET};
	struct p4n_capture *c = calloc(1, sizeof(*c));
	char path[4096];

	if (!c)
		return NULL;
	if (snprintf(path, sizeof(path), "%s/%s_%s.pcap", folder, port, direction) <
	    (int)sizeof(path))
		c->file = fopen(path, "we");
	if (!c->file || fwrite(&h, sizeof(h), 1, c->file) != 1 || fflush(c->file)) {
		p4n_capture_close(c);
		return NULL;
	}
	pthread_mutex_init(&c->lock, NULL);
	return c;
}

void p4n_capture_write(struct p4n_capture *c, const struct p4n_packet *pkt)
{
	struct frame_header h = {.captured = pkt->len, .length = pkt->len};
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	h.seconds = (uint32_t)now.tv_sec;
	h.nanoseconds = (uint32_t)now.tv_nsec;
	pthread_mutex_lock(&c->lock);
	/* A full disk ends the capture, not the traffic. */
	if (fwrite(&h, sizeof(h), 1, c->file) == 1)
		(void)!fwrite(pkt->data, pkt->len, 1, c->file);
	(void)fflush(c->file);
	pthread_mutex_unlock(&c->lock);
}

void p4n_capture_close(struct p4n_capture *c)
{
	if (!c)
		return;
	if (c->file)
		(void)fclose(c->file);
	free(c);
}
