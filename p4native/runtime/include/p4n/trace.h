/* Hooks of a pipeline compiled with -DP4N_TRACE: what one frame meets, event by event. Without it
 * they cost nothing. */
#ifndef P4N_TRACE_H
#define P4N_TRACE_H

#include <p4n/phv.h>

enum p4n_trace_event {
	P4N_EVENT_PASS,      /* a: instance type, b: port, c: 1 in egress */
	P4N_EVENT_STATE,     /* name: parser state */
	P4N_EVENT_PARSED,    /* a: parser error, b: bytes parsed, c: checksum error */
	P4N_EVENT_CONDITION, /* name, a: result */
	P4N_EVENT_TABLE,     /* a: table index, b: 1 hit; data: the entry (struct p4n_entry) */
	P4N_EVENT_CONST,     /* a: table index, b: const entry or -1 on a miss, c: action id; data */
	P4N_EVENT_HEADER,    /* name: emitted header number a, data: its bytes */
	P4N_EVENT_CLONE,     /* a: session, b: 1 in egress */
	P4N_EVENT_DIGEST,    /* a: learn list */
	P4N_EVENT_AGAIN,     /* a: instance type of the next pass */
	P4N_EVENT_MULTICAST, /* a: group */
};

#ifdef P4N_TRACE
/* The engine's; `data` is only valid during the call. */
void p4n_trace_event(struct p4n_thread *th, enum p4n_trace_event event, const char *name, int64_t a,
		     int64_t b, int64_t c, const void *data, uint32_t len);

#define P4N_TRACE_ANY(p, event, name, a, b, c, data, len) \
	p4n_trace_event((p)->th, event, name, a, b, c, data, len)
#else
#define P4N_TRACE_ANY(p, event, name, a, b, c, data, len) ((void)0)
#endif

#define P4N_TRACE_STATE(p, name) P4N_TRACE_ANY(p, P4N_EVENT_STATE, name, 0, 0, 0, NULL, 0)
#define P4N_TRACE_CONDITION(p, name, value) \
	P4N_TRACE_ANY(p, P4N_EVENT_CONDITION, name, value, 0, 0, NULL, 0)
#define P4N_TRACE_TABLE(p, index, name, hit, e) \
	P4N_TRACE_ANY(p, P4N_EVENT_TABLE, name, index, hit, 0, e, (e) ? sizeof(*(e)) : 0)
#define P4N_TRACE_CONST(p, index, name, entry, action, data, len) \
	P4N_TRACE_ANY(p, P4N_EVENT_CONST, name, index, entry, action, data, len)

#endif
