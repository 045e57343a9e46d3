/* Devices: creation, ports, start and stop, pipelines, and frames from Python. */
#include "device.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

uint64_t p4n_device_now_us(const struct p4n_device *dev)
{
	return (p4n_clock_ns() - dev->start_ns) / 1000;
}

uint32_t p4n_device_now_ms(const struct p4n_device *dev)
{
	return (uint32_t)(p4n_device_now_us(dev) / 1000);
}

bool p4n_device_shared(const struct p4n_device *dev)
{
	return dev->n_threads > 1;
}

bool p4n_device_port_up(const struct p4n_device *dev, uint32_t number)
{
	struct p4n_port *port = p4n_port_find(dev, number);

	return port && atomic_load(&port->up) && !atomic_load(&port->forced_down);
}

/* --- contexts ---------------------------------------------------------------------------------- */

static struct p4n_thread_io *new_context(struct p4n_device *dev, uint32_t index)
{
	struct epoll_event wake = {.events = EPOLLIN, .data.u64 = p4n_event(P4N_NONE, 0)};
	struct p4n_thread_io *io = calloc(1, sizeof(*io));

	if (!io)
		return NULL;
	io->dev = dev;
	io->reader = index;
	io->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	io->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (io->epoll_fd < 0 || io->wake_fd < 0 ||
	    epoll_ctl(io->epoll_fd, EPOLL_CTL_ADD, io->wake_fd, &wake)) {
		free(io);
		return NULL;
	}
	io->th.io = io;
	io->th.device = dev;
	io->th.index = index;
	io->th.drop_port = dev->drop_port;
	io->th.cpu_port = dev->cpu_port;
	io->th.shared = dev->n_threads > 1;
	p4n_random_seed(io->th.rng);
	return io;
}

static void free_context(struct p4n_thread_io *io)
{
	p4n_thread_adopt(io, NULL);
	for (uint32_t i = 0; i < P4N_BATCH; i++)
		if (io->rx[i])
			p4n_packet_free(&io->th, io->rx[i]);
	for (uint32_t i = 0; i < P4N_MAX_SLOTS; i++)
		free(io->txq[i]);
	p4n_pool_destroy(io);
	close(io->epoll_fd);
	close(io->wake_fd);
	free(io);
}

static struct p4n_thread_io *inline_context(struct p4n_device *dev)
{
	return dev->threads[dev->n_threads];
}

P4N_EXPORT struct p4n_device *p4n_device_create(uint32_t n_threads, uint32_t cpu_port,
						uint32_t drop_port, uint32_t packet_in_limit)
{
	struct p4n_device *dev = calloc(1, sizeof(*dev));

	if (!dev || n_threads + 1 > P4N_MAX_THREADS) {
		free(dev);
		return NULL;
	}
	p4n_domain_init(&dev->domain);
	pthread_mutex_init(&dev->lock, NULL);
	pthread_mutex_init(&dev->inline_lock, NULL);
	dev->start_ns = p4n_clock_ns();
	dev->cpu_port = cpu_port;
	dev->drop_port = drop_port;
	dev->n_threads = n_threads;
	dev->monitor_wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	p4n_queue_init(&dev->packet_in, packet_in_limit);
	p4n_queue_init(&dev->memory_out, 1u << 20);
	p4n_queue_init(&dev->inbox, 4096);
	p4n_queue_init(&dev->log, 1024);
	pthread_cond_init(&dev->inbox_done, NULL);
	dev->threads = calloc(n_threads + 1, sizeof(*dev->threads));
	for (uint32_t i = 0; dev->threads && i <= n_threads; i++)
		if (!(dev->threads[i] = new_context(dev, i)))
			return NULL; /* out of memory or descriptors at start-up: given up */
	return dev->threads ? dev : NULL;
}

P4N_EXPORT struct p4n_domain *p4n_device_domain(struct p4n_device *dev)
{
	return &dev->domain;
}

/* --- start, stop, pipeline --------------------------------------------------------------------- */

