/* AF_PACKET: batches of frames with their offload state (PACKET_VNET_HDR), and links. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "device.h"

#define VLAN_BYTES 4u

static bool query(const char *name, unsigned long request, struct ifreq *req)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool ok;

	if (fd < 0)
		return false;
	memset(req, 0, sizeof(*req));
	memcpy(req->ifr_name, name, strnlen(name, IFNAMSIZ - 1));
	ok = !ioctl(fd, request, req);
	close(fd);
	return ok;
}

bool p4n_link_up(const char *name)
{
	struct ifreq req;

	return query(name, SIOCGIFFLAGS, &req) && (req.ifr_flags & IFF_UP) &&
	       (req.ifr_flags & IFF_RUNNING);
}

uint32_t p4n_link_mtu(const char *name)
{
	struct ifreq req;

	return query(name, SIOCGIFMTU, &req) ? (uint32_t)req.ifr_mtu : ETH_DATA_LEN;
}

/* --- reading ----------------------------------------------------------------------------------- */

struct control {
	uint8_t bytes[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
} __attribute__((aligned(8)));

static const struct tpacket_auxdata *auxdata(struct msghdr *msg)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c))
		if (c->cmsg_level == SOL_PACKET && c->cmsg_type == PACKET_AUXDATA)
			return (const struct tpacket_auxdata *)(const void *)CMSG_DATA(c);
	return NULL;
}

/* The kernel keeps the outer VLAN tag beside the frame: put it back where it belongs. */
static void insert_vlan(struct p4n_packet *pkt, const struct tpacket_auxdata *aux)
{
	uint16_t tpid = ETH_P_8021Q, tag[2];

	if (aux->tp_status & TP_STATUS_VLAN_TPID_VALID)
		tpid = aux->tp_vlan_tpid;
	tag[0] = htons(tpid);
	tag[1] = htons(aux->tp_vlan_tci);
	memmove(pkt->data - VLAN_BYTES, pkt->data, 2 * ETH_ALEN);
	pkt->data -= VLAN_BYTES;
	memcpy(pkt->data + 2 * ETH_ALEN, tag, sizeof(tag));
	pkt->len += VLAN_BYTES;
	if (pkt->vnet.flags & 1)
		pkt->vnet.csum_start = (uint16_t)(pkt->vnet.csum_start + VLAN_BYTES);
	if (pkt->vnet.gso_type)
		pkt->vnet.hdr_len = (uint16_t)(pkt->vnet.hdr_len + VLAN_BYTES);
}

/* Fills in what the kernel said about a frame; false for one that cannot be used. */
static bool accept_frame(struct p4n_port *port, struct p4n_packet *pkt, struct mmsghdr *m)
{
	const struct tpacket_auxdata *aux = auxdata(&m->msg_hdr);

	if (m->msg_len < sizeof(pkt->vnet) + ETH_HLEN || m->msg_hdr.msg_flags & MSG_TRUNC)
		return false;
	pkt->len = m->msg_len - (uint32_t)sizeof(pkt->vnet);
	/* Only NEEDS_CSUM says that something is open; the others are remarks on reception. */
	pkt->vnet.flags &= 1;
	if (aux && aux->tp_status & TP_STATUS_VLAN_VALID)
		insert_vlan(pkt, aux);
	pkt->wire_len = pkt->len;
	pkt->ingress_port = port->number;
	return true;
}

/* How many frames to read next: super-frames that follow super-frames fill the cache soon. */
static uint32_t batch_of(const struct p4n_rxq *q)
{
	uint32_t n = q->size ? P4N_BATCH_BYTES / q->size : P4N_BATCH;

	return n < 1 ? 1 : n > P4N_BATCH ? P4N_BATCH : n;
}

