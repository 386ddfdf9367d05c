/* Replay: the exact payloads of a scan, in time order, to a sink, as fast as asked for.
 *
 * Promise: payloads go out byte for byte, once each, ordered by (time, position). A failure says after how many. Rows that another program wrote
 *   have no event's bytes: they are passed over and counted.
 * Threads: runs in the caller's thread.
 */
#ifndef REPLAY_REPLAY_H
#define REPLAY_REPLAY_H

#include "base/err.h"
#include "scan/scan.h"
#include "sink/sink.h"

struct replay_options {
	struct scan_options scan; /* its order is set here */
	double rate;              /* events a second; 0 = no limit */
	double speed;             /* 1 = as fast as they came, 10 = ten times; 0 = no limit */
	bool (*wanted)(void *ctx, struct slice payload); /* NULL: all */
	void *ctx;
	void (*progress)(void *ctx, uint64_t events, uint64_t bytes, int64_t time); /* may be NULL */
	const bool *cancel;       /* set by a signal's handler or another thread; may be NULL */
};
struct replay_result {
	uint64_t events, bytes;
	uint64_t foreign;         /* rows of other programs, passed over */
	uint64_t files_of_others; /* whose events came as another program had written them (scan.h) */
};
/* The end of one that sent so many events: what it collected goes out, also after an error or a stop, and the error says after how many it came. The result. */
rc_t replay_end(struct sink *sink, rc_t rc, uint64_t events, bool stopped, struct err *reterr);
rc_t replay_run(const struct replay_options *opts, struct sink *sink, struct replay_result *ret, struct err *reterr);

#endif
