/* Table entries of a P4Runtime WriteRequest, from the wire to the engine's records.
 *
 * This is a fast path and nothing else: an update that is not a plain, correct table entry is left
 * to the caller (mark 0), who has the words to say what is wrong with it. The input is whatever a
 * client sent. Records: p4native/switch/records.py; plan: p4native/p4runtime/fastpath.py. */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <p4n/record.h>

#define P4R_EXPORT __attribute__((visibility("default")))

enum { WIRE_VARINT = 0, WIRE_BYTES = 2 };
enum { KIND_EXACT = 2, KIND_LPM, KIND_TERNARY, KIND_RANGE, KIND_OPTIONAL };
enum { TABLE_PRIORITY = 1, TABLE_MASKED = 2, TABLE_IDLE = 4 };
enum { UPDATE_INSERT = 1, UPDATE_MODIFY, UPDATE_DELETE };
enum { MAX_FIELDS = 64, MAX_NOTE = 0xffff };

/* A run of bytes that is consumed from the front. */
struct slice {
	const uint8_t *at, *end;
};

/* The plan, as arrays of 32-bit words. */
struct field {
	uint32_t id, kind, width, offset, size;
};

struct action {
	uint32_t id, json_id, size, n_params, params; /* params: word offset in the plan */
};

struct table {
	uint32_t id, index, flags, key_size, n_fields, n_actions, fields, actions;
};

_Static_assert(sizeof(struct field) == 20 && sizeof(struct action) == 20 &&
		       sizeof(struct table) == 32, "the plan is made of 32-bit words");

/* A TableEntry with its parts still encoded. */
struct entry {
	uint64_t table_id, priority, cookie, idle_ns;
	struct slice match[MAX_FIELDS];
	uint32_t n_match;
	struct slice action, metadata;
};

static size_t pad8(size_t n)
{
	return (n + 7) & ~(size_t)7;
}

/* --- wire format ------------------------------------------------------------------------------- */

static bool take_varint(struct slice *s, uint64_t *value)
{
	*value = 0;
	for (uint32_t shift = 0; shift < 64 && s->at < s->end; shift += 7) {
		uint8_t byte = *s->at++;

		*value |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			return true;
	}
	return false;
}

static bool take_bytes(struct slice *s, struct slice *out)
{
	uint64_t size;

	if (!take_varint(s, &size) || size > (uint64_t)(s->end - s->at))
		return false;
	*out = (struct slice){s->at, s->at + size};
	s->at += size;
	return true;
}

static bool skip(struct slice *s, uint32_t wire)
{
	static const uint8_t fixed[8] = {[1] = 8, [5] = 4};
	struct slice ignored;
	uint64_t value;

	if (wire == WIRE_VARINT)
		return take_varint(s, &value);
	if (wire == WIRE_BYTES)
		return take_bytes(s, &ignored);
	if (!fixed[wire] || s->end - s->at < fixed[wire])
		return false;
	s->at += fixed[wire];
	return true;
}

/* --- values ------------------------------------------------------------------------------------ */

/* Right-aligns an unsigned value in size zeroed bytes; false if it is empty or too wide. */
static bool put_value(struct slice v, uint32_t width, uint8_t *out, uint32_t size)
{
	if (v.at == v.end)
		return false;
	while (v.at < v.end && *v.at == 0)
		v.at++;
	if ((uint64_t)(v.end - v.at) > size)
		return false;
	if ((uint64_t)(v.end - v.at) == size && width % 8 && *v.at >> (width % 8))
		return false;
	memcpy(out + size - (v.end - v.at), v.at, (size_t)(v.end - v.at));
	return true;
}

static void put_ones(uint32_t width, uint8_t *out, uint32_t size)
{
	memset(out, 0xff, size);
	if (width % 8)
		out[0] = (uint8_t)((1u << (width % 8)) - 1);
}

static bool is_zero(const uint8_t *p, uint32_t size)
{
	uint8_t any = 0;

	for (uint32_t i = 0; i < size; i++)
		any |= p[i];
	return any == 0;
}

