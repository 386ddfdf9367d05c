#include "replay/pace.h"

#include "os/clock.h"

#define AHEAD_US 1000 /* shorter waits are not worth a sleep */
#define NAP_US 200000 /* longer ones are slept in naps, to see `cancel` */
#define LATE_US 1000000
#define DUE_MAX 4e15  /* µs, a hundred years and more: far from overflow */

static int64_t bounded(double us)
{
	return us < DUE_MAX ? (int64_t)us : (int64_t)DUE_MAX;
}

/* Who asks for a rate wants no burst behind a stall: what is late by more than LATE_US stays late. By their times events catch up. */
static int64_t due_at(struct replay_pace *p, uint64_t ordinal, int64_t time)
{
	int64_t now = clock_mono_us();
	if (!p->begun) {
		p->begun = true;
		p->start = p->rate_start = now;
		p->first_time = time;
	}
	int64_t by_rate = p->rate > 0 ? p->rate_start + bounded((double)ordinal * 1e6 / p->rate) : 0;
	if (p->rate > 0 && now - by_rate > LATE_US) {
		p->rate_start += now - by_rate;
		by_rate = now;
	}
	int64_t by_time = p->speed > 0 ? p->start + bounded(((double)time - (double)p->first_time) / p->speed) : 0;
	return by_time > by_rate ? by_time : by_rate;
}

rc_t replay_pace_wait(struct replay_pace *p, uint64_t ordinal, int64_t time, struct sink *sink, struct err *reterr)
{
	int64_t due = due_at(p, ordinal, time);
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
