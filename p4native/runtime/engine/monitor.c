/* Link state: one thread per device that sleeps until the kernel reports a change. */
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <unistd.h>

#include "device.h"

static int open_netlink(void)
{
	struct sockaddr_nl nl = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

	if (fd >= 0 && bind(fd, (struct sockaddr *)&nl, sizeof(nl))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Members with watch ports and backups of replicas are chosen anew. The caller holds dev->lock. */
void p4n_ports_changed(struct p4n_device *dev)
{
	struct p4n_instance *inst = dev->inst;

	if (!inst)
		return;
	pthread_mutex_lock(&inst->lock);
	for (uint32_t i = 0; i < inst->pipeline->n_profiles; i++)
		p4n_profile_port_changed(inst->profiles[i]);
	p4n_pre_ports_changed(inst);
	p4n_limbo_flush(&inst->limbo);
	pthread_mutex_unlock(&inst->lock);
}

/* An interface that vanished and came back under its name is taken up again. */
static bool refresh(struct p4n_device *dev, struct p4n_port *port)
{
	int ifindex = (int)if_nametoindex(port->name);
	bool up;

	if (ifindex && ifindex != port->ifindex)
		p4n_receive_reopen(dev, port);
	up = ifindex && p4n_link_up(port->name);
	atomic_store(&port->mtu, p4n_link_mtu(port->name));
	return atomic_exchange(&port->up, up) != up;
}

static void refresh_all(struct p4n_device *dev)
{
	bool changed = false;

	pthread_mutex_lock(&dev->lock);
	for (uint32_t page = 0; page < 256; page++) {
		if (!atomic_load(&dev->ports.page[page]))
			continue;
		for (uint32_t i = 0; i < 256; i++) {
			struct p4n_port *port = p4n_port_find(dev, page << 8 | i);

			if (port && port->kind == P4N_PORT_PACKET)
				changed |= refresh(dev, port);
		}
	}
	if (changed)
		p4n_ports_changed(dev);
	pthread_mutex_unlock(&dev->lock);
}

void *p4n_monitor_main(void *arg)
{
	struct p4n_device *dev = arg;
	struct pollfd fds[2] = {{.fd = dev->monitor_wake, .events = POLLIN},
				{.fd = open_netlink(), .events = POLLIN}};
	uint8_t buffer[16384];

	while (!atomic_load(&dev->stopping)) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			break;
		if (!fds[1].revents)
			continue;
		/* What changed does not matter, nor that messages were lost: look at all ports. */
		while (recv(fds[1].fd, buffer, sizeof(buffer), 0) > 0)
			;
		refresh_all(dev);
	}
	if (fds[1].fd >= 0)
		close(fds[1].fd);
	return NULL;
}
