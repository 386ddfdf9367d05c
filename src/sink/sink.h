/* Where a replay goes: stdout, a file, or an HTTP address.
 *
 *   stdout              payloads on standard output, framed
 *   file:///path, path  the same into a file, which must not exist
 *   http(s)://…         one POST a payload, its bytes as the body; connection kept; 5xx and no answer are retried with growing pauses,
 *                       but not what cannot become better (the URL, the certificate). Each has an Idempotency-Key "<source>-<position>", the
 *                       same whenever the event is sent again, by which a receiver may know what it has
 * Ownership: sink_free closes without finishing; a file that nothing was written to is taken away again. Threads: one.
 */
#ifndef SINK_SINK_H
#define SINK_SINK_H

#include <stdbool.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/slice.h"

enum sink_framing {
	SINK_LINES,
	SINK_LENGTH, /* 4 bytes big-endian, then the payload */
	SINK_NUL,
	SINK_RECORDS /* between us: length of the payload (4 bytes), position (8), length of the source (2), big-endian; then source and payload */
};
#define SINK_RECORD_HEAD 14
#define SINK_HEADERS_MAX 16
#define SINK_SOURCE_MAX 256 /* a longer one is no source of ours: left out */

struct sink_event {
	struct slice payload, source;
	int64_t pos;
};
/* An event of SINK_RECORDS at the front; returns its length, 0: not all of it is there. */
size_t sink_record_parse(struct slice in, struct sink_event *ret);

struct sink;
struct sink_options {
	enum sink_framing framing; /* of stdout and files */
	/* Once set (atomically, by anyone), a write over HTTP, or (if a signal's handler, without SA_RESTART, sets it) to a standard output that nobody
	 * reads, ends within about a second, RC_CANCELLED; may be NULL. */
	const bool *cancel;
	const char *const *headers; /* "Name: value", NULL-terminated, of each POST, before ours of that name; may be NULL. Borrowed, in no message */
	const char *(*content_type)(struct slice payload); /* of a POST; NULL: application/octet-stream */
};
rc_t sink_open(const char *url, const struct sink_options *opts, struct sink **ret, struct err *reterr);
/* Framed payloads to a callback: in pieces of about 1 MiB, and what there is at a sink_flush. */
struct sink *sink_to(enum sink_framing framing, rc_t (*write)(void *ctx, struct slice bytes, struct err *reterr), void *ctx);
rc_t sink_write(struct sink *s, const struct sink_event *event, struct err *reterr);
/* What was collected leaves us now: for whoever is about to wait. Of HTTP nothing is ever collected. */
rc_t sink_flush(struct sink *s, struct err *reterr);
rc_t sink_finish(struct sink *s, struct err *reterr); /* everything written is at its place, durable if it is a file */
void sink_free(struct sink *s);
AUTO_DEFINE(sink, sink_free)

#endif