static bool outside_mask(const uint8_t *value, const uint8_t *mask, uint32_t size)
{
	uint8_t any = 0;

	for (uint32_t i = 0; i < size; i++)
		any |= (uint8_t)(value[i] & ~mask[i]);
	return any != 0;
}

/* Sets the mask of a prefix: the upper `length` of `width` bits. */
static void put_prefix(uint32_t width, uint32_t length, uint8_t *mask, uint32_t size)
{
	uint32_t first = size * 8 - width;

	for (uint32_t bit = first; bit < first + length; bit++)
		mask[bit / 8] |= (uint8_t)(0x80 >> (bit % 8));
}

/* --- matches ----------------------------------------------------------------------------------- */

/* The two members of a match message: bytes 1 and 2, or bytes 1 and the integer 2. */
static bool parse_pair(struct slice s, struct slice *first, struct slice *second, uint64_t *number)
{
	uint64_t tag;

	while (s.at < s.end) {
		if (!take_varint(&s, &tag))
			return false;
		if (tag == (1 << 3 | WIRE_BYTES)) {
			if (!take_bytes(&s, first))
				return false;
		} else if (tag == (2 << 3 | WIRE_BYTES) && second) {
			if (!take_bytes(&s, second))
				return false;
		} else if (tag == (2 << 3 | WIRE_VARINT) && number) {
			if (!take_varint(&s, number))
				return false;
		} else {
			return false;
		}
	}
	return true;
}

static bool put_lpm(const struct field *f, struct slice s, uint8_t *key, uint8_t *mask,
		    bool masked, struct p4n_record *h)
{
	struct slice value = {0};
	uint64_t length = 0;
	uint8_t bits[64] = {0};

	if (f->size > sizeof(bits) || !parse_pair(s, &value, NULL, &length))
		return false;
	if (length == 0 || length > f->width || !put_value(value, f->width, key, f->size))
		return false;
	put_prefix(f->width, (uint32_t)length, bits, f->size);
	if (outside_mask(key, bits, f->size))
		return false;
	if (masked)
		memcpy(mask, bits, f->size);
	else
		h->prefix_len = (uint32_t)length;
	return true;
}

static bool put_masked(const struct field *f, struct slice s, uint8_t *key, uint8_t *mask)
{
	struct slice value = {0}, bits = {0};

	if (!parse_pair(s, &value, &bits, NULL) || !put_value(value, f->width, key, f->size) ||
	    !put_value(bits, f->width, mask, f->size))
		return false;
	if (f->kind == KIND_TERNARY)
		return !is_zero(mask, f->size) && !outside_mask(key, mask, f->size);
	/* Range: low <= high, and not every value. */
	if (memcmp(key, mask, f->size) > 0)
		return false;
	if (is_zero(key, f->size)) {
		uint8_t full[64];

		if (f->size > sizeof(full))
			return false;
		put_ones(f->width, full, f->size);
		return memcmp(mask, full, f->size) != 0;
	}
	return true;
}

static bool put_single(const struct field *f, struct slice s, uint8_t *key, uint8_t *mask,
		       bool masked)
{
	struct slice value = {0};

	if (!parse_pair(s, &value, NULL, NULL) || !put_value(value, f->width, key, f->size))
		return false;
	if (masked)
		put_ones(f->width, mask, f->size);
	return true;
}

/* One FieldMatch: field_id 1, and one of exact 2, ternary 3, lpm 4, range 6, optional 7. */
static bool parse_match(struct slice s, uint64_t *id, uint32_t *kind, struct slice *body)
{
	static const uint8_t kinds[8] = {[2] = KIND_EXACT, [3] = KIND_TERNARY, [4] = KIND_LPM,
					 [6] = KIND_RANGE, [7] = KIND_OPTIONAL};
	uint64_t tag;

	*id = 0;
	*kind = 0;
	while (s.at < s.end) {
		if (!take_varint(&s, &tag))
			return false;
		if (tag == (1 << 3 | WIRE_VARINT)) {
			if (!take_varint(&s, id))
				return false;
		} else if ((tag & 7) == WIRE_BYTES && tag >> 3 < 8 && kinds[tag >> 3] && !*kind) {
			*kind = kinds[tag >> 3];
			if (!take_bytes(&s, body))
				return false;
		} else {
			return false;
		}
	}
	return *kind != 0;
}

