/* log_msg(), assert() and assume() texts from the pipeline, bounded, for Python to read. */
#include "device.h"

P4N_EXPORT void p4n_log(struct p4n_thread *th, const char *text, uint32_t len)
{
	(void)p4n_queue_push(&th->io->dev->log, th->index, (const uint8_t *)text, len);
}
