/* Receive queues: one AF_PACKET socket per queue, senders kept apart on a port that many share.
 *
 * What is behind a VF is one guest, and one queue is its own. An uplink carries everybody: there a
 * frame's source address picks the queue (inside VXLAN, the inner one), as steering in a NIC does,
 * so that one sender fills one queue and another's frames neither wait behind it nor are lost with
 * it. The source is what spoof checking vouches for; ports and destinations are the sender's
 * choice, and a flood of random ones would be in every queue. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "device.h"

#define BUFFER_BYTES (4 << 20) /* which the kernel doubles: a large TCP window of super-frames */
#define VXLAN_PORT 4789

#ifndef PACKET_FANOUT_FLAG_IGNORE_OUTGOING
#define PACKET_FANOUT_FLAG_IGNORE_OUTGOING 0x4000
#endif

static int set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) ? -errno : 0;
}

/* --- steering ---------------------------------------------------------------------------------- */

#define LINK(offset) ((uint32_t)SKF_LL_OFF + (offset))
#define NETWORK(offset) ((uint32_t)SKF_NET_OFF + (offset))
#define LAST_BYTES_OF_MAC 2u /* of the six, a load takes four */
#define INNER (20u + 8u + 8u) /* IPv4 without options, UDP, VXLAN */
#define SPREAD 0x9e3779b1u /* neighbouring addresses go to different queues */

/* Loads that the frame is too short for end the program with 0: the first queue. */
static struct sock_filter by_sender[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PROTOCOL)),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 0, 6),
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, NETWORK(9)),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 4),
	BPF_STMT(BPF_LD | BPF_H | BPF_ABS, NETWORK(22)),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, VXLAN_PORT, 0, 2),
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, NETWORK(INNER + ETH_ALEN + LAST_BYTES_OF_MAC)),
	BPF_STMT(BPF_JMP | BPF_JA, 1),
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, LINK(ETH_ALEN + LAST_BYTES_OF_MAC)),
	BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, SPREAD),
	BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 16),
	BPF_STMT(BPF_RET | BPF_A, 0), /* the kernel takes it modulo the number of queues */
};

static int ask(int fd, uint32_t how, uint32_t group)
{
	return set(fd, SOL_PACKET, PACKET_FANOUT, (int)(how << 16 | group));
}

/* Makes a bound socket a member of the port's group; a negative `*group` founds one. */
static int join(int fd, int *group)
{
	bool first = *group < 0;
	uint32_t id = first ? 0 : (uint32_t)*group, flags = first ? PACKET_FANOUT_FLAG_UNIQUEID : 0;
	struct sock_fprog program = {sizeof(by_sender) / sizeof(by_sender[0]), by_sender};
	socklen_t bytes = sizeof(*group);
	int err = ask(fd, PACKET_FANOUT_CBPF | PACKET_FANOUT_FLAG_IGNORE_OUTGOING | flags, id);

	/* Older kernels copy what the port sends to its group, and `incoming` below discards it. */
	if (err)
		err = ask(fd, PACKET_FANOUT_CBPF | flags, id);
	if (err || !first)
		return err;
	if (setsockopt(fd, SOL_PACKET, PACKET_FANOUT_DATA, &program, sizeof(program)) ||
	    getsockopt(fd, SOL_PACKET, PACKET_FANOUT, group, &bytes))
		return -errno;
	*group &= UINT16_MAX;
	return 0;
}

/* --- sockets ----------------------------------------------------------------------------------- */

static struct sock_filter nothing[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
static struct sock_filter incoming[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE)),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, 0),
	BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
};

static int filter(int fd, struct sock_filter *words, uint16_t n)
{
	struct sock_fprog program = {n, words};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) ? -errno : 0;
}

static int configure(int fd)
{
	int err = set(fd, SOL_PACKET, PACKET_VNET_HDR, 1);

	if (!err)
		err = set(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
	if (!err)
		err = set(fd, SOL_PACKET, PACKET_AUXDATA, 1);
	/* Until it is in its group, a queue would get what is steered to the others. */
	if (!err)
		err = filter(fd, nothing, 1);
	/* Larger buffers need privilege beyond the limits; without it the usual ones must do. */
	if (set(fd, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES))
		(void)set(fd, SOL_SOCKET, SO_RCVBUF, BUFFER_BYTES);
	if (set(fd, SOL_SOCKET, SO_SNDBUFFORCE, BUFFER_BYTES))
		(void)set(fd, SOL_SOCKET, SO_SNDBUF, BUFFER_BYTES);
	return err;
}

static int bind_to(int fd, int ifindex)
{
	struct sockaddr_ll ll = {.sll_family = AF_PACKET,
				 .sll_protocol = htons(ETH_P_ALL),
				 .sll_ifindex = ifindex};
	struct packet_mreq promiscuous = {.mr_ifindex = ifindex, .mr_type = PACKET_MR_PROMISC};

	if (bind(fd, (struct sockaddr *)&ll, sizeof(ll)))
		return -errno;
	if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof(promiscuous)))
		return -errno;
	return 0;
}

