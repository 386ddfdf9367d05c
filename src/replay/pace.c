#include "replay/pace.h"

#include "os/clock.h"

#define AHEAD_US 1000 /* shorter waits are not worth a sleep */
#define NAP_US 200000 /* longer ones are slept in naps, to see `cancel` */
#define DUE_MAX 4e15  /* µs, a hundred years and more: far from overflow */

static int64_t bounded(double us)
{
	return us < DUE_MAX ? (int64_t)us : (int64_t)DUE_MAX;
}

/* From the start on, µs. */
static int64_t due_after(const struct replay_pace *p, uint64_t ordinal, int64_t time)
{
	int64_t due = p->rate > 0 ? bounded((double)ordinal * 1e6 / p->rate) : 0;
	int64_t by_time = p->speed > 0 ? bounded(((double)time - (double)p->first_time) / p->speed) : 0;
	return by_time > due ? by_time : due;
}

rc_t replay_pace_wait(struct replay_pace *p, uint64_t ordinal, int64_t time, struct sink *sink, struct err *reterr)
{
	if (!p->begun) {
		p->begun = true;
		p->start = clock_mono_us();
		p->first_time = time;
	}
	int64_t due = p->start + due_after(p, ordinal, time);
	for (bool flushed = false;; flushed = true) {
		if (p->cancel && __atomic_load_n(p->cancel, __ATOMIC_RELAXED))
			return err_set(reterr, RC_CANCELLED, "stopped after %llu events", (unsigned long long)ordinal);
		int64_t left = due - clock_mono_us();
		if (left <= AHEAD_US)
			return RC_OK;
		if (!flushed)
			TRY(sink_flush(sink, reterr));
		left = due - clock_mono_us();
		clock_sleep_us(left < NAP_US ? left : NAP_US);
	}
}
