/* The program of stress_batches.c, and the operations that it writes. */
#include "../../p4native/runtime/engine/batch.h"
#include "../../p4native/runtime/engine/observed.h"
#include "shim.c"

#define PORT 1u	   /* it goes up and down */
#define CELLS 8u
#define WIDE 4u	   /* words of a cell of the wide registers */
#define TURN 1u	   /* the number of everything that shows the turn */
#define STEADY 4u  /* the number of entries that batches of all modes modify and none deletes */
#define FIRST 16u  /* numbers of wild objects */
#define WILD 6u
#define CHAINS 2u /* numbers behind the wild ones: an entry, its group and the group's member */

/* --- the program ------------------------------------------------------------------------------- */

enum { EXACT, LPM, ROOTED, TERNARY, SILENT, INDIRECT, TABLES };
enum { DIRECT_METER, METER };
enum { NARROW, BROAD };

static const struct p4n_key_field fields[] = {{"f", 64, 0, 8, P4N_MATCH_EXACT},
					      {"f", 64, 0, 8, P4N_MATCH_LPM},
					      {"f", 64, 0, 8, P4N_MATCH_TERNARY},
					      {"f", 32, 0, 4, P4N_MATCH_EXACT},
					      {"f", 32, 4, 4, P4N_MATCH_LPM}};
static const uint32_t set_id;
static const struct p4n_action_desc set = {"set", 0, 8};

#define TABLE_OF(kind_, field, observed, more...)                                                  \
	{.name = "t", .kind = kind_, .fields = field, .n_fields = 1, .key_bytes = 8,               \
	 .lpm_field = (kind_) == P4N_TABLE_LPM ? 0 : P4N_NONE, .max_size = 4 * WILD,               \
	 .max_data_bytes = 8, .actions = &set_id, .n_actions = 1, .with_counters = observed,       \
	 .with_timeout = observed, .default_action = P4N_NONE, more}

static const struct p4n_table_desc tables[TABLES] = {
	TABLE_OF(P4N_TABLE_EXACT, fields, true, .profile = P4N_NONE, .direct_meter = P4N_NONE),
	TABLE_OF(P4N_TABLE_LPM, fields + 1, true, .profile = P4N_NONE, .direct_meter = P4N_NONE),
	/* Each number has a tree of its own. */
	{.name = "t", .kind = P4N_TABLE_LPM, .fields = fields + 3, .n_fields = 2, .key_bytes = 8,
	 .lpm_field = 1, .max_size = 4 * WILD, .max_data_bytes = 8, .actions = &set_id,
	 .n_actions = 1, .with_counters = true, .with_timeout = true,
	 .default_action = P4N_NONE, .profile = P4N_NONE, .direct_meter = P4N_NONE},
	TABLE_OF(P4N_TABLE_TERNARY, fields + 2, true, .profile = P4N_NONE,
		 .direct_meter = DIRECT_METER),
	TABLE_OF(P4N_TABLE_EXACT, fields, false, .profile = P4N_NONE, .direct_meter = P4N_NONE),
	TABLE_OF(P4N_TABLE_EXACT, fields, true, .profile = 0, .direct_meter = P4N_NONE,
		 .impl = P4N_IMPL_SELECTOR),
};
static const struct p4n_profile_desc profile = {"p", 0, 4 * WILD, true};
static const struct p4n_counter_desc counter = {"c", 0, CELLS, P4N_NONE};
static const struct p4n_meter_desc meters[] = {{"d", 0, 0, 2, false, TERNARY},
					       {"m", 1, CELLS, 2, false, P4N_NONE}};
static const struct p4n_register_desc registers[] = {{"n", 0, CELLS, 64, 8},
						     {"b", 1, CELLS, 256, 8 * WIDE}};
