/* Packet threads against batches of every kind of operation, for the sanitizers.
 *
 * One thread writes batches in all three modes, of which many are refused; one reads everything as
 * the control plane does while a port goes up and down. What packets find must be whole: what is
 * named is there and belongs to its id ("wild" objects), and what only atomic batches change
 * ("turn" objects) is of one and the same batch, which was not refused. Usage: stress_batches ROUNDS PACKET-THREADS */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../p4native/runtime/engine/device.h"
#include "stress_updates.c"

#define MOST_THREADS 2u
#define ROUND 8u   /* packets between two quiescent points */

struct p4n_device *p4n_device_create(uint32_t threads, uint32_t cpu, uint32_t drop,
				     uint32_t limit);
void p4n_device_destroy(struct p4n_device *dev);
struct p4n_instance *p4n_device_commit(struct p4n_device *dev, struct p4n_instance *inst);
int p4n_port_add(struct p4n_device *dev, uint32_t number, const char *interface,
		 const char *captures, bool shared);
int p4n_port_force(struct p4n_device *dev, uint32_t number, bool up);
struct p4n_domain *p4n_device_domain(struct p4n_device *dev);
int64_t p4n_write(struct p4n_instance *inst, const uint8_t *records, size_t len, uint32_t count,
		  int mode, int32_t *status, uint64_t *handles);
size_t p4n_read(struct p4n_instance *inst, uint32_t table, uint32_t *next, uint8_t *out, size_t cap,
		uint32_t limit, uint32_t *count);
uint32_t p4n_entry_count(struct p4n_instance *inst, uint32_t table);
uint64_t p4n_table_bytes(struct p4n_instance *inst, uint32_t table);
int p4n_member_next(struct p4n_instance *inst, uint32_t profile, uint32_t *id, uint32_t *action,
		    uint8_t *data);
int p4n_group_next(struct p4n_instance *inst, uint32_t profile, uint32_t *id, uint32_t *max_size,
		   struct p4n_group_member *members, uint32_t cap);
bool p4n_counter_read(struct p4n_instance *inst, uint32_t counter, uint64_t start, uint64_t n,
		      uint64_t *out);
bool p4n_meter_get(struct p4n_instance *inst, uint32_t meter, uint64_t start, uint64_t n,
		   struct p4n_meter_config *out, bool *configured);
bool p4n_meter_marks(struct p4n_instance *inst, uint32_t meter, uint64_t start, uint64_t n,
		     uint64_t *marks);
bool p4n_register_read(struct p4n_instance *inst, uint32_t index, uint64_t start, uint64_t n,
		       uint8_t *cells);
uint32_t p4n_digest_wait(struct p4n_instance *inst, uint64_t deadline_ns, uint32_t *index,
			 uint64_t *list_id, uint8_t *out, size_t cap);
void p4n_digest_ack(struct p4n_instance *inst, uint32_t index, uint64_t list_id);
struct idle;
uint32_t p4n_sweep_idle(struct p4n_instance *inst, struct idle *out, uint32_t cap, uint32_t budget);

static struct p4n_device *device;
static struct p4n_instance *instance;
static uint32_t packet_threads;
static _Atomic bool stop;
static _Atomic uint64_t packet_rounds, wrong;
static _Atomic bool *shown; /* by turn: a packet saw it */
static bool *refused;

static void expect(bool holds, const char *what)
{
	if (!holds && atomic_fetch_add(&wrong, 1) < 5)
		fprintf(stderr, "wrong: %s\n", what);
}

static uint64_t word_at(const void *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof(word));
	return word;
}

/* --- packets ----------------------------------------------------------------------------------- */

static const struct p4n_entry *find(const struct p4n_thread *th, uint32_t table, uint64_t number)
{
	uint8_t key[8] __attribute__((aligned(8)));

	memcpy(key, &number, sizeof(key));
	return lookup(th->tables[table], key);
}

static uint64_t data_of(const struct p4n_entry *e)
{
	return e ? word_at(e->data) : 0;
}

static const struct p4n_entry *resolved(const struct p4n_thread *th, uint64_t number, uint32_t hash)
{
	const struct p4n_entry *e = find(th, INDIRECT, number);

	return e ? p4n_resolve_member(th->tables[INDIRECT], e, hash) : NULL;
}

