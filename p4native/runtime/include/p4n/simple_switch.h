/* simple_switch's architecture around generated code: ingress, resubmission, cloning, replication,
 * egress, deparsing, recirculation — each frame to completion on one thread.
 *
 * Included by generated code after its parse, control and metadata functions. Frames that start
 * another pass wait in a ring of fixed size: no recursion, and other frames get their turn. */
#ifndef P4N_SIMPLE_SWITCH_H
#define P4N_SIMPLE_SWITCH_H

#include <p4n/phv.h>
#include <p4n/trace.h>

/* Queues per port: BMv2 has one unless told, and drops frames of a higher priority. */
#ifndef P4N_PRIORITIES
#define P4N_PRIORITIES 1u
#endif

#define P4N_LOOPS (P4N_CLONES_EGRESS || P4N_RESUBMITS || P4N_RECIRCULATES)
#define P4N_RING 256u /* a power of two */
/* Waiting passes run after each frame, and after a whole batch. */
#define P4N_TURNS_FRAME 8u
#define P4N_TURNS_BATCH 64u

/* A frame that grew on its way round is longer than any that arrives. */
#define P4N_LONGEST (2 * P4N_MAX_FRAME)

struct p4n_again {
	bool egress;
	uint32_t port;
	struct p4n_phv phv; /* for ingress only its metadata counts */
};

struct p4n_state {
	struct p4n_phv main;    /* the frame in work */
	struct p4n_phv clone;   /* its ingress clone */
	struct p4n_phv replica; /* a copy on its way through egress */
#if P4N_LOOPS
	uint32_t head;
	uint32_t count;
	struct p4n_again ring[P4N_RING];
#endif
#if P4N_CLONES_INGRESS || P4N_RESUBMITS
	uint8_t saved[P4N_LONGEST]; /* header bytes as they arrived */
#endif
	uint8_t scratch[P4N_LONGEST + P4N_HOME_BYTES + P4N_ORDER_BYTES];
};

P4N_INLINE struct p4n_state *p4n_state(struct p4n_thread *th)
{
	return th->pipeline_state;
}

P4N_FN uint8_t *p4n_scratch(struct p4n_thread *th)
{
	return p4n_state(th)->scratch;
}

P4N_FN void p4n_lose(struct p4n_thread *th, struct p4n_packet *pkt, enum p4n_drop_reason why)
{
	P4N_TRACE_NUMBERS(P4N_EVENT_DROPPED, why, 0);
	p4n_drop(th, pkt, why);
}

P4N_FN uint64_t p4n_emitted(unsigned word)
{
	const unsigned n = P4N_EMITTED;
	const unsigned first = word * 64;

	if (n >= first + 64)
		return UINT64_MAX;
	return n <= first ? 0 : (UINT64_C(1) << (n - first)) - 1;
}

/* Moves headers that are not where the deparser wants them; `end` is where the payload starts. */
P4N_FN void p4n_place_headers(struct p4n_phv *p, uint8_t *end)
{
	uint8_t *scratch = p4n_state(p->th)->scratch;
	uint32_t used = 0;
	uint8_t *to = end;

	for (int pass = 0; pass < 2; pass++) {
		to = end;
		used = 0;
		for (unsigned w = P4N_VALID_WORDS; w-- > 0;) {
			uint64_t left = p->valid[w] & p4n_emitted(w);

			while (left) {
				unsigned i = 63 - (unsigned)__builtin_clzll(left);
				unsigned number = w * 64 + i;
				uint32_t n = p4n_header_bytes(p, number);

				left ^= UINT64_C(1) << i;
				to -= n;
				if (p->h[number] == to)
					continue;
				if (pass == 0)
					memcpy(scratch + used, p->h[number], n);
				else
					memcpy(to, scratch + used, n);
				used += n;
			}
		}
	}
}