static const struct p4n_value_set_desc value_set = {"v", 0, 8, WILD};
static const struct p4n_learn_desc learn = {"l", 7, 8};
static const struct p4n_pipeline program = {
	.abi = P4N_ABI_VERSION, .name = "stress", .tables = tables, .n_tables = TABLES,
	.actions = &set, .n_actions = 1, .profiles = &profile, .n_profiles = 1,
	.counters = &counter, .n_counters = 1, .meters = meters, .n_meters = 2,
	.registers = registers, .n_registers = 2, .value_sets = &value_set, .n_value_sets = 1,
	.learn_lists = &learn, .n_learn_lists = 1, .process = process, .flush = flush,
};

static uint64_t next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static uint32_t any(uint64_t *state)
{
	return FIRST + (uint32_t)(next(state) % WILD);
}

/* What a wild object of that number must hold, with anything in the low byte. */
static uint64_t seal(uint64_t number)
{
	return (number * 0x9e3779b97f4a7c15u) & ~0xffull;
}

#define MOST 48u

struct batch_of {
	uint32_t count;
	size_t len;
	uint8_t bytes[MOST * 256];
};

static void add(struct batch_of *b, struct p4n_record h, const void *body, uint32_t bytes)
{
	h.size = (uint32_t)sizeof(h) + p4n_pad8(bytes);
	memcpy(b->bytes + b->len, &h, sizeof(h));
	memset(b->bytes + b->len + sizeof(h), 0, p4n_pad8(bytes));
	if (bytes)
		memcpy(b->bytes + b->len + sizeof(h), body, bytes);
	b->len += h.size;
	b->count++;
}

/* An entry, or a default, and what it holds; an indirect one names a member or group instead. */
static void add_entry(struct batch_of *b, struct p4n_record h, uint64_t key, uint64_t data)
{
	uint64_t body[3 + P4N_METER_BYTES / 8], *at = body;
	bool default_entry = h.op == OP_SET_DEFAULT || h.op == OP_RESET_DEFAULT;

	if (!default_entry)
		*at++ = key;
	if (h.table == TERNARY && !default_entry) {
		*at++ = ~0ull;
		h.priority = 1;
	}
	h.prefix_len = default_entry ? 0 : h.table == LPM ? 64 : h.table == ROOTED ? 32 : 0;
	if (h.op <= OP_SET_DEFAULT && h.op != OP_DELETE && h.table != INDIRECT) {
		h.data_bytes = 8;
		*at++ = data;
	}
	if (h.flags & F_METER) {
		memcpy(at, (int64_t[5]){(int64_t)data, (int64_t)data, (int64_t)data, (int64_t)data},
		       P4N_METER_BYTES);
		at += P4N_METER_BYTES / 8;
	}
	add(b, h, body, (uint32_t)((uint8_t *)at - (uint8_t *)body));
}

static void add_member(struct batch_of *b, uint16_t op, uint32_t id, uint64_t data)
{
	struct p4n_record h = {.op = op, .handle = id, .data_bytes = op == OP_MEMBER_DELETE ? 0 : 8};

	add(b, h, &data, h.data_bytes);
}

static void add_group(struct batch_of *b, uint16_t op, uint32_t id,
		      const struct p4n_group_member *members, uint32_t n)
{
	add(b, (struct p4n_record){.op = op, .handle = id, .action = n}, members,
	    n * (uint32_t)sizeof(*members));
}

/* One copy, or two with a backup for the port that is down now and then. */
static void add_replicas(struct batch_of *b, uint16_t op, uint32_t id, uint32_t port, uint32_t n)
{
	struct p4n_replica out[3] = {{port, (uint16_t)id, 0}, {PORT, (uint16_t)id, 0},
				     {PORT + 1, (uint16_t)id, 1}};

	if (op == OP_MULTICAST_DELETE || op == OP_CLONE_DELETE)
		n = 0;
	add(b, (struct p4n_record){.op = op, .handle = id, .action = n,
				   .priority = op == OP_CLONE ? (int32_t)port : 0},
	    out, n * (uint32_t)sizeof(*out));
}

