/* A wire between two interfaces, in user space: what AF_PACKET sockets allow a switch that does
 * nothing. Frames go in batches and with their offload state (PACKET_VNET_HDR), as p4native's do.
 *
 * usage: wire INTERFACE INTERFACE; runs until it is stopped */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#define BATCH 32u
#define LARGE_BATCH 4u /* super-frames: as many as stay in the cache until they are sent */
#define LARGE 4096u    /* bytes */
#define MAX_FRAME 65600u
#define BUFFER_BYTES (4 << 20)

struct end {
	int fd;
	unsigned batch; /* frames to read next */
};

static char frames[BATCH][sizeof(struct virtio_net_hdr) + MAX_FRAME];

static int set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value));
}

static int open_end(struct end *end, const char *name)
{
	struct sockaddr_ll ll = {.sll_family = AF_PACKET,
				 .sll_protocol = htons(ETH_P_ALL),
				 .sll_ifindex = (int)if_nametoindex(name)};

	end->batch = BATCH;
	end->fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0);
	if (end->fd < 0 || set(end->fd, SOL_PACKET, PACKET_VNET_HDR, 1) ||
	    set(end->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1) ||
	    set(end->fd, SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES) ||
	    set(end->fd, SOL_SOCKET, SO_SNDBUFFORCE, BUFFER_BYTES))
		return -1;
	return bind(end->fd, (struct sockaddr *)&ll, sizeof(ll));
}

/* Sends what has arrived at one end out of the other; a frame that is refused is lost. */
static void carry(struct end *from, const struct end *to)
{
	struct mmsghdr msgs[BATCH] = {0};
	struct iovec iov[BATCH];
	size_t bytes = 0;
	int n, sent;

	for (unsigned i = 0; i < from->batch; i++) {
		iov[i] = (struct iovec){frames[i], sizeof(frames[i])};
		msgs[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
	}
	n = recvmmsg(from->fd, msgs, from->batch, MSG_DONTWAIT, NULL);
	if (n <= 0)
		return;
	for (int i = 0; i < n; i++) {
		((struct virtio_net_hdr *)frames[i])->flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
		iov[i].iov_len = msgs[i].msg_len;
		bytes += msgs[i].msg_len;
	}
	from->batch = bytes / (size_t)n > LARGE ? LARGE_BATCH : BATCH;
	for (int at = 0; at < n; at += sent > 0 ? sent : 1)
		sent = sendmmsg(to->fd, msgs + at, (unsigned)(n - at), MSG_DONTWAIT);
}

int main(int argc, char **argv)
{
	struct end ends[2];
	struct pollfd ready[2];

	if (argc != 3) {
		fprintf(stderr, "usage: wire INTERFACE INTERFACE\n");
		return 2;
	}
	for (int i = 0; i < 2; i++) {
		if (open_end(&ends[i], argv[i + 1])) {
			perror(argv[i + 1]);
			return 1;
		}
		ready[i] = (struct pollfd){.fd = ends[i].fd, .events = POLLIN};
	}
	while (poll(ready, 2, -1) >= 0) {
		for (int i = 0; i < 2; i++)
			if (ready[i].revents)
				carry(&ends[i], &ends[!i]);
	}
	perror("poll");
	return 1;
}
