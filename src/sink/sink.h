/* Where a replay goes: stdout, a file, or an HTTP address.
 *
 *   stdout              payloads on standard output, framed
 *   file:///path, path  the same into a file, which must not exist
 *   http(s)://…         one POST a payload, its bytes as the body; connection kept; 5xx and no answer are retried with growing pauses,
 *                       but not what cannot become better (the URL, the certificate)
 * Ownership: sink_free closes without finishing. Threads: one.
 */
#ifndef SINK_SINK_H
#define SINK_SINK_H

#include <stdbool.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/slice.h"

enum sink_framing { SINK_LINES, SINK_LENGTH /* 4 bytes big-endian, then the payload */, SINK_NUL };

struct sink;
struct sink_options {
	enum sink_framing framing; /* of stdout and files */
	/* Once set (atomically, by anyone), a write over HTTP, or (if a signal's handler, without SA_RESTART, sets it) to a standard output that nobody
	 * reads, ends within about a second, RC_CANCELLED; may be NULL. */
	const bool *cancel;
	const char *(*content_type)(struct slice payload); /* of a POST; NULL: application/octet-stream */
};
rc_t sink_open(const char *url, const struct sink_options *opts, struct sink **ret, struct err *reterr);
/* Framed payloads to a callback: in pieces of about 1 MiB, and what there is at a sink_flush. */
struct sink *sink_to(enum sink_framing framing, rc_t (*write)(void *ctx, struct slice bytes, struct err *reterr), void *ctx);
rc_t sink_write(struct sink *s, struct slice payload, struct err *reterr);
/* What was collected leaves us now: for whoever is about to wait. Of HTTP nothing is ever collected. */
rc_t sink_flush(struct sink *s, struct err *reterr);
rc_t sink_finish(struct sink *s, struct err *reterr); /* everything written is at its place, durable if it is a file */
void sink_free(struct sink *s);
AUTO_DEFINE(sink, sink_free)

#endif