/* Length of the valid headers; *moved tells whether any of them is not in its place. */
P4N_FN uint32_t p4n_emitted_bytes(const struct p4n_phv *p, const uint8_t *end, bool *moved)
{
	const uint8_t *to = end;
	uint32_t total = 0;

	for (unsigned w = P4N_VALID_WORDS; w-- > 0;) {
		uint64_t left = p->valid[w] & p4n_emitted(w);

		while (left) {
			unsigned i = 63 - (unsigned)__builtin_clzll(left);
			uint32_t n = p4n_header_bytes(p, w * 64 + i);

			left ^= UINT64_C(1) << i;
			to -= n;
			total += n;
			*moved |= p->h[w * 64 + i] != to;
		}
	}
	return total;
}

/* Keeps the pointers into the frame right after it moved inside its buffer. */
P4N_FN void p4n_follow(struct p4n_phv *p, const uint8_t *before)
{
	ptrdiff_t by = p->pkt->data - before;

	for (unsigned i = 0; i <= P4N_HEADERS; i++)
		if (p->h[i] < p->home || p->h[i] >= p->home + P4N_HOME_BYTES)
			p->h[i] += by;
}

#if P4N_ORDER_LIST
/* A header is emitted more than once: everything is copied. */
P4N_FN bool p4n_deparse(struct p4n_phv *p)
{
	uint8_t *scratch = p4n_state(p->th)->scratch;
	uint32_t total = 0;

	for (unsigned i = 0; i < sizeof(p4n_order) / sizeof(p4n_order[0]); i++) {
		uint32_t n = p4n_header_bytes(p, p4n_order[i]);

		if (!p4n_is_valid(p, p4n_order[i]))
			continue;
		memcpy(scratch + total, p->h[p4n_order[i]], n);
		total += n;
	}
	if (total > p->parsed && !p4n_packet_reserve(p->pkt, total - p->parsed))
		return false;
	memcpy(p->pkt->data + p->parsed - total, scratch, total);
	p->pkt->data += (ptrdiff_t)p->parsed - total;
	p->pkt->len += total - p->parsed;
	return true;
}
#else
/* The valid headers in front of the payload; false when they do not fit into the buffer. */
P4N_FN bool p4n_deparse(struct p4n_phv *p)
{
	struct p4n_packet *pkt = p->pkt;
	uint8_t *end = pkt->data + p->parsed;
	bool moved = false;
	uint32_t total = p4n_emitted_bytes(p, end, &moved);

	if (moved) {
		if (total > p->parsed) {
			const uint8_t *before = pkt->data;

			if (!p4n_packet_reserve(pkt, total - p->parsed))
				return false;
			p4n_follow(p, before);
			end = pkt->data + p->parsed;
		}
		p4n_place_headers(p, end);
	}
	pkt->data = end - total;
	pkt->len += total - p->parsed;
	return true;
}
#endif

#if P4N_LOOPS
/* A place in the ring, or NULL (and the frame dropped) when it is full. */
P4N_FN struct p4n_again *p4n_wait(struct p4n_state *st, struct p4n_thread *th,
				  struct p4n_packet *pkt)
{
	if (st->count == P4N_RING) {
		p4n_lose(th, pkt, P4N_DROP_LOOP_FULL);
		return NULL;
	}
	return &st->ring[(st->head + st->count++) % P4N_RING];
}

/* A recirculated frame counts with the length it has now; what its offload state points at moved
 * with the payload. */
P4N_FN void p4n_arrive_anew(struct p4n_packet *pkt)
{
	uint32_t by = pkt->len - pkt->wire_len;

	if (pkt->vnet.flags || pkt->vnet.gso_type) {
		pkt->vnet.csum_start = (uint16_t)(pkt->vnet.csum_start + by);
		pkt->vnet.hdr_len = (uint16_t)(pkt->vnet.hdr_len + by);
	}
	pkt->wire_len = pkt->len;
}