static bool put_key(const uint32_t *plan, const struct table *t, const struct entry *e,
		    uint8_t *key, uint8_t *mask, struct p4n_record *h)
{
	const struct field *fields = (const struct field *)(plan + t->fields);
	bool masked = (t->flags & TABLE_MASKED) != 0;
	uint64_t given = 0;

	for (uint32_t i = 0; i < e->n_match; i++) {
		struct slice body = {0};
		uint32_t kind, n = 0;
		uint64_t id;
		bool good;

		if (!parse_match(e->match[i], &id, &kind, &body))
			return false;
		while (n < t->n_fields && fields[n].id != id)
			n++;
		if (n == t->n_fields || fields[n].kind != kind || given >> n & 1)
			return false;
		given |= (uint64_t)1 << n;
		if (kind == KIND_LPM)
			good = put_lpm(&fields[n], body, key + fields[n].offset,
				       mask + fields[n].offset, masked, h);
		else if (kind == KIND_TERNARY || kind == KIND_RANGE)
			good = put_masked(&fields[n], body, key + fields[n].offset,
					  mask + fields[n].offset);
		else
			good = put_single(&fields[n], body, key + fields[n].offset,
					  mask + fields[n].offset, masked);
		if (!good)
			return false;
	}
	for (uint32_t n = 0; n < t->n_fields; n++) {
		if (given >> n & 1)
			continue;
		if (fields[n].kind == KIND_EXACT)
			return false;
		if (fields[n].kind == KIND_RANGE)
			put_ones(fields[n].width, mask + fields[n].offset, fields[n].size);
	}
	return true;
}

/* --- actions ----------------------------------------------------------------------------------- */

static bool put_param(const uint32_t *plan, const struct action *a, struct slice s, uint64_t *given,
		      uint8_t *data)
{
	const struct field *params = (const struct field *)(plan + a->params);
	struct slice value = {0};
	uint64_t tag, id = 0;
	uint32_t n = 0;

	while (s.at < s.end) {
		if (!take_varint(&s, &tag))
			return false;
		if (tag == (2 << 3 | WIRE_VARINT)) {
			if (!take_varint(&s, &id))
				return false;
		} else if (tag != (3 << 3 | WIRE_BYTES) || !take_bytes(&s, &value)) {
			return false;
		}
	}
	while (n < a->n_params && params[n].id != id)
		n++;
	if (n == a->n_params || *given >> n & 1)
		return false;
	*given |= (uint64_t)1 << n;
	return put_value(value, params[n].width, data + params[n].offset, params[n].size);
}

static const struct action *find_action(const uint32_t *plan, const struct table *t, uint64_t id)
{
	const struct action *actions = (const struct action *)(plan + t->actions);

	for (uint32_t i = 0; i < t->n_actions; i++)
		if (actions[i].id == id)
			return &actions[i];
	return NULL;
}

/* TableAction { action 1 } with Action { action_id 1, params 4 }, each once. */
static bool put_action(const uint32_t *plan, const struct table *t, struct slice s, uint8_t *data,
		       struct p4n_record *h)
{
	const struct action *a = NULL;
	struct slice body, param, rest;
	uint64_t tag, id = 0, given = 0;