static void add_cells(struct batch_of *b, uint32_t first, uint32_t n, uint64_t value)
{
	int64_t v = (int64_t)value;
	struct p4n_record h = {.handle = first, .action = n};

	h.op = OP_COUNTER;
	add(b, h, (uint64_t[2]){value, value}, 16);
	h.op = OP_REGISTER;
	h.data_bytes = 8;
	add(b, h, &value, 8);
	h.table = BROAD;
	h.data_bytes = 8 * WIDE;
	add(b, h, (uint64_t[WIDE]){value, value, value, value}, 8 * WIDE);
	h = (struct p4n_record){.op = OP_METER, .table = METER, .handle = first, .action = n,
				.flags = F_METER};
	add(b, h, (int64_t[5]){v, v, v, v, 0}, P4N_METER_BYTES);
}

/* Everything that shows the turn, before and behind the wild updates of the batch. */
static void add_turn(struct batch_of *b, uint32_t turn, bool first)
{
	const struct p4n_group_member members[2][2] = {{{1, 1, P4N_NONE}, {2, 2, P4N_NONE}},
						       {{2, 3, P4N_NONE}, {1, 1, P4N_NONE}}};
	uint16_t op = first ? OP_INSERT : OP_MODIFY;

	add_entry(b, (struct p4n_record){.op = op, .table = EXACT}, TURN, turn);
	add_entry(b, (struct p4n_record){.op = op, .table = LPM}, TURN, turn);
	add_entry(b, (struct p4n_record){.op = op, .table = ROOTED}, TURN, turn);
	add_entry(b, (struct p4n_record){.op = op, .table = SILENT}, TURN, turn);
	add_member(b, first ? OP_MEMBER_INSERT : OP_MEMBER_MODIFY, 1, turn);
	add_member(b, first ? OP_MEMBER_INSERT : OP_MEMBER_MODIFY, 2, turn);
	add_group(b, first ? OP_GROUP_INSERT : OP_GROUP_MODIFY, 1, members[turn % 2], 2);
	add_replicas(b, OP_MULTICAST, TURN, turn, 1);
	add_replicas(b, OP_MULTICAST, 2 + turn % 2, turn, 1);
	add_replicas(b, OP_MULTICAST_DELETE, 2 + (turn + 1) % 2, 0, 0);
}

static void add_rest_of_turn(struct batch_of *b, uint32_t turn, bool first)
{
	struct p4n_record h = {.op = first ? OP_INSERT : OP_MODIFY, .table = TERNARY,
			       .flags = F_METER};
	const uint64_t value[2] = {turn, ~0ull};

	add_entry(b, h, TURN, turn);
	add_entry(b, (struct p4n_record){.op = OP_SET_DEFAULT, .table = EXACT}, 0, turn);
	add_replicas(b, OP_CLONE, TURN, turn, 1);
	add_cells(b, 0, 1, turn);
	add(b, (struct p4n_record){.op = OP_VALUE_SET, .action = 1}, value, sizeof(value));
	h = (struct p4n_record){.op = first ? OP_INSERT : OP_MODIFY, .table = INDIRECT, .action = 1,
				.flags = F_MEMBER};
	add_entry(b, h, TURN, 0);
	h.flags = F_GROUP;
	add_entry(b, h, TURN + 1, 0);
}