static void see_cells(struct p4n_thread *th, uint64_t turn)
{
	struct p4n_register *narrow = th->registers[NARROW], *broad = th->registers[BROAD];
	const uint64_t *cell = broad->cells;

	expect(*(uint64_t *)narrow->cells == turn, "a register of another turn");
	for (uint32_t i = 0; i < WIDE; i++)
		expect(cell[i] == turn, "a wide register of another turn");
	expect(atomic_load(&th->counters[0]->cells[0].packets) == turn, "a counter's turn");
	expect((uint64_t)th->meters[METER]->cells[0].config.cburst == turn, "a meter's turn");
	expect(p4n_value_set_has(th->value_sets[0], (const uint8_t *)&turn, 8), "a value set's");
}

/* All that shows the turn; `group` is another one in each turn. */
static void see_turn(struct p4n_thread *th, uint64_t turn)
{
	const struct p4n_entry *metered = find(th, TERNARY, TURN);
	const struct p4n_group *kept = p4n_pre_group(th, TURN), *own;
	const struct p4n_clone_session *session = p4n_pre_session(th, TURN);

	expect(data_of(find(th, LPM, TURN)) == turn, "a prefix of another turn");
	expect(data_of(find(th, ROOTED, TURN)) == turn, "a tree of another turn");
	expect(data_of(find(th, SILENT, TURN)) == turn, "an entry of another turn");
	expect(data_of(metered) == turn, "a ternary entry of another turn");
	expect(metered && (uint64_t)metered->meter->config.cburst == turn, "its meter's turn");
	expect(data_of(p4n_table_default(th->tables[EXACT])) == turn, "a default of another turn");
	expect(data_of(resolved(th, TURN, 0)) == turn, "a member of another turn");
	for (uint32_t i = 0; i < 3; i++)
		expect(data_of(resolved(th, TURN + 1, i)) == turn, "a group of another turn");
	expect(kept && kept->n == 1 && kept->out[0].port == turn, "a multicast group's turn");
	expect(session && session->class_of_service == turn, "a clone session's turn");
	own = p4n_pre_group(th, 2 + turn % 2);
	expect(own && own->out[0].port == turn, "the turn's own multicast group");
	see_cells(th, turn);
	for (uint32_t i = 0; i < INDIRECT; i++)
		p4n_entry_hit(th, th->tables[i], find(th, i, TURN), 64);
	atomic_store_explicit(&shown[turn], true, memory_order_relaxed);
}

/* Everything counts in them. */
static void hit_steady(struct p4n_thread *th)
{
	for (uint32_t i = EXACT; i <= TERNARY; i++) {
		const struct p4n_entry *e = find(th, i, STEADY);

		expect(e && (data_of(e) & ~0xffull) == seal(STEADY), "a steady entry");
		p4n_entry_hit(th, th->tables[i], e, 64);
		(void)p4n_entry_meter(th, th->tables[i], e, 64);
	}
}

/* What a packet has looked up: good until its thread is between two rounds. */
struct held {
	uint64_t number;
	const struct p4n_entry *entry[TABLES];
	const struct p4n_group *group;
	const struct p4n_clone_session *session;
};

static struct held hold(struct p4n_thread *th, uint64_t number)
{
	struct held h = {.number = number, .group = p4n_pre_group(th, (uint32_t)number),
			 .session = p4n_pre_session(th, (uint32_t)number)};

	for (uint32_t i = 0; i < TABLES; i++)
		h.entry[i] = find(th, i, number);
	return h;
}

static void see_held(struct p4n_thread *th, const struct held *h, uint32_t hash)
{
	const struct p4n_entry *e;

	for (uint32_t i = 0; i < INDIRECT; i++) {
		e = h->entry[i];
		if (!e)
			continue;
		expect((data_of(e) & ~0xffull) == seal(h->number), "an entry of another key");
		p4n_entry_hit(th, th->tables[i], e, 64);
		(void)p4n_entry_meter(th, th->tables[i], e, 64);
	}
	e = h->entry[INDIRECT];
	e = e ? p4n_resolve_member(th->tables[INDIRECT], e, hash) : NULL;
	if (e)
		expect(data_of(e) == (seal(data_of(e) & 0xff) | (data_of(e) & 0xff)),
		       "no member's data");
	for (uint32_t i = 0; h->group && i < h->group->n; i++)
		expect(h->group->out[i].rid == h->number, "a replica of another group");
	for (uint32_t i = 0; h->session && i < h->session->n; i++)
		expect(h->session->out[i].rid == h->number, "a replica of another session");
}