	if (!take_varint(&s, &tag) || tag != (1 << 3 | WIRE_BYTES) || !take_bytes(&s, &body) ||
	    s.at != s.end)
		return false;
	for (rest = body; rest.at < rest.end;) {
		if (!take_varint(&rest, &tag))
			return false;
		if (tag == (1 << 3 | WIRE_VARINT)) {
			if (a || !take_varint(&rest, &id))
				return false;
			a = find_action(plan, t, id);
			if (!a)
				return false;
			memset(data, 0, pad8(a->size));
		} else if (tag != (4 << 3 | WIRE_BYTES) || !a || !take_bytes(&rest, &param) ||
			   !put_param(plan, a, param, &given, data)) {
			return false;
		}
	}
	if (!a || (a->n_params && given != ~(uint64_t)0 >> (64 - a->n_params)))
		return false;
	h->action = a->json_id;
	h->data_bytes = (uint16_t)a->size;
	return true;
}

/* --- entries ----------------------------------------------------------------------------------- */

static bool take_entry_field(struct slice *s, uint64_t tag, struct entry *e)
{
	switch (tag) {
	case 1 << 3 | WIRE_VARINT:
		return take_varint(s, &e->table_id);
	case 2 << 3 | WIRE_BYTES:
		return e->n_match < MAX_FIELDS && take_bytes(s, &e->match[e->n_match++]);
	case 3 << 3 | WIRE_BYTES:
		return !e->action.at && take_bytes(s, &e->action);
	case 4 << 3 | WIRE_VARINT:
		return take_varint(s, &e->priority);
	case 5 << 3 | WIRE_VARINT:
		return take_varint(s, &e->cookie);
	case 9 << 3 | WIRE_VARINT:
		return take_varint(s, &e->idle_ns);
	case 11 << 3 | WIRE_BYTES:
		return take_bytes(s, &e->metadata);
	default: /* direct resources, the default entry, const entries, fields not known yet */
		return false;
	}
}

static bool parse_entry(struct slice s, struct entry *e)
{
	uint64_t tag;

	e->table_id = e->priority = e->cookie = e->idle_ns = 0;
	e->n_match = 0;
	e->action = e->metadata = (struct slice){0};
	while (s.at < s.end)
		if (!take_varint(&s, &tag) || !take_entry_field(&s, tag, e))
			return false;
	return true;
}

/* Update { type 1, entity 2 } with Entity { table_entry 2 }. */
static bool parse_update(struct slice s, uint64_t *type, struct slice *entry)
{
	struct slice entity = {0};
	uint64_t tag;

	*type = 0;
	while (s.at < s.end) {
		if (!take_varint(&s, &tag))
			return false;
		if (tag == (1 << 3 | WIRE_VARINT)) {
			if (!take_varint(&s, type))
				return false;
		} else if (tag != (2 << 3 | WIRE_BYTES) || entity.at || !take_bytes(&s, &entity)) {
			return false;
		}
	}
	return entity.at && take_varint(&entity, &tag) && tag == (2 << 3 | WIRE_BYTES) &&
	       take_bytes(&entity, entry) && entity.at == entity.end &&
	       *type >= UPDATE_INSERT && *type <= UPDATE_DELETE;
}

static uint8_t *put_varint(uint8_t *out, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		*out++ = (uint8_t)(value | 0x80);
	*out++ = (uint8_t)value;
	return out;
}

/* The controller's own data, as a TableEntry of controller_metadata 5 and metadata 11. */
static bool put_note(const struct entry *e, uint8_t *out, struct p4n_record *h)
{
	size_t size = (size_t)(e->metadata.end - e->metadata.at);
	uint8_t *at = out;

	if (size > MAX_NOTE - 32)
		return false;
	if (e->cookie) {
		*at++ = 5 << 3 | WIRE_VARINT;
		at = put_varint(at, e->cookie);
	}
	if (size) {
		*at++ = 11 << 3 | WIRE_BYTES;
		at = put_varint(at, size);
		memcpy(at, e->metadata.at, size);
		at += size;
	}
	h->note_bytes = (uint16_t)(at - out);
	memset(at, 0, pad8(h->note_bytes) - h->note_bytes);
	return true;
}

static bool numbers_allowed(const struct table *t, const struct entry *e, uint64_t type)
{
	int32_t priority = (int32_t)e->priority;

	if (t->flags & TABLE_PRIORITY ? priority <= 0 : priority != 0)
		return false;
	if (type == UPDATE_DELETE || !e->idle_ns)
		return true;
	return (t->flags & TABLE_IDLE) && e->idle_ns <= INT64_MAX;
}