/* A descriptor that gets nothing yet, or -errno. */
static int open_socket(int ifindex)
{
	/* Protocol 0: nothing arrives before the socket is bound to its interface. */
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int err;

	if (fd < 0)
		return -errno;
	err = configure(fd);
	if (!err)
		err = bind_to(fd, ifindex);
	if (!err)
		return fd;
	close(fd);
	return err;
}

static void close_all(const int *fds, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		close(fds[i]);
}

/* Opens the sockets of a port. Where the kernel cannot steer (older ones, while the interface is
 * down) there is one queue: `*n` says how many there are. 0 or -errno. */
static int open_all(int ifindex, int *fds, uint32_t *n)
{
	int group = -1, err = 0;

	for (uint32_t i = 0; i < *n; i++) {
		fds[i] = open_socket(ifindex);
		if (fds[i] < 0) {
			close_all(fds, i);
			return fds[i];
		}
		if (*n > 1 && join(fds[i], &group)) {
			close_all(fds, i + 1);
			*n = 1;
			return open_all(ifindex, fds, n);
		}
	}
	for (uint32_t i = 0; !err && i < *n; i++)
		err = filter(fds[i], incoming, sizeof(incoming) / sizeof(incoming[0]));
	if (err)
		close_all(fds, *n);
	return err;
}

int p4n_receive_open(struct p4n_port *port, uint32_t n)
{
	int fds[P4N_SENDER_QUEUES], err;

	port->ifindex = (int)if_nametoindex(port->name);
	if (!port->ifindex)
		return -ENODEV;
	err = open_all(port->ifindex, fds, &n);
	if (err)
		return err;
	for (uint32_t i = 0; i < n; i++)
		port->rxq[i].fd = fds[i];
	port->n_queues = n;
	atomic_store(&port->up, p4n_link_up(port->name));
	atomic_store(&port->mtu, p4n_link_mtu(port->name));
	return 0;
}

void p4n_receive_close(struct p4n_port *port)
{
	for (uint32_t i = 0; i < port->n_queues; i++)
		close(port->rxq[i].fd);
	port->n_queues = 0;
}

void p4n_receive_reopen(struct p4n_device *dev, struct p4n_port *port)
{
	int fds[P4N_SENDER_QUEUES], ifindex = (int)if_nametoindex(port->name);
	uint32_t n = port->n_queues;

	if (!ifindex || open_all(ifindex, fds, &n))
		return;
	/* Under the same numbers, which a packet thread may be reading from at this moment. */
	for (uint32_t i = 0; i < n; i++)
		(void)dup3(fds[i], port->rxq[i].fd, O_CLOEXEC);
	close_all(fds, n);
	port->ifindex = ifindex;
	(void)p4n_receive_watch(dev, port);
}

int p4n_receive_watch(struct p4n_device *dev, struct p4n_port *port)
{
	for (uint32_t i = 0; dev->n_threads && i < port->n_queues; i++) {
		struct p4n_rxq *q = &port->rxq[i];
		struct epoll_event readable = {.events = EPOLLIN,
					       .data.u64 = p4n_event(port->number, i)};

		q->thread = (port->slot + i) % dev->n_threads;
		if (epoll_ctl(dev->threads[q->thread]->epoll_fd, EPOLL_CTL_ADD, q->fd, &readable))
			return -errno;
	}
	return 0;
}

void p4n_receive_count_losses(struct p4n_port *port)
{
	for (uint32_t i = 0; i < port->n_queues; i++) {
		struct tpacket_stats stats;
		socklen_t bytes = sizeof(stats);

		/* Reading sets the kernel's counters to 0. */
		if (!getsockopt(port->rxq[i].fd, SOL_PACKET, PACKET_STATISTICS, &stats, &bytes))
			p4n_stat_add(&port->stats.rx_dropped, stats.tp_drops);
	}
}
