#include "replay/replay.h"

#include "os/clock.h"

#define AHEAD_US 1000               /* shorter waits are not worth a sleep */
#define NAP_US 200000               /* longer ones are slept in naps, to see `cancel` */
#define DUE_MAX 4e15                /* µs, a hundred years and more: far from overflow */

struct pace {
	const struct replay_options *opts;
	int64_t start;      /* clock_mono_us */
	int64_t first_time; /* __time of the first event */
	bool begun;
};

static bool cancelled(const struct replay_options *o)
{
	return o->cancel && __atomic_load_n(o->cancel, __ATOMIC_RELAXED);
}

static int64_t bounded(double us)
{
	return us < DUE_MAX ? (int64_t)us : (int64_t)DUE_MAX;
}

/* Sleeps until the event with this ordinal and time is due. */
static void pace_wait(struct pace *p, uint64_t ordinal, int64_t time)
{
	if (!p->begun) {
		p->begun = true;
		p->start = clock_mono_us();
		p->first_time = time;
	}
	int64_t due = 0;
	if (p->opts->rate > 0)
		due = bounded((double)ordinal * 1e6 / p->opts->rate);
	if (p->opts->speed > 0) {
		int64_t by_time = bounded(((double)time - (double)p->first_time) / p->opts->speed);
		due = by_time > due ? by_time : due;
	}
	while (due && !cancelled(p->opts)) {
		int64_t left = p->start + due - clock_mono_us();
		if (left <= AHEAD_US)
			return;
		clock_sleep_us(left < NAP_US ? left : NAP_US);
	}
}

rc_t replay_run(const struct replay_options *opts, struct sink *sink, struct replay_result *ret, struct err *reterr)
{
	*ret = (struct replay_result){ 0 };
	struct scan_options so = opts->scan;
	so.order = SCAN_OLDEST;
	so.cancel = opts->cancel;
	AUTO(scan) *scan = NULL;
	TRY(scan_open(&so, &scan, reterr));
	ret->files_of_others = scan_get_stats(scan).files_of_others;
	struct pace pace = { .opts = opts };
	struct scan_row row;
	rc_t rc;
	while ((rc = scan_next(scan, &row, reterr)) == RC_OK) {
		if (opts->wanted && !opts->wanted(opts->ctx, row.payload))
			continue;
		if (row.foreign) {
			ret->foreign++;
			continue;
		}
		pace_wait(&pace, ret->events, row.time);
		if (cancelled(opts))
			return err_set(reterr, RC_CANCELLED, "stopped after %llu events", (unsigned long long)ret->events);
		bool json = row.payload.len && (row.payload.data[0] == '{' || row.payload.data[0] == '[');
		rc = sink_write(sink, row.payload, json, reterr);
		if (rc != RC_OK) {
			err_prefix(reterr, "after %llu events", (unsigned long long)ret->events);
			return rc;
		}
		ret->events++;
		ret->bytes += row.payload.len;
		if (opts->progress)
			opts->progress(opts->ctx, ret->events, ret->bytes, row.time);
	}
	return rc == RC_EOF ? sink_finish(sink, reterr) : rc;
}