/* Another pass through ingress with what the field list preserves. */
P4N_FN void p4n_ingress_again(struct p4n_state *st, const struct p4n_phv *p, uint32_t list,
			      uint32_t instance)
{
	struct p4n_again *again = p4n_wait(st, p->th, p->pkt);

	if (!again)
		return;
	P4N_TRACE_NUMBERS(P4N_EVENT_AGAIN, instance, 0);
	again->egress = false;
	again->phv.pkt = p->pkt;
	memset(&again->phv.m, 0, sizeof(again->phv.m));
	p4n_preserve(&again->phv, p, list);
	p4n_set_instance(&again->phv, instance);
}
#endif

/* A copy of the state and its frame; false without memory. */
P4N_FN bool p4n_copy(struct p4n_phv *to, const struct p4n_phv *from)
{
	struct p4n_packet *pkt = p4n_packet_clone(from->th, from->pkt);

	if (!pkt)
		return false;
	memcpy(to, from, sizeof(*to));
	to->pkt = pkt;
	p4n_rebase(to, from);
	p4n_clear_requests(to);
	return true;
}

#if P4N_CLONES_EGRESS
P4N_FN void p4n_clone_again(struct p4n_state *st, const struct p4n_phv *p,
			    const struct p4n_clone_session *s, uint32_t list,
			    const struct p4n_replica *to)
{
	struct p4n_packet *pkt = p4n_packet_clone(p->th, p->pkt);
	struct p4n_again *again = pkt ? p4n_wait(st, p->th, pkt) : NULL;

	if (!again)
		return;
	memcpy(&again->phv, p, sizeof(*p));
	again->egress = true;
	again->port = to->port;
	again->phv.pkt = pkt;
	p4n_rebase(&again->phv, p);
	p4n_clear_requests(&again->phv);
	memset(&again->phv.m, 0, sizeof(again->phv.m));
	p4n_preserve(&again->phv, p, list);
	p4n_set_instance(&again->phv, P4N_INSTANCE_EGRESS_CLONE);
	p4n_set_rid(&again->phv, to->rid);
	again->phv.keep = s->packet_length ? s->packet_length : UINT32_MAX;
}

P4N_FN void p4n_clone_egress(struct p4n_state *st, struct p4n_phv *p)
{
	const uint32_t id = p->clone & ~P4N_CLONE_REQUEST;
	const uint32_t list = p->clone_list;
	const struct p4n_clone_session *s = p4n_pre_session(p->th, id);
	const struct p4n_group *g;

	p->clone = 0;
	p->clone_list = 0;
	P4N_TRACE_NUMBERS(P4N_EVENT_CLONE, id, 1);
	if (!s)
		return;
	g = s->mgid ? p4n_pre_group(p->th, s->mgid) : NULL;
	for (uint32_t i = 0; g && i < g->n; i++)
		p4n_clone_again(st, p, s, list, &g->out[i]);
	for (uint32_t i = 0; i < s->n; i++)
		p4n_clone_again(st, p, s, list, &s->out[i]);
	if (s->egress_port != P4N_NONE)
		p4n_clone_again(st, p, s, list, &(struct p4n_replica){ .port = s->egress_port });
}
#endif