static void touch_cells(struct p4n_thread *th, uint64_t index)
{
	struct p4n_register *r = th->registers[NARROW];

	p4n_count(th, th->counters[0], index, 64);
	(void)p4n_meter_execute(th, th->meters[METER], index, 64);
	p4n_register_lock(th, r);
	((uint64_t *)r->cells)[index]++;
	p4n_register_unlock(th, r);
	p4n_learner_add(instance->learner, learn.id, (const uint8_t *)&index, sizeof(index));
}

static void see_wild(struct p4n_thread *th, uint64_t *state)
{
	struct held held[ROUND];

	for (uint32_t i = 0; i < ROUND; i++) {
		held[i] = hold(th, FIRST + next(state) % (WILD + CHAINS));
		see_held(th, &held[i], (uint32_t)next(state));
		touch_cells(th, 1 + held[i].number % (CELLS - 1));
	}
	for (uint32_t i = 0; i < ROUND; i++)
		see_held(th, &held[i], (uint32_t)next(state));
}

static void *forward(void *arg)
{
	uint32_t reader = (uint32_t)(uintptr_t)arg;
	uint64_t state = 0x1234567 + reader, n = 0;
	struct p4n_thread th = {
		.tables = instance->tables, .counters = instance->counters,
		.meters = instance->meters, .registers = instance->registers,
		.value_sets = instance->value_sets, .pre = &instance->pre, .index = reader,
		.shared = packet_threads > 1, .device = device,
	};

	p4n_reader_online(instance->domain, reader);
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		th.now_us = p4n_device_now_us(device);
		th.now_ms = (uint32_t)(th.now_us / 1000);
		for (uint32_t i = 0; i < ROUND; i++) {
			see_turn(&th, data_of(find(&th, EXACT, TURN)));
			hit_steady(&th);
		}
		see_wild(&th, &state);
		p4n_reader_quiescent(instance->domain, reader);
		if (++n % 64)
			continue;
		p4n_reader_offline(instance->domain, reader);
		p4n_reader_online(instance->domain, reader);
	}
	p4n_reader_offline(instance->domain, reader);
	atomic_fetch_add(&packet_rounds, n);
	return NULL;
}

/* --- the control plane's reader ---------------------------------------------------------------- */

static void read_profile(uint8_t *out)
{
	struct p4n_group_member members[8];
	uint32_t action, size;

	for (uint32_t id = 0; p4n_member_next(instance, 0, &id, &action, out) >= 0; id++)
		expect(id <= 3 || word_at(out) == (seal(id) | id), "a member read");
	for (uint32_t id = 0; p4n_group_next(instance, 0, &id, &size, members, 8) >= 0; id++)
		expect(id <= 3 || id >= FIRST, "a group read");
}

static void read_cells(uint8_t *out)
{
	const uint64_t *words = (const uint64_t *)(void *)out;
	struct p4n_meter_config c[CELLS];
	bool configured[CELLS];

	(void)p4n_counter_read(instance, 0, 0, CELLS, (uint64_t *)(void *)out);
	(void)p4n_register_read(instance, NARROW, 0, CELLS, out);
	(void)p4n_register_read(instance, BROAD, 0, CELLS, out);
	for (uint32_t i = 0; i < CELLS * WIDE; i++)
		expect(words[i] == words[i / WIDE * WIDE], "half a register read");
	expect(p4n_meter_get(instance, METER, 0, CELLS, c, configured), "no meters");
	for (uint32_t i = 0; i < CELLS; i++)
		expect(!configured[i] || (c[i].cir == c[i].cburst && c[i].pir == c[i].pburst),
		       "half a meter read");
	(void)p4n_meter_marks(instance, METER, 0, CELLS, (uint64_t *)(void *)out);
}

static void read_tables(uint8_t *out, size_t cap)
{
	for (uint32_t i = 0; i < TABLES; i++) {
		uint32_t from = 0, count;

		while (from != UINT32_MAX)
			(void)p4n_read(instance, i, &from, out, cap, 100, &count);
		(void)p4n_entry_count(instance, i);
		(void)p4n_table_bytes(instance, i);
	}
}

static void *observe(void *arg)
{
	uint8_t out[4096] __attribute__((aligned(8)));
	uint32_t index;
	uint64_t list;

	(void)arg;
	for (uint32_t n = 0; !atomic_load(&stop); n++) {
		read_profile(out);
		read_cells(out);
		read_tables(out, sizeof(out));
		(void)p4n_sweep_idle(instance, (struct idle *)(void *)out, 100, 100);
		if (p4n_digest_wait(instance, 0, &index, &list, out, sizeof(out)))
			p4n_digest_ack(instance, index, list);
		(void)p4n_port_force(device, PORT, n % 2);
	}
	return NULL;
}

