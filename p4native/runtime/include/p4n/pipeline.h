/* The contract between a generated pipeline and the engine that runs it.
 *
 * One shared object holds one `const struct p4n_pipeline p4n_pipeline`. It describes every object
 * the program declares, in the order of the BMv2 JSON; an object's position in its array is the
 * index that both sides use afterwards. */
#ifndef P4N_PIPELINE_H
#define P4N_PIPELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <p4n/packet.h>

#define P4N_ABI_VERSION 1u
#define P4N_NONE UINT32_MAX /* "no such object" in an index */

struct p4n_thread;

enum p4n_match {
	P4N_MATCH_EXACT,
	P4N_MATCH_LPM,
	P4N_MATCH_TERNARY,
	P4N_MATCH_RANGE,
	P4N_MATCH_OPTIONAL,
	P4N_MATCH_VALID,
};

/* How the whole table is searched: the most general of its fields. */
enum p4n_table_kind {
	P4N_TABLE_EXACT,
	P4N_TABLE_LPM,     /* one lpm field, the others exact */
	P4N_TABLE_TERNARY, /* ternary or optional fields, by priority */
	P4N_TABLE_RANGE,   /* at least one range field, by priority */
};

enum p4n_table_impl {
	P4N_IMPL_SIMPLE,
	P4N_IMPL_PROFILE,  /* entries name a member of an action profile */
	P4N_IMPL_SELECTOR, /* entries name a member or a group */
};

struct p4n_key_field {
	const char *name;
	uint32_t width;  /* bits */
	uint32_t offset; /* byte offset in the key */
	uint32_t bytes;  /* ceil(width / 8), big-endian, right-aligned */
	enum p4n_match match;
};

/* A `const entries` row. Key and mask have the table's key_bytes; see p4native/codegen/layout.py. */
struct p4n_const_entry {
	const uint8_t *key;
	const uint8_t *mask;  /* ternary mask or range high bound; NULL for exact and lpm tables */
	uint32_t prefix_len;  /* lpm tables: bits of the lpm field */
	int32_t priority;     /* BMv2's order: a smaller number wins */
	uint32_t action;      /* JSON action id */
	const uint8_t *data;
	uint32_t data_bytes;
};

struct p4n_table_desc {
	const char *name;
	uint32_t id; /* JSON id */
	enum p4n_table_kind kind;
	enum p4n_table_impl impl;
	const struct p4n_key_field *fields;
	uint32_t n_fields;
	uint32_t key_bytes;      /* 0: keyless, only the default action */
	uint32_t lpm_field;      /* index into fields, or P4N_NONE */
	uint32_t max_size;       /* entries */
	uint32_t max_data_bytes; /* largest action data of its actions */
	const uint32_t *actions; /* JSON action ids */
	uint32_t n_actions;
	uint32_t profile;        /* index into profiles, or P4N_NONE */
	uint32_t direct_meter;   /* index into meters, or P4N_NONE */
	bool with_counters;
	bool with_timeout;
	bool const_default;      /* default action may not be changed */
	bool const_entries;      /* immutable */
	bool inlined;            /* the pipeline never looks it up: a table turned into code */
	uint32_t default_action; /* JSON action id, or P4N_NONE */
	const uint8_t *default_data;
	uint32_t default_data_bytes;
	const struct p4n_const_entry *entries;
	uint32_t n_entries;
};

struct p4n_action_desc {
	const char *name;
	uint32_t id; /* JSON id */
	uint32_t data_bytes;
};

struct p4n_profile_desc {
	const char *name;
	uint32_t id;
	uint32_t max_size;
	bool selector;
};

struct p4n_counter_desc {
	const char *name;
	uint32_t id;
	uint32_t size;  /* cells */
	uint32_t table; /* direct: index into tables, else P4N_NONE */
};

struct p4n_meter_desc {
	const char *name;
	uint32_t id;
	uint32_t size;
	uint32_t rates;  /* rate/burst pairs: 2 for two-rate three-colour */
	bool bytes;      /* false: packets */
	uint32_t table;  /* direct: index into tables, else P4N_NONE */
};

struct p4n_register_desc {
	const char *name;
	uint32_t id;
	uint32_t size;
	uint32_t width;      /* bits */
	uint32_t cell_bytes; /* 1, 2, 4, 8 native-endian up to 64 bits; ceil(width / 8) big-endian above */
};

struct p4n_value_set_desc {
	const char *name;
	uint32_t id;
	uint32_t key_bytes; /* each field ceil(width / 8) bytes, as the parser's transition key */
	uint32_t max_size;
};