/* The egress half of a pass; takes the frame. */
static void p4n_run_egress(struct p4n_state *st, struct p4n_phv *p, uint32_t port)
{
	struct p4n_thread *th = p->th;

	if (p4n_get_priority(p) >= P4N_PRIORITIES) {
		p4n_lose(th, p->pkt, P4N_DROP_PRIORITY);
		return;
	}
	p4n_set_enqueued(p);
	p4n_set_dequeued(p);
	p4n_set_egress_port(p, port);
	p4n_set_no_drop(p);
	P4N_TRACE_PASS(p, "egress", 0, port);
	p4n_egress(p);
	if (__builtin_expect(p->failed, 0)) {
		p4n_lose(th, p->pkt, P4N_DROP_ASSERT);
		return;
	}
#if P4N_CLONES_EGRESS
	if (p->clone)
		p4n_clone_egress(st, p);
#endif
	if (p4n_get_egress_spec(p) == th->drop_port) {
		p4n_lose(th, p->pkt, P4N_DROP_EGRESS);
		return;
	}
	p4n_update_checksums(p);
	p4n_deparser_calls(p);
	if (__builtin_expect(!p4n_deparse(p), 0)) {
		p4n_lose(th, p->pkt, P4N_DROP_TOO_LONG);
		return;
	}
#if P4N_RECIRCULATES
	if (p->recirculate) {
		p4n_arrive_anew(p->pkt);
		p4n_ingress_again(st, p, p->recirculate, P4N_INSTANCE_RECIRC);
		return;
	}
#endif
	(void)st;
	if (p->pkt->len > p->keep) {
		/* What offloads would complete is cut off. */
		p->pkt->len = p->keep;
		p->pkt->vnet = (struct p4n_vnet){ 0 };
	}
	P4N_TRACE_SENT(p, port);
	p4n_tx(th, port, p->pkt);
}

/* Sends copies to every replica, and p itself to the last one or, when given, to `last_port`. */
P4N_FN void p4n_fan_out(struct p4n_state *st, struct p4n_phv *p, const struct p4n_replica *out,
			uint32_t n, uint32_t last_port)
{
	const bool extra = last_port != P4N_NONE;
	const uint32_t keep = p->keep;

	for (uint32_t i = 0; i < n; i++) {
		struct p4n_phv *q = p;

		p4n_set_rid(p, out[i].rid);
		if (extra || i + 1 < n) {
			q = &st->replica;
			if (!p4n_copy(q, p))
				continue;
			q->keep = keep;
		}
		p4n_run_egress(st, q, out[i].port);
	}
	if (extra)
		p4n_run_egress(st, p, last_port);
	else if (!n)
		p4n_lose(p->th, p->pkt, P4N_DROP_MULTICAST);
}

#if P4N_CLONES_INGRESS
/* The frame as it arrived, parsed again, to the session's ports. */
P4N_FN void p4n_clone_ingress(struct p4n_state *st, struct p4n_phv *p, uint32_t length)
{
	const uint32_t id = p->clone & ~P4N_CLONE_REQUEST;
	const uint32_t list = p->clone_list;
	const struct p4n_clone_session *s = p4n_pre_session(p->th, id);
	struct p4n_packet *pkt = s ? p4n_packet_clone(p->th, p->pkt) : NULL;
	const struct p4n_group *g;
	struct p4n_phv *q = &st->clone;

	p->clone = 0;
	p->clone_list = 0;
	P4N_TRACE_NUMBERS(P4N_EVENT_CLONE, id, 0);
	if (!pkt)
		return;
	memcpy(pkt->data, st->saved, p->parsed);
	p4n_phv_reset(q, p->th, pkt);
	q->packet_length = length;
	p4n_set_clone_parsed(q);
	p4n_parse(q);
	memset(&q->m, 0, sizeof(q->m));
	p4n_preserve(q, p, list);
	p4n_set_instance(q, P4N_INSTANCE_INGRESS_CLONE);
	q->keep = s->packet_length ? s->packet_length : UINT32_MAX;
	g = s->mgid ? p4n_pre_group(p->th, s->mgid) : NULL;
	if (g && (s->n || s->egress_port != P4N_NONE)) {
		for (uint32_t i = 0; i < g->n; i++) {
			p4n_set_rid(q, g->out[i].rid);
			if (p4n_copy(&st->replica, q))
				p4n_run_egress(st, &st->replica, g->out[i].port);
		}
		g = NULL;
	}
	p4n_fan_out(st, q, g ? g->out : s->out, g ? g->n : s->n, s->egress_port);
}
#endif

