/* Token buckets. The arithmetic follows BMv2: tokens made since the start as a product of time and
 * rate, so that rounding does not add up. */
#include "meter_config.h"

/* Adds what was made since the last time; returns what did not fit. */
static uint64_t refill(struct p4n_meter_rate *r, uint64_t elapsed_us)
{
	uint64_t made = (uint64_t)((double)elapsed_us * r->info_rate);
	uint64_t more = made > r->filled ? made - r->filled : 0;
	uint64_t room = r->burst - r->tokens;

	r->filled += more;
	r->tokens += room < more ? room : more;
	return more > room ? more - room : 0;
}

static bool take(struct p4n_meter_rate *r, uint64_t units)
{
	if (r->tokens < units)
		return false;
	r->tokens -= units;
	return true;
}

/* The peak rate first: a red frame takes nothing, a yellow one from the peak bucket only. */
static uint32_t two_rates(struct p4n_meter_cell *cell, uint32_t rates, uint64_t elapsed_us,
			  uint64_t units)
{
	for (uint32_t i = rates < P4N_METER_RATES ? rates : P4N_METER_RATES; i-- > 0;) {
		(void)refill(&cell->rate[i], elapsed_us);
		if (!take(&cell->rate[i], units))
			return i + 1;
	}
	return P4N_GREEN;
}

static uint32_t single_rate(struct p4n_meter_cell *cell, uint64_t elapsed_us, uint64_t units)
{
	struct p4n_meter_rate *committed = &cell->rate[0], *excess = &cell->rate[1];
	uint64_t spilt = refill(committed, elapsed_us), room = excess->burst - excess->tokens;

	excess->tokens += room < spilt ? room : spilt;
	if (take(committed, units))
		return P4N_GREEN;
	return take(excess, units) ? P4N_YELLOW : P4N_RED;
}

static uint32_t colour(struct p4n_meter_cell *cell, uint32_t rates, uint64_t now_us, uint64_t units,
		       bool shared)
{
	uint64_t elapsed = now_us > cell->since_us ? now_us - cell->since_us : 0;
	uint32_t found;

	if (__builtin_expect(shared, 0))
		while (atomic_flag_test_and_set_explicit(&cell->lock, memory_order_acquire))
			;
	found = cell->config.eburst ? single_rate(cell, elapsed, units)
				    : two_rates(cell, rates, elapsed, units);
	if (__builtin_expect(shared, 0))
		atomic_flag_clear_explicit(&cell->lock, memory_order_release);
	return found;
}

P4N_EXPORT uint32_t p4n_meter_cell_execute(const struct p4n_meter *m, struct p4n_meter_cell *cell,
					   uint64_t now_us, uint32_t bytes, bool shared)
{
	uint32_t found = P4N_GREEN;

	if (atomic_load_explicit(&cell->configured, memory_order_acquire))
		found = colour(cell, m->rates, now_us, m->bytes ? bytes : 1, shared);
	p4n_add(shared, &cell->marked[found].packets, 1);
	p4n_add(shared, &cell->marked[found].bytes, bytes);
	return found;
}

static struct p4n_meter_rate bucket(int64_t per_second, int64_t burst)
{
	return (struct p4n_meter_rate){.info_rate = (double)per_second / 1e6,
				       .burst = (uint64_t)burst,
				       .tokens = (uint64_t)burst};
}

void p4n_meter_configure(struct p4n_meter_cell *cell, const struct p4n_meter_config *config,
			 uint64_t now_us)
{
	atomic_store_explicit(&cell->configured, config != NULL, memory_order_relaxed);
	memset(cell->rate, 0, sizeof(cell->rate));
	cell->since_us = now_us;
	if (!config)
		return;
	cell->config = *config;
	cell->rate[0] = bucket(config->cir, config->cburst);
	cell->rate[1] = config->eburst ? bucket(0, config->eburst)
				       : bucket(config->pir, config->pburst);
}

bool p4n_meter_read(const struct p4n_meter_cell *cell, struct p4n_meter_config *config)
{
	if (!atomic_load_explicit((_Atomic bool *)(uintptr_t)&cell->configured,
				  memory_order_acquire))
		return false;
	*config = cell->config;
	return true;
}

void p4n_meter_save(const struct p4n_meter_cell *cell, struct p4n_meter_state *out)
{
	out->configured = p4n_meter_read(cell, &out->config);
	out->since_us = cell->since_us;
	memcpy(out->rate, cell->rate, sizeof(out->rate));
}

void p4n_meter_restore(struct p4n_meter_cell *cell, const struct p4n_meter_state *was)
{
	atomic_store_explicit(&cell->configured, was->configured, memory_order_relaxed);
	cell->since_us = was->since_us;
	memcpy(cell->rate, was->rate, sizeof(cell->rate));
	if (was->configured)
		cell->config = was->config;
}

void p4n_meter_get_marks(const struct p4n_meter_cell *cell, uint64_t *marks)
{
	struct p4n_meter_cell *c = (struct p4n_meter_cell *)(uintptr_t)cell;

	for (uint32_t i = 0; i < P4N_COLOURS; i++) {
		marks[2 * i] = atomic_load_explicit(&c->marked[i].packets, memory_order_relaxed);
		marks[2 * i + 1] = atomic_load_explicit(&c->marked[i].bytes, memory_order_relaxed);
	}
}

void p4n_meter_put_marks(struct p4n_meter_cell *cell, const uint64_t *marks)
{
	for (uint32_t i = 0; i < P4N_COLOURS; i++) {
		atomic_store_explicit(&cell->marked[i].packets, marks[2 * i], memory_order_relaxed);
		atomic_store_explicit(&cell->marked[i].bytes, marks[2 * i + 1],
				      memory_order_relaxed);
	}
}
