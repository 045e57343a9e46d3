/* Ports: where frames come from and go to. */
#ifndef P4N_PORT_H
#define P4N_PORT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define P4N_MAX_PORT 65536u

enum p4n_port_kind {
	P4N_PORT_PACKET, /* a network interface, through AF_PACKET */
	P4N_PORT_MEMORY, /* frames injected and collected by the caller */
	P4N_PORT_CPU,    /* packet-in and packet-out */
};

/* Every word has one writer, except where packet threads share a port's transmit side. */
struct p4n_port_stats {
	_Atomic uint64_t rx_packets;
	_Atomic uint64_t rx_bytes;
	_Atomic uint64_t rx_dropped; /* by the kernel before we read them, or malformed */
	_Atomic uint64_t tx_packets;
	_Atomic uint64_t tx_bytes;
	_Atomic uint64_t tx_dropped; /* the port was full, down or refused the frame */
	_Atomic uint64_t tx_segmented; /* super-frames segmented in software */
	_Atomic uint64_t tx_checksummed; /* checksums completed in software */
};

struct p4n_port;

#endif