/* The ingress half of a pass and all that follows from it; takes the frame. */
static void p4n_run_ingress(struct p4n_state *st, struct p4n_phv *p)
{
	struct p4n_thread *th = p->th;
	const uint32_t length = p->packet_length;
	uint32_t group;

	(void)length;
	p4n_parse(p);
	p4n_verify_checksums(p);
	p4n_set_parsed(p);
	P4N_TRACE_PARSED(p);
#if P4N_CLONES_INGRESS || P4N_RESUBMITS
	memcpy(st->saved, p->pkt->data, p->parsed);
#endif
	p4n_ingress(p);
	if (__builtin_expect(p->failed, 0)) {
		p4n_lose(th, p->pkt, P4N_DROP_ASSERT);
		return;
	}
	p->exit = false;
#if P4N_CLONES_INGRESS
	if (p->clone)
		p4n_clone_ingress(st, p, length);
#endif
#if P4N_LEARNS
	if (p->learn) {
		P4N_TRACE_NUMBERS(P4N_EVENT_DIGEST, p->learn, 0);
		p4n_send_digest(p);
	}
#endif
#if P4N_RESUBMITS
	if (p->resubmit) {
		memcpy(p->pkt->data, st->saved, p->parsed);
		p4n_ingress_again(st, p, p->resubmit, P4N_INSTANCE_RESUBMIT);
		return;
	}
#endif
	group = p4n_get_mcast_grp(p);
	if (group) {
		const struct p4n_group *g = p4n_pre_group(th, group);

		P4N_TRACE_NUMBERS(P4N_EVENT_MULTICAST, group, g != NULL);
		p4n_set_instance(p, P4N_INSTANCE_REPLICATION);
		p4n_clear_requests(p);
		p->keep = UINT32_MAX;
		p4n_fan_out(st, p, g ? g->out : NULL, g ? g->n : 0, P4N_NONE);
		return;
	}
	if (p4n_get_egress_spec(p) == th->drop_port) {
		p4n_lose(th, p->pkt, P4N_DROP_INGRESS);
		return;
	}
	p4n_set_instance(p, P4N_INSTANCE_NORMAL);
	p4n_run_egress(st, p, p4n_get_egress_spec(p));
}

#if P4N_LOOPS
P4N_FN void p4n_run_waiting(struct p4n_state *st, struct p4n_thread *th, uint32_t turns)
{
	while (st->count && turns--) {
		struct p4n_again *again = &st->ring[st->head];
		struct p4n_phv *p = &st->main;

		st->head = (st->head + 1) % P4N_RING;
		st->count--;
		if (again->egress) {
			memcpy(p, &again->phv, sizeof(*p));
			p4n_rebase(p, &again->phv);
			p4n_run_egress(st, p, again->port);
			continue;
		}
		p4n_phv_reset(p, th, again->phv.pkt);
		p->m = again->phv.m;
		p4n_set_again(p);
		P4N_TRACE_PASS(p, "ingress", 1, p->pkt->ingress_port);
		p4n_run_ingress(st, p);
	}
}
#endif

static uint32_t p4n_process(struct p4n_thread *th, struct p4n_packet **pkts, uint32_t n)
{
	struct p4n_state *st = p4n_state(th);

	for (uint32_t i = 0; i < n; i++) {
		struct p4n_phv *p = &st->main;

		p4n_phv_reset(p, th, pkts[i]);
		p4n_set_received(p);
		P4N_TRACE_PASS(p, "ingress", 0, pkts[i]->ingress_port);
		p4n_run_ingress(st, p);
#if P4N_LOOPS
		p4n_run_waiting(st, th, P4N_TURNS_FRAME);
#endif
	}
#if P4N_LOOPS
	p4n_run_waiting(st, th, P4N_TURNS_BATCH);
	return st->count;
#else
	return 0;
#endif
}

static void p4n_flush(struct p4n_thread *th)
{
#if P4N_LOOPS
	struct p4n_state *st = p4n_state(th);

	for (; st->count; st->count--) {
		p4n_packet_free(th, st->ring[st->head].phv.pkt);
		st->head = (st->head + 1) % P4N_RING;
	}
#else
	(void)th;
#endif
}

#endif
