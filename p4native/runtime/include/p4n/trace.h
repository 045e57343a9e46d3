/* Hooks of a pipeline generated for tracing (P4N_TRACE): what one frame meets, event by event.
 * Without it they cost nothing. */
#ifndef P4N_TRACE_H
#define P4N_TRACE_H

#include <p4n/phv.h>

/* The four numbers and the two byte strings of each event. */
enum p4n_trace_event {
	P4N_EVENT_PASS,      /* name: ingress or egress; instance type, port; the frame */
	P4N_EVENT_STATE,     /* name: parser state */
	P4N_EVENT_EXTRACT,   /* header number, 1 when its length was there; its bytes */
	P4N_EVENT_PARSED,    /* parser error, bytes parsed, 1 when a checksum was wrong */
	P4N_EVENT_CONDITION, /* name; result */
	P4N_EVENT_TABLE,     /* name; table index, hit, action id or -1, entry handle; key, data */
	P4N_EVENT_CONST,     /* name; table index, const entry or -1, action id; nothing, data */
	P4N_EVENT_CLONE,     /* session, 1 in egress */
	P4N_EVENT_DIGEST,    /* learn list */
	P4N_EVENT_AGAIN,     /* instance type of the next pass */
	P4N_EVENT_MULTICAST, /* group, 1 when it exists */
	P4N_EVENT_SENT,      /* port; the frame */
	P4N_EVENT_DROPPED,   /* enum p4n_drop_reason */
};

#ifdef P4N_TRACE
/* Set by whoever traces; the strings are only valid during the call. The length of action data is
 * not told: the action id decides it. */
typedef void (*p4n_trace_fn)(uint32_t event, const char *name, const int64_t numbers[4],
			     const void *data, uint32_t len, const void *action_data);

extern __attribute__((visibility("default"))) p4n_trace_fn p4n_trace_sink;
__attribute__((visibility("default"))) p4n_trace_fn p4n_trace_sink;

static inline void p4n_trace(uint32_t event, const char *name, int64_t a, int64_t b, int64_t c,
			     int64_t d, const void *data, uint32_t len, const void *action_data)
{
	const int64_t numbers[4] = { a, b, c, d };

	if (p4n_trace_sink)
		p4n_trace_sink(event, name, numbers, data, len, action_data);
}
#else
#define p4n_trace(...) ((void)0)
#endif

#define P4N_TRACE_PASS(p, name, instance, port)                                                \
	p4n_trace(P4N_EVENT_PASS, name, instance, port, 0, 0, (p)->pkt->data, (p)->pkt->len,   \
		  NULL)
#define P4N_TRACE_STATE(name) p4n_trace(P4N_EVENT_STATE, name, 0, 0, 0, 0, NULL, 0, NULL)
#define P4N_TRACE_EXTRACT(p, i)                                                                \
	p4n_trace(P4N_EVENT_EXTRACT, "", i, 1, 0, 0, (p)->h[i], p4n_header_bytes(p, i), NULL)
#define P4N_TRACE_PARSED(p)                                                                    \
	p4n_trace(P4N_EVENT_PARSED, "", (p)->error, (p)->parsed, (p)->checksum_error, 0, NULL, 0, \
		  NULL)
#define P4N_TRACE_CONDITION(name, value)                                                       \
	p4n_trace(P4N_EVENT_CONDITION, name, value, 0, 0, 0, NULL, 0, NULL)
#define P4N_TRACE_TABLE(index, name, hit, e, key, len)                                         \
	p4n_trace(P4N_EVENT_TABLE, name, index, hit, (e) ? (int64_t)(e)->action : -1,          \
		  (e) ? (e)->handle : 0, key, len, (e) ? (e)->data : NULL)
#define P4N_TRACE_CONST(index, name, entry, action, data)                                      \
	p4n_trace(P4N_EVENT_CONST, name, index, entry, action, 0, NULL, 0, data)
#define P4N_TRACE_NUMBERS(event, a, b) p4n_trace(event, "", a, b, 0, 0, NULL, 0, NULL)
#define P4N_TRACE_SENT(p, port)                                                                \
	p4n_trace(P4N_EVENT_SENT, "", port, 0, 0, 0, (p)->pkt->data, (p)->pkt->len, NULL)

#endif
