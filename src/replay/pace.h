/* When the events of a replay are due: by a rate, by the times that they have, or both.
 *
 * Promise: no event comes early, a rate is not exceeded to make up for a stall of over a second, and whoever waits has given away what was collected before. A cancel is seen within a fifth of a second.
 * Not promised: a rate that the sink does not keep. Events by their times come as fast as it takes them when they are late.
 * Threads: one.
 */
#ifndef REPLAY_PACE_H
#define REPLAY_PACE_H

#include "base/err.h"
#include "sink/sink.h"

struct replay_pace {
	double rate;        /* events a second; 0 = no limit */
	double speed;       /* 1 = as fast as they came, 10 = ten times; 0 = no limit */
	const bool *cancel; /* may be NULL */
	/* internal, zero at first */
	bool begun;
	int64_t start;      /* clock_mono_us */
	int64_t rate_start; /* … moved forward by what was lost in stalls */
	int64_t first_time; /* __time of the first event */
};
/* Returns when the event with this ordinal (from 0 on) and __time is due; before a wait it flushes the sink. RC_CANCELLED: "stopped after …". */
rc_t replay_pace_wait(struct replay_pace *p, uint64_t ordinal, int64_t time, struct sink *sink, struct err *reterr);

#endif