/* Frames for a batch, as far as the pool has them. */
static uint32_t prepare(struct p4n_thread_io *io, uint32_t most)
{
	uint32_t n = 0;

	while (n < most) {
		if (!io->rx[n])
			io->rx[n] = p4n_packet_alloc(&io->th, 0);
		if (!io->rx[n])
			break;
		n++;
	}
	return n;
}

uint32_t p4n_socket_read(struct p4n_thread_io *io, struct p4n_port *port, struct p4n_rxq *q,
			 struct p4n_packet **out)
{
	struct mmsghdr msgs[P4N_BATCH];
	struct iovec iov[P4N_BATCH][2];
	struct control control[P4N_BATCH];
	uint32_t n = prepare(io, batch_of(q)), kept = 0;
	uint64_t bytes = 0;
	int got;

	for (uint32_t i = 0; i < n; i++) {
		iov[i][0] = (struct iovec){&io->rx[i]->vnet, sizeof(io->rx[i]->vnet)};
		iov[i][1] = (struct iovec){io->rx[i]->data, P4N_MAX_FRAME};
		msgs[i].msg_hdr = (struct msghdr){.msg_iov = iov[i],
						  .msg_iovlen = 2,
						  .msg_control = &control[i],
						  .msg_controllen = sizeof(control[i])};
	}
	got = recvmmsg(q->fd, msgs, n, MSG_DONTWAIT, NULL);
	if (got < 0 && errno != EAGAIN && errno != EINTR)
		(void)getsockopt(q->fd, SOL_SOCKET, SO_ERROR, &got, &(socklen_t){sizeof(got)});
	for (int i = 0; i < got; i++) {
		struct p4n_packet *pkt = io->rx[i];

		if (!accept_frame(port, pkt, &msgs[i])) {
			p4n_stat_add(&port->stats.rx_dropped, 1);
			continue;
		}
		if (port->in)
			p4n_capture_write(port->in, pkt);
		bytes += pkt->len;
		io->rx[i] = NULL;
		out[kept++] = pkt;
	}
	if (kept) {
		p4n_stat_add(&port->stats.rx_packets, kept);
		p4n_stat_add(&port->stats.rx_bytes, bytes);
		q->size = (uint32_t)(bytes / kept);
	}
	return kept;
}

/* --- writing ----------------------------------------------------------------------------------- */

static void count_sent(struct p4n_port *port, struct p4n_packet **pkts, uint32_t n)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < n; i++) {
		bytes += pkts[i]->len;
		if (port->out)
			p4n_capture_write(port->out, pkts[i]);
	}
	p4n_stat_add(&port->stats.tx_packets, n);
	p4n_stat_add(&port->stats.tx_bytes, bytes);
}

void p4n_socket_write(struct p4n_thread_io *io, struct p4n_port *port, struct p4n_packet **pkts,
		      uint32_t n)
{
	struct mmsghdr msgs[P4N_BATCH];
	struct iovec iov[P4N_BATCH][2];
	uint32_t at = 0, dropped = 0;

	for (uint32_t i = 0; i < n; i++) {
		iov[i][0] = (struct iovec){&pkts[i]->vnet, sizeof(pkts[i]->vnet)};
		iov[i][1] = (struct iovec){pkts[i]->data, pkts[i]->len};
		msgs[i].msg_hdr = (struct msghdr){.msg_iov = iov[i], .msg_iovlen = 2};
	}
	while (at < n) {
		int sent = sendmmsg(port->rxq[0].fd, msgs + at, n - at, MSG_DONTWAIT);

		if (sent > 0) {
			count_sent(port, pkts + at, (uint32_t)sent);
			at += (uint32_t)sent;
			continue;
		}
		/* A full or dead port loses the frame that it refuses, never anyone's time. */
		if (sent < 0 && errno == EINTR)
			continue;
		dropped++;
		at++;
	}
	if (dropped)
		p4n_stat_add(&port->stats.tx_dropped, dropped);
	for (uint32_t i = 0; i < n; i++)
		p4n_packet_free(&io->th, pkts[i]);
}
