#include "replay/replay.h"

#include "replay/pace.h"

static bool cancelled(const struct replay_options *o)
{
	return o->cancel && __atomic_load_n(o->cancel, __ATOMIC_RELAXED);
}

static rc_t send_all(const struct replay_options *opts, struct scan *scan, struct sink *sink, struct replay_result *ret, struct err *reterr)
{
	struct replay_pace pace = { .rate = opts->rate, .speed = opts->speed, .cancel = opts->cancel };
	struct scan_row row;
	rc_t rc;
	while ((rc = scan_next(scan, &row, reterr)) == RC_OK) {
		if (opts->wanted && !opts->wanted(opts->ctx, row.payload))
			continue;
		if (row.foreign) {
			ret->foreign++;
			continue;
		}
		TRY(replay_pace_wait(&pace, ret->events, row.time, sink, reterr));
		TRY(sink_write(sink, &(struct sink_event){ row.payload, row.source, row.pos }, reterr));
		ret->events++;
		ret->bytes += row.payload.len;
		if (opts->progress)
			opts->progress(opts->ctx, ret->events, ret->bytes, row.time);
	}
	return rc;
}

rc_t replay_end(struct sink *sink, rc_t rc, uint64_t events, bool stopped, struct err *reterr)
{
	if (rc == RC_OK)
		return sink_finish(sink, reterr);
	struct err err = { 0 };
	rc_t end = sink_flush(sink, &err); /* what counts as sent leaves us whatever was wrong later */
	if (stopped && end == RC_OK)
		return err_set(reterr, RC_CANCELLED, "stopped after %llu events", (unsigned long long)events);
	if (stopped && reterr)
		*reterr = err;
	err_prefix(reterr, "after %llu events", (unsigned long long)events);
	return stopped ? RC_CANCELLED : rc;
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
	rc_t rc = send_all(opts, scan, sink, ret, reterr);
	return replay_end(sink, rc == RC_EOF ? RC_OK : rc, ret->events, cancelled(opts), reterr);
}