struct p4n_learn_desc {
	const char *name;
	uint32_t id; /* the id that p4n_learn() carries */
	uint32_t record_bytes;
};

/* What the program may do to a frame: decides what the engine completes before process(). */
enum p4n_effect {
	P4N_READS_PAYLOAD = 1u << 0,   /* checksums or parses bytes beyond the L4 header */
	P4N_READS_L4_CSUM = 1u << 1,   /* reads or verifies a TCP/UDP checksum field */
	P4N_WRITES_L4_CSUM = 1u << 2,  /* writes or updates a TCP/UDP checksum field */
	P4N_WRITES_L3 = 1u << 3,       /* writes fields of an IPv4/IPv6 header */
	P4N_WRITES_L4 = 1u << 4,       /* writes fields of a TCP/UDP header */
	P4N_CHANGES_LENGTH = 1u << 5,  /* adds or removes headers, or truncates */
	P4N_READS_LENGTH = 1u << 6,    /* reads packet_length or an IP/UDP length field */
	P4N_WRITES_LENGTH = 1u << 7,   /* writes an IP/UDP length field */
	P4N_READS_IP_ID = 1u << 8,     /* reads the IPv4 identification */
};

/* The whole program, as the engine sees it. */
struct p4n_pipeline {
	uint32_t abi; /* P4N_ABI_VERSION */
	const char *name;
	const struct p4n_table_desc *tables;
	uint32_t n_tables;
	const struct p4n_action_desc *actions;
	uint32_t n_actions;
	const struct p4n_profile_desc *profiles;
	uint32_t n_profiles;
	const struct p4n_counter_desc *counters;
	uint32_t n_counters;
	const struct p4n_meter_desc *meters;
	uint32_t n_meters;
	const struct p4n_register_desc *registers;
	uint32_t n_registers;
	const struct p4n_value_set_desc *value_sets;
	uint32_t n_value_sets;
	const struct p4n_learn_desc *learn_lists;
	uint32_t n_learn_lists;
	uint32_t effects;      /* enum p4n_effect bits */
	uint32_t state_bytes;  /* zeroed, 64-byte aligned memory per thread: th->pipeline_state */
	/* Runs n frames (which it then owns) to completion: every one ends in p4n_tx(), p4n_drop() or
	 * is kept for another pass. Returns the frames kept (resubmitted, recirculated): while that is
	 * not 0 the engine calls again, with n == 0 if nothing arrived. */
	uint32_t (*process)(struct p4n_thread *th, struct p4n_packet **pkts, uint32_t n);
	/* Frees the frames kept by process(), before th->pipeline_state is given to another pipeline. */
	void (*flush)(struct p4n_thread *th);
};

extern const struct p4n_pipeline p4n_pipeline;

/* Append-only: numbers are shown to operators. */
enum p4n_drop_reason {
	P4N_DROP_INGRESS,       /* egress_spec is the drop port after ingress */
	P4N_DROP_EGRESS,        /* egress_spec is the drop port after egress */
	P4N_DROP_MULTICAST,     /* multicast group without members */
	P4N_DROP_NO_MEMORY,     /* packet pool exhausted */
	P4N_DROP_LOOP_FULL,     /* too many frames resubmitted or recirculated */
	P4N_DROP_TOO_LONG,      /* headers do not fit in front of the frame */
	P4N_DROP_PRIORITY,      /* priority beyond the port's queues */
	P4N_DROP_ASSERT,        /* assert() or assume() failed */
	P4N_DROP_NO_PORT,       /* engine: no such port */
	P4N_DROP_TX_FULL,       /* engine: the port's queue is full */
	P4N_DROP_NO_PIPELINE,   /* engine: no program is loaded */
	P4N_DROP_MALFORMED,     /* engine: the frame contradicts its offload state */
	P4N_DROP_REASONS,
};

/* Hands the frame to a port (any 32-bit number; the engine drops unknown ports). */
void p4n_tx(struct p4n_thread *th, uint32_t port, struct p4n_packet *pkt);
/* Frees the frame and counts why. */
void p4n_drop(struct p4n_thread *th, struct p4n_packet *pkt, enum p4n_drop_reason why);
/* One digest record of a learn list (record_bytes long), copied. */
void p4n_learn(struct p4n_thread *th, uint32_t list_id, const uint8_t *data, uint32_t len);
/* log_msg(), assert() and assume(): formatted text with its length; rate limits are the engine's. */
void p4n_log(struct p4n_thread *th, const char *text, uint32_t len);

#endif