/* Packet threads have a name of their own, by which `top -H` and whoever sets priorities know them. */
static int start_packet_thread(struct p4n_thread_io *io)
{
	char name[16]; /* as long as the kernel has it */
	int err = pthread_create(&io->pthread, NULL, p4n_thread_main, io);

	if (!err) {
		snprintf(name, sizeof(name), "packet-%u", io->th.index);
		pthread_setname_np(io->pthread, name);
	}
	return err;
}

P4N_EXPORT int p4n_device_start(struct p4n_device *dev)
{
	int err = 0;

	pthread_mutex_lock(&dev->lock);
	for (uint32_t i = 0; !dev->running && !err && i < dev->n_threads; i++)
		err = start_packet_thread(dev->threads[i]);
	if (!dev->running && !err)
		err = pthread_create(&dev->monitor, NULL, p4n_monitor_main, dev);
	dev->running = dev->running || !err;
	pthread_mutex_unlock(&dev->lock);
	return -err;
}

/* Wakes all waiters and joins the packet threads. */
P4N_EXPORT void p4n_device_stop(struct p4n_device *dev)
{
	uint64_t one = 1;

	atomic_store(&dev->stopping, true);
	p4n_queue_close(&dev->packet_in);
	p4n_queue_close(&dev->memory_out);
	p4n_queue_close(&dev->log);
	pthread_mutex_lock(&dev->inbox.lock);
	pthread_cond_broadcast(&dev->inbox_done);
	pthread_mutex_unlock(&dev->inbox.lock);
	if (!dev->running)
		return;
	for (uint32_t i = 0; i < dev->n_threads; i++)
		p4n_thread_wake(dev->threads[i]);
	for (uint32_t i = 0; i < dev->n_threads; i++)
		pthread_join(dev->threads[i]->pthread, NULL);
	(void)!write(dev->monitor_wake, &one, sizeof(one));
	pthread_join(dev->monitor, NULL);
	dev->running = false;
}

/* Makes `inst` live for all threads at once; NULL for none. The caller then owns the old one. */
P4N_EXPORT struct p4n_instance *p4n_device_commit(struct p4n_device *dev,
						  struct p4n_instance *inst)
{
	struct p4n_instance *old;

	pthread_mutex_lock(&dev->lock);
	p4n_domain_pause(&dev->domain);
	old = dev->inst;
	dev->inst = inst;
	for (uint32_t i = 0; i <= dev->n_threads; i++)
		p4n_thread_adopt(dev->threads[i], inst);
	p4n_domain_resume(&dev->domain);
	/* Ports may have changed since it was prepared. */
	p4n_ports_changed(dev);
	pthread_mutex_unlock(&dev->lock);
	return old;
}

/* --- ports ------------------------------------------------------------------------------------- */

static bool store_port(struct p4n_device *dev, uint32_t number, struct p4n_port *port)
{
	void *_Atomic *page = atomic_load(&dev->ports.page[number >> 8]);

	if (!page) {
		page = calloc(256, sizeof(*page));
		if (!page)
			return false;
		atomic_store(&dev->ports.page[number >> 8], page);
	}
	atomic_store(&page[number & 0xff], port);
	return true;
}

static uint32_t free_slot(const struct p4n_device *dev)
{
	uint32_t slot = 0;

	while (slot < P4N_MAX_SLOTS && dev->slots[slot])
		slot++;
	return slot;
}

static void close_port(struct p4n_port *port)
{
	p4n_receive_close(port);
	p4n_capture_close(port->in);
	p4n_capture_close(port->out);
	port->in = port->out = NULL;
}

static void free_port(struct p4n_port *port)
{
	if (port)
		close_port(port);
	free(port);
}

/* No packet thread has the port any more; who looked it up without the lock may, for an instant. */
static void bury_port(struct p4n_device *dev, struct p4n_port *port)
{
	struct p4n_port **place = &dev->removed[dev->n_removed++ % P4N_REMOVED_KEPT];

	close_port(port);
	free(*place);
	*place = port;
}

static int open_captures(struct p4n_port *port, const char *folder)
{
	char number[16];
	const char *name = port->name;

	if (!*name) {
		snprintf(number, sizeof(number), "port%u", port->number);
		name = number;
	}
	port->in = p4n_capture_open(folder, name, "in");
	port->out = p4n_capture_open(folder, name, "out");
	return port->in && port->out ? 0 : -EIO;
}