static const struct table *find_table(const uint32_t *plan, uint64_t id)
{
	const struct table *tables = (const struct table *)(plan + 1);

	for (uint32_t i = 0; i < plan[0]; i++)
		if (tables[i].id == id)
			return &tables[i];
	return NULL;
}

/* Writes the record of one update; returns its size, or 0 if it is one for the caller. */
static size_t encode(const uint32_t *plan, struct slice update, uint8_t *out, size_t room)
{
	struct p4n_record h = {0};
	const struct table *t;
	struct slice body;
	struct entry e;
	size_t key_pad, at;
	uint64_t type;

	if (!parse_update(update, &type, &body) || !parse_entry(body, &e))
		return 0;
	t = find_table(plan, e.table_id);
	if (!t || !numbers_allowed(t, &e, type))
		return 0;
	/* plan[1..] bounds action data by 4096 bytes (fastpath.py). */
	key_pad = pad8(t->key_size);
	if (room < sizeof(h) + 2 * key_pad + 4096 + 48 + (size_t)(update.end - update.at))
		return 0;
	memset(out + sizeof(h), 0, 2 * key_pad);
	if (!put_key(plan, t, &e, out + sizeof(h), out + sizeof(h) + key_pad, &h))
		return 0;
	at = sizeof(h) + (t->flags & TABLE_MASKED ? 2 : 1) * key_pad;
	h.op = (uint16_t)type;
	h.table = (uint16_t)t->index;
	h.priority = (int32_t)e.priority;
	if (type != UPDATE_DELETE) {
		if (!e.action.at || !put_action(plan, t, e.action, out + at, &h))
			return 0;
		at += pad8(h.data_bytes);
		if (!put_note(&e, out + at, &h))
			return 0;
		at += pad8(h.note_bytes);
		h.idle_ns = e.idle_ns;
	}
	h.size = (uint32_t)at;
	memcpy(out, &h, sizeof(h));
	return at;
}

/* --- interface --------------------------------------------------------------------------------- */

/* Splits a WriteRequest: where each update (field 4) is, and all other fields copied to `head`.
 * With head NULL it only measures. Returns the number of updates, -1 if it is malformed. */
P4R_EXPORT int64_t p4r_split(const uint8_t *raw, size_t size, uint8_t *head, size_t *head_size,
			     uint32_t *offsets, uint32_t *sizes)
{
	struct slice s = {raw, raw + size}, update;
	int64_t count = 0;
	uint64_t tag;

	*head_size = 0;
	while (s.at < s.end) {
		const uint8_t *start = s.at;

		if (!take_varint(&s, &tag) || !(tag >> 3))
			return -1;
		if (tag == (4 << 3 | WIRE_BYTES)) {
			if (!take_bytes(&s, &update))
				return -1;
			if (head) {
				offsets[count] = (uint32_t)(update.at - raw);
				sizes[count] = (uint32_t)(update.end - update.at);
			}
			count++;
			continue;
		}
		if (!skip(&s, tag & 7))
			return -1;
		if (head)
			memcpy(head + *head_size, start, (size_t)(s.at - start));
		*head_size += (size_t)(s.at - start);
	}
	return count;
}

/* Encodes `count` updates to `out`; marks[i] is the size of update i's record, or 0 if there is
 * none. Returns the bytes written. */
P4R_EXPORT size_t p4r_encode(const uint32_t *plan, const uint8_t *raw, const uint32_t *offsets,
			     const uint32_t *sizes, uint32_t count, uint8_t *out, size_t room,
			     uint32_t *marks)
{
	size_t used = 0;

	for (uint32_t i = 0; i < count; i++) {
		struct slice update = {raw + offsets[i], raw + offsets[i] + sizes[i]};

		marks[i] = (uint32_t)encode(plan, update, out + used, room - used);
		used += marks[i];
	}
	return used;
}