static void add_wild_entry(struct batch_of *b, uint64_t *state)
{
	uint64_t choice = next(state), key = any(state);
	struct p4n_record h = {.table = choice % TABLES, .op = (uint16_t)(1 + (choice >> 8) % 3)};

	h.idle_ns = h.op == OP_DELETE ? 0 : (choice >> 16 & 3) * 100000;
	if (h.table == INDIRECT) {
		h.action = any(state);
		h.flags = choice & 1 << 20 ? F_MEMBER : F_GROUP;
	} else if (h.table == TERNARY && h.op != OP_DELETE) {
		h.flags = choice & 1 << 20 ? F_METER : 0;
		if (choice & 1 << 21 && h.flags) {
			h.op = choice & 1 << 22 ? OP_DIRECT : OP_KEEP_ACTION;
			h.idle_ns = 0;
		}
	} else if (h.table == LPM && choice >> 24 & 1) {
		h = (struct p4n_record){.table = LPM, .op = choice >> 25 & 1 ? OP_SET_DEFAULT
									      : OP_RESET_DEFAULT};
	}
	add_entry(b, h, key, seal(key) | (choice >> 32 & 0xff));
}

/* Entries in which every packet counts, whatever becomes of the batch. */
static void add_steady(struct batch_of *b, uint64_t *state, uint16_t op)
{
	for (uint16_t table = EXACT; table <= TERNARY; table++) {
		struct p4n_record h = {.op = op, .table = table};

		if (table == TERNARY && next(state) % 2)
			h.flags = F_METER;
		h.idle_ns = next(state) % 2 * 1000000;
		add_entry(b, h, STEADY, seal(STEADY) | (next(state) & 0xff));
	}
}

static void add_wild_group(struct batch_of *b, uint64_t *state)
{
	struct p4n_group_member members[4];
	uint16_t op = (uint16_t)(OP_GROUP_INSERT + next(state) % 3);
	uint32_t n = op == OP_GROUP_DELETE ? 0 : (uint32_t)(next(state) % 4);

	for (uint32_t i = 0; i < n; i++)
		members[i] = (struct p4n_group_member){any(state), 1 + (uint32_t)(next(state) % 4),
						       next(state) % 2 ? PORT : P4N_NONE};
	add_group(b, op, any(state), members, n);
}

/* All of it is made, or goes: nothing refers to the member when its own turn comes, and packets may
 * still be there. */
static void add_chain(struct batch_of *b, uint32_t id, bool made)
{
	const struct p4n_group_member member = {id, 2, P4N_NONE};
	struct p4n_record entry = {.table = INDIRECT, .op = OP_DELETE};

	if (made) {
		add_member(b, OP_MEMBER_INSERT, id, seal(id) | id);
		add_group(b, OP_GROUP_INSERT, id, &member, 1);
		entry = (struct p4n_record){.table = INDIRECT, .op = OP_INSERT, .action = id,
					    .flags = F_GROUP};
	}
	add_entry(b, entry, id, 0);
	if (made)
		return;
	add_group(b, OP_GROUP_DELETE, id, NULL, 0);
	add_member(b, OP_MEMBER_DELETE, id, 0);
}

static void add_wild(struct batch_of *b, uint64_t *state)
{
	uint64_t choice = next(state);
	uint32_t id = any(state);

	switch (choice % 8) {
	case 0: case 1:
		add_wild_entry(b, state);
		break;
	case 2:
		add_chain(b, FIRST + WILD + (uint32_t)(choice >> 8) % CHAINS, choice >> 16 & 1);
		break;
	case 3:
		add_member(b, (uint16_t)(OP_MEMBER_INSERT + (choice >> 8) % 3), id, seal(id) | id);
		break;
	case 4:
		add_wild_group(b, state);
		break;
	case 5:
		add_replicas(b, choice & 256 ? OP_MULTICAST : OP_MULTICAST_DELETE, id, 5, 3);
		break;
	case 6:
		add_replicas(b, choice & 256 ? OP_CLONE : OP_CLONE_DELETE, id, 5, 3);
		break;
	default:
		add_cells(b, 1 + (uint32_t)(choice >> 8) % 4, 3, choice);
		add(b, (struct p4n_record){.op = choice & 256 ? OP_DIGEST : OP_DIGEST_OFF,
					   .action = 4, .age_ns = 1000}, NULL, 0);
	}
}