static int open_port(struct p4n_device *dev, struct p4n_port *port, const char *captures,
		     bool shared)
{
	uint32_t queues = shared ? P4N_SENDER_QUEUES : 1;
	int err = port->kind == P4N_PORT_PACKET ? p4n_receive_open(port, queues) : 0;

	if (!err && captures)
		err = open_captures(port, captures);
	if (err)
		return err;
	if (!store_port(dev, port->number, port))
		return -ENOMEM;
	err = p4n_receive_watch(dev, port);
	if (err)
		store_port(dev, port->number, NULL);
	return err;
}

/* interface NULL: a memory port. captures: folder for pcap files, or NULL. shared: many senders are
 * behind it, each gets a receive queue. 0 or -errno. */
P4N_EXPORT int p4n_port_add(struct p4n_device *dev, uint32_t number, const char *interface,
			    const char *captures, bool shared)
{
	struct p4n_port *port;
	int err = -EEXIST;

	if (number >= P4N_MAX_PORT || (interface && strlen(interface) >= IFNAMSIZ))
		return -EINVAL;
	port = calloc(1, sizeof(*port));
	if (!port)
		return -ENOMEM;
	port->number = number;
	port->kind = interface ? P4N_PORT_PACKET
			       : number == dev->cpu_port ? P4N_PORT_CPU : P4N_PORT_MEMORY;
	atomic_store(&port->up, true);
	if (interface)
		memcpy(port->name, interface, strlen(interface));
	pthread_mutex_lock(&dev->lock);
	port->slot = free_slot(dev);
	if (!p4n_port_find(dev, number))
		err = port->slot < P4N_MAX_SLOTS ? open_port(dev, port, captures, shared)
						    : -ENOSPC;
	if (err) {
		free_port(port);
	} else {
		dev->slots[port->slot] = 1;
		p4n_ports_changed(dev);
	}
	pthread_mutex_unlock(&dev->lock);
	return err;
}

P4N_EXPORT int p4n_port_remove(struct p4n_device *dev, uint32_t number)
{
	struct p4n_port *port;

	pthread_mutex_lock(&dev->lock);
	port = number < P4N_MAX_PORT ? p4n_port_find(dev, number) : NULL;
	if (port) {
		/* Threads are between batches here: nobody holds the port or frames for it. */
		p4n_domain_pause(&dev->domain);
		store_port(dev, number, NULL);
		p4n_domain_resume(&dev->domain);
		dev->slots[port->slot] = 0;
		bury_port(dev, port);
		p4n_ports_changed(dev);
	}
	pthread_mutex_unlock(&dev->lock);
	return port ? 0 : -ENOENT;
}

/* 1 up, 0 down, -1 no such port. */
P4N_EXPORT int p4n_port_state(struct p4n_device *dev, uint32_t number)
{
	int state = -1;

	pthread_mutex_lock(&dev->lock);
	if (number < P4N_MAX_PORT && p4n_port_find(dev, number))
		state = p4n_device_port_up(dev, number);
	pthread_mutex_unlock(&dev->lock);
	return state;
}

P4N_EXPORT int p4n_port_force(struct p4n_device *dev, uint32_t number, bool up)
{
	struct p4n_port *port;

	pthread_mutex_lock(&dev->lock);
	port = number < P4N_MAX_PORT ? p4n_port_find(dev, number) : NULL;
	if (port && atomic_exchange(&port->forced_down, !up) == up)
		p4n_ports_changed(dev);
	pthread_mutex_unlock(&dev->lock);
	return port ? 0 : -ENOENT;
}

