#ifndef HARNESS_H
#define HARNESS_H

#include <stdbool.h>
#include <stdint.h>

struct harness;

struct harness *harness_new(void);
void harness_add(struct harness *h, uint32_t table, const uint8_t *key, const uint8_t *mask,
		 int32_t order, uint32_t action, const uint8_t *data, uint32_t n);
/* Replaces what a miss runs. */
void harness_default(struct harness *h, uint32_t table, uint32_t action, const uint8_t *data,
		     uint32_t n);
void harness_group(struct harness *h, bool clone, uint32_t id, const uint32_t *ports, uint32_t n);
/* Runs one frame to its end; returns the frames that are still going round. */
uint32_t harness_inject(struct harness *h, uint32_t port, const uint8_t *data, uint32_t len);
/* The next frame that left: its length, or -1. */
int64_t harness_collect(struct harness *h, uint32_t *port, uint8_t *data, uint32_t room);
uint64_t harness_live(struct harness *h);
uint64_t harness_drops(struct harness *h, uint32_t reason);
const char *harness_log(struct harness *h);
uint32_t harness_digest(struct harness *h, uint8_t *data);
void harness_flush(struct harness *h);

#endif
