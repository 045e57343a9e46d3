/* Packet replication: multicast groups and clone sessions. */
#ifndef P4N_PRE_H
#define P4N_PRE_H

#include <stdatomic.h>
#include <stdint.h>

struct p4n_replica {
	uint32_t port;
	uint16_t rid;    /* instance: egress_rid */
	uint16_t backup; /* 1: stands in for the one before it while that one's port is down */
};

/* Replicas in the order in which copies are made (p4native/switch/replicas.py). */
struct p4n_group {
	uint32_t id;
	uint32_t n;
	uint32_t wanted; /* replicas with their backups, behind the n; 0 when none has any */
	struct p4n_replica out[];
};

struct p4n_clone_session {
	uint32_t id;
	uint32_t egress_port;      /* P4N_NONE: see n and mgid */
	uint32_t mgid;             /* replicate to this multicast group; 0 none */
	uint32_t packet_length;    /* truncate the clone to so many bytes; 0 whole */
	uint32_t class_of_service;
	uint32_t n;                /* replicas of the session itself */
	uint32_t wanted;           /* as in a group */
	struct p4n_replica out[];
};

/* Ids are 16 bits wide in BMv2: two levels of 256 pointers, allocated when first used. */
struct p4n_id_map {
	void *_Atomic *_Atomic page[256];
};

struct p4n_pre {
	struct p4n_id_map groups;
	struct p4n_id_map sessions;
};

static inline void *p4n_id_find(const struct p4n_id_map *map, uint32_t id)
{
	void *_Atomic *page;

	if (id > 0xffff)
		return (void *)0;
	page = atomic_load_explicit(&map->page[id >> 8], memory_order_acquire);
	return page ? atomic_load_explicit(&page[id & 0xff], memory_order_acquire) : (void *)0;
}

#endif