P4N_EXPORT int p4n_port_read_stats(struct p4n_device *dev, uint32_t number, uint64_t out[8])
{
	struct p4n_port *port;

	pthread_mutex_lock(&dev->lock);
	port = number < P4N_MAX_PORT ? p4n_port_find(dev, number) : NULL;
	if (port) {
		struct p4n_port_stats *s = &port->stats;

		p4n_receive_count_losses(port);
		out[0] = atomic_load(&s->rx_packets);
		out[1] = atomic_load(&s->rx_bytes);
		out[2] = atomic_load(&s->rx_dropped);
		out[3] = atomic_load(&s->tx_packets);
		out[4] = atomic_load(&s->tx_bytes);
		out[5] = atomic_load(&s->tx_dropped);
		out[6] = atomic_load(&s->tx_segmented);
		out[7] = atomic_load(&s->tx_checksummed);
	}
	pthread_mutex_unlock(&dev->lock);
	return port ? 0 : -ENOENT;
}

/* Drops by enum p4n_drop_reason, summed over threads. */
P4N_EXPORT uint32_t p4n_device_drops(struct p4n_device *dev, uint64_t out[P4N_DROP_REASONS])
{
	for (uint32_t why = 0; why < P4N_DROP_REASONS; why++) {
		out[why] = 0;
		for (uint32_t i = 0; i <= dev->n_threads; i++)
			out[why] += atomic_load(&dev->threads[i]->drops[why]);
	}
	return P4N_DROP_REASONS;
}

/* --- frames from Python ------------------------------------------------------------------------ */

/* Runs one frame in the caller: there is no packet thread to do it. */
static void inject_inline(struct p4n_device *dev, uint32_t number, const uint8_t *data,
			  uint32_t len)
{
	struct p4n_thread_io *io = inline_context(dev);

	pthread_mutex_lock(&dev->inline_lock);
	p4n_reader_online(&dev->domain, io->reader);
	p4n_run_frame(io, number, data, len);
	p4n_thread_flush(io);
	p4n_reader_offline(&dev->domain, io->reader);
	pthread_mutex_unlock(&dev->inline_lock);
}

/* Runs one frame as if it had arrived on the port; with `wait`, until its output is out. 0, or
 * -errno: -EAGAIN when the packet thread is behind and the frame was dropped. */
P4N_EXPORT int p4n_inject(struct p4n_device *dev, uint32_t number, const uint8_t *data,
			  uint32_t len, bool wait)
{
	uint64_t mine;

	if (len > P4N_MAX_FRAME)
		return -EMSGSIZE;
	if (!dev->running) {
		inject_inline(dev, number, data, len);
		return 0;
	}
	if (!p4n_queue_push(&dev->inbox, number, data, len))
		return -EAGAIN;
	pthread_mutex_lock(&dev->inbox.lock);
	mine = ++dev->injected;
	pthread_mutex_unlock(&dev->inbox.lock);
	p4n_thread_wake(dev->threads[0]);
	pthread_mutex_lock(&dev->inbox.lock);
	while (wait && dev->completed < mine && !atomic_load(&dev->stopping))
		pthread_cond_wait(&dev->inbox_done, &dev->inbox.lock);
	pthread_mutex_unlock(&dev->inbox.lock);
	return 0;
}

/* Frees everything; the pipeline has been taken out by p4n_device_commit(NULL). */
P4N_EXPORT void p4n_device_destroy(struct p4n_device *dev)
{
	p4n_device_stop(dev);
	for (uint32_t i = 0; i <= dev->n_threads; i++)
		free_context(dev->threads[i]);
	for (uint32_t page = 0; page < 256; page++) {
		void *_Atomic *ports = atomic_load(&dev->ports.page[page]);

		for (uint32_t i = 0; ports && i < 256; i++)
			free_port(atomic_load(&ports[i]));
		free((void *)ports);
	}
	for (uint32_t i = 0; i < P4N_REMOVED_KEPT; i++)
		free(dev->removed[i]);
	p4n_queue_destroy(&dev->packet_in);
	p4n_queue_destroy(&dev->memory_out);
	p4n_queue_destroy(&dev->inbox);
	p4n_queue_destroy(&dev->log);
	pthread_cond_destroy(&dev->inbox_done);
	p4n_domain_destroy(&dev->domain);
	close(dev->monitor_wake);
	pthread_mutex_destroy(&dev->lock);
	pthread_mutex_destroy(&dev->inline_lock);
	free(dev->threads);
	free(dev);
}
