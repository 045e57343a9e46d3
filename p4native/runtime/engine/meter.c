/* Token buckets. The arithmetic follows BMv2: tokens made since the start as a product of time and
 * rate, so that rounding does not add up. */
#include "meter_config.h"

P4N_EXPORT uint32_t p4n_meter_cell_execute(struct p4n_meter_cell *cell, uint32_t rates,
					   uint64_t now_us, uint64_t units, bool shared)
{
	uint32_t colour = P4N_GREEN;

	if (!atomic_load_explicit(&cell->configured, memory_order_acquire))
		return P4N_GREEN;
	if (__builtin_expect(shared, 0))
		while (atomic_flag_test_and_set_explicit(&cell->lock, memory_order_acquire))
			;
	/* The peak rate first: a red frame takes nothing, a yellow one from the peak bucket only. */
	for (uint32_t i = rates < P4N_METER_RATES ? rates : P4N_METER_RATES; i-- > 0;) {
		struct p4n_meter_rate *r = &cell->rate[i];
		uint64_t elapsed = now_us > cell->since_us ? now_us - cell->since_us : 0;
		uint64_t made = (uint64_t)((double)elapsed * r->info_rate);
		uint64_t more = made > r->filled ? made - r->filled : 0;

		r->filled += more;
		r->tokens = r->burst - r->tokens < more ? r->burst : r->tokens + more;
		if (r->tokens < units) {
			colour = i + 1;
			break;
		}
		r->tokens -= units;
	}
	if (__builtin_expect(shared, 0))
		atomic_flag_clear_explicit(&cell->lock, memory_order_release);
	return colour;
}

void p4n_meter_configure(struct p4n_meter_cell *cell, const struct p4n_meter_config *config,
			 uint64_t now_us)
{
	atomic_store_explicit(&cell->configured, config != NULL, memory_order_relaxed);
	memset(cell->rate, 0, sizeof(cell->rate));
	cell->since_us = now_us;
	if (!config)
		return;
	cell->rate[0] = (struct p4n_meter_rate){.info_rate = (double)config->cir / 1e6,
						.burst = (uint64_t)config->cburst,
						.tokens = (uint64_t)config->cburst};
	cell->rate[1] = (struct p4n_meter_rate){.info_rate = (double)config->pir / 1e6,
						.burst = (uint64_t)config->pburst,
						.tokens = (uint64_t)config->pburst};
}

bool p4n_meter_read(const struct p4n_meter_cell *cell, struct p4n_meter_config *config)
{
	if (!atomic_load_explicit((_Atomic bool *)(uintptr_t)&cell->configured,
				  memory_order_acquire))
		return false;
	config->cir = (int64_t)(cell->rate[0].info_rate * 1e6 + 0.5);
	config->cburst = (int64_t)cell->rate[0].burst;
	config->pir = (int64_t)(cell->rate[1].info_rate * 1e6 + 0.5);
	config->pburst = (int64_t)cell->rate[1].burst;
	return true;
}