/* --- the run ----------------------------------------------------------------------------------- */

static int64_t write_batch(const struct batch_of *b, int mode)
{
	int32_t status[MOST];
	uint64_t handles[MOST];

	return p4n_write(instance, b->bytes, b->len, b->count, mode, status, handles);
}

/* Every third batch is atomic and brings a new turn, unless a wild update in it is refused. */
static uint32_t write_batches(uint32_t rounds)
{
	struct batch_of b;
	uint64_t state = 99;
	uint32_t turn = 1, kept = 0;

	for (uint32_t i = 0; i < rounds; i++) {
		int mode = (int)(i % 3);
		uint32_t wild = mode == 2 ? (uint32_t)(next(&state) % 3)
					  : 1 + (uint32_t)(next(&state) % 8);

		b.count = 0;
		b.len = 0;
		turn += mode == 2;
		if (mode == 2)
			add_turn(&b, turn, false);
		for (uint32_t j = 0; j < wild; j++)
			add_wild(&b, &state);
		for (uint32_t j = (uint32_t)next(&state) % 3; j > 0; j--)
			add_steady(&b, &state, OP_MODIFY);
		if (mode == 2)
			add_rest_of_turn(&b, turn, false);
		refused[turn] |= write_batch(&b, mode) != 0 && mode == 2;
		if (mode == 2)
			kept += !refused[turn];
	}
	return kept;
}

static uint32_t count_refused_but_shown(uint32_t turns)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < turns; i++)
		n += refused[i] && atomic_load(&shown[i]);
	return n;
}

/* What packets count in an entry goes over to its next self, or back to the one that stays. */
static void expect_counts(uint64_t number)
{
	struct p4n_thread th = {.tables = instance->tables};

	p4n_observed_await(instance);
	for (uint32_t i = EXACT; i <= TERNARY; i++) {
		struct p4n_entry *e = (struct p4n_entry *)(uintptr_t)find(&th, i, number);
		struct p4n_observed seen = p4n_observed_get(e);

		expect(seen.packets == packet_rounds * ROUND, "an entry's count");
		expect(seen.bytes == 64 * seen.packets, "an entry's bytes");
		expect(i != TERNARY || number != STEADY ||
			       seen.marks[0] + seen.marks[2] + seen.marks[4] == seen.packets,
		       "a meter's marks");
	}
}

static void set_up(void)
{
	struct batch_of b = {0};
	uint64_t state = 7;

	device = p4n_device_create(packet_threads, P4N_NONE, 511, 16);
	(void)p4n_port_add(device, PORT, NULL, NULL, false);
	(void)p4n_port_add(device, PORT + 1, NULL, NULL, false);
	instance = p4n_instance_create(device, p4n_device_domain(device), &program);
	(void)p4n_device_commit(device, instance);
	add_turn(&b, 1, true);
	add_rest_of_turn(&b, 1, true);
	add_steady(&b, &state, OP_INSERT);
	expect(write_batch(&b, 2) == 0, "the first turn was refused");
}

int main(int argc, char **argv)
{
	uint32_t rounds = argc > 1 ? (uint32_t)atoi(argv[1]) : 1000, kept, lies;
	pthread_t threads[MOST_THREADS + 1];

	packet_threads = argc > 2 && !strcmp(argv[2], "1") ? 1 : MOST_THREADS;
	shown = calloc(rounds + 2, sizeof(*shown));
	refused = calloc(rounds + 2, sizeof(*refused));
	set_up();
	for (uintptr_t i = 0; i < packet_threads; i++)
		pthread_create(&threads[i], NULL, forward, (void *)i);
	pthread_create(&threads[packet_threads], NULL, observe, NULL);
	kept = write_batches(rounds);
	atomic_store(&stop, true);
	for (uint32_t i = 0; i <= packet_threads; i++)
		pthread_join(threads[i], NULL);
	expect_counts(TURN);
	expect_counts(STEADY);
	lies = count_refused_but_shown(rounds + 2);
	printf("%lu rounds of packets, %u of %u atomic batches kept, %u refused ones seen, %lu wrong\n",
	       (unsigned long)packet_rounds, kept, rounds / 3, lies, (unsigned long)wrong);
	(void)p4n_device_commit(device, NULL);
	p4n_instance_destroy(instance);
	p4n_device_destroy(device);
	free((void *)shown);
	free(refused);
	return wrong || lies || !packet_rounds || !kept || kept == rounds / 3;
}
