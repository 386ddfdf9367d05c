/* Framing: cutting bytes into events, and remembering what stood between them.
 *
 * Promise: gap(0) payload(0) gap(1) payload(1) … payload(n-1) tail is the input, byte for byte, for every input and format. Valid
 *   events are exactly what json_validate (or the UTF-8 check) accepts; what is invalid is handed out too, with its exact bytes, reason, line and column. Linear
 *   time; memory of the incremental framer is bounded by a few times event_max.
 * Not promised: that a body and a stream of more than 1 MiB are taken for the same when the first 1 MiB misleads. How a stream is cut into
 *   reads never matters, unless framer_hurry is used.
 * Ownership: slices in events are borrowed: from the body, or from the framer until its next feed. Threads: one framer, one thread.
 *
 * A UTF-8 byte order mark at the very start is framing. White space around JSON events, line ends and blank lines are framing.
 *
 * Formats
 *   ndjson  each line (LF or CRLF) holds one JSON value; a line that does not is one invalid event; blank lines are skipped.
 *   json    one value; or one array, each element an event (body_is_event: the array is the event); or several values, white space
 *           between them optional. An error in an array: the elements before it stand, the rest is one invalid event. An error
 *           between several values: one invalid event up to the next line that begins with { or [, or to the end. Text that turns
 *           out to be NDJSON is cut as such and reported so.
 *   text    each line is an event, without its line end (LF or CRLF; a CR elsewhere belongs to the line); blank lines (white space
 *           only) are framing; a line that is not UTF-8 is a PAYLOAD_RAW event.
 *   raw     everything is one event. An empty input is no event.
 *
 * Sniffing (auto): by the first bytes after byte order mark and white space; "line" is the first line that is not blank.
 *   1  nothing there                                          text (no events)
 *   2  { or [ : the line is one whole value, and more follows ndjson
 *   3  {                                                      json, whatever may be wrong with it: a typo must not become text (ndjson if the
 *                                                             value is broken, but a later line of the first 64 KiB is a whole object)
 *   4  [ and the array is whole (or cut off by the end, or too deep), with no word behind it on its last line; or its first element is whole and
 *      a comma follows; or { and then " or }; or the input is one line whose first [ is closed by its last byte            json
 *   5  a value of another kind, alone in the input            json;   one on every line of the first 64 KiB              ndjson
 *   6  all UTF-8 without NUL (of a file: its first 1 MiB)     text
 *   7  otherwise                                              raw
 * So "[error] disk full", "[    0.000000] Linux", "2026-11-22 started" are text, {'a':1} and [1,] are broken JSON.
 * FRAME_JSON asks only what kind of JSON it is: ndjson by rules 2 and 3, one array, or values.
 */
#ifndef JSON_FRAME_H
#define JSON_FRAME_H

#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"
#include "json/scan.h"
#include "model/event.h"

enum frame_format { FRAME_AUTO, FRAME_NDJSON, FRAME_JSON, FRAME_TEXT, FRAME_RAW };
/* "auto" "ndjson" "json" "text" "raw" */
const char *frame_format_name(enum frame_format format);
bool frame_format_parse(struct slice name, enum frame_format *ret);

#define FRAME_EVENT_MAX ((size_t)32 << 20)

struct frame_limits {
	struct json_limits json;
	size_t event_max; /* bytes of one payload; 0 = FRAME_EVENT_MAX */
};

struct frame_event {
	struct slice gap;       /* framing between the event before (or the start) and this one */
	struct slice payload;   /* empty only for an empty body with body_is_event, which is invalid */
	enum payload_kind kind; /* PAYLOAD_RAW if invalid */
	bool unchecked;         /* a line from { to } that nobody has validated (framer_unchecked) */
	bool invalid;           /* to be quarantined */
	const char *message;    /* invalid: why (static, one line, no full stop); else NULL */
	uint64_t line, column;  /* from 1, in the whole input: of the fault if invalid, else the payload's first line and column 0 */
	uint64_t offset;        /* of payload in the whole input, bytes */
};

struct frame_counts {
	enum frame_format format; /* what it was taken for; never FRAME_AUTO */
	uint64_t events;          /* all, invalid ones too */
	uint64_t invalid;
	struct slice tail;        /* framing behind the last event (all of the body if there is none) */
};

/* Called for each event in order; anything but RC_OK stops and is returned. */
typedef rc_t frame_emit(void *ctx, const struct frame_event *e, struct err *reterr);

/* A whole body in memory. body_is_event: the body is one event: json and ndjson then want one value with white space around it, which is part of
 * the payload (else one invalid event), text takes all bytes but the byte order mark, raw takes all; an empty body is one invalid event. RC_LIMIT with status 413: an event is over event_max. Nothing valid is not an error
 * here: see the counts. limits may be NULL. */
rc_t frame_body(struct slice body, enum frame_format format, bool body_is_event, const struct frame_limits *limits,
                frame_emit *emit, void *ctx, struct frame_counts *ret, struct err *reterr);

/* ---- Files and pipes of any length ----
 *   struct framer *f = framer_new(FRAME_AUTO, NULL);
 *   for (;;) {
 *           rc = framer_next(f, &event, &err);            RC_OK: an event
 *           if (rc == RC_AGAIN) { n = read(fd, framer_space(f, 1 << 20), 1 << 20); n ? framer_fed(f, n) : framer_finish(f); }
 *           else if (rc == RC_EOF) break;                 framer_tail(f), framer_detected(f)
 *   }
 * All slices handed out since the last framer_space stay valid until the next one: events may be gathered into a batch. Feed large
 * pieces (1 MiB). An event, or white space between two, of more than event_max: RC_LIMIT, and the framer stays there. */
struct framer;
struct framer *framer_new(enum frame_format format, const struct frame_limits *limits);
void framer_free(struct framer *f);
AUTO_DEFINE(framer, framer_free)
/* Room for `bytes` more input; invalidates slices handed out. */
uint8_t *framer_space(struct framer *f, size_t bytes);
void framer_fed(struct framer *f, size_t bytes); /* so many of them were filled */
void framer_finish(struct framer *f);            /* no more input will come */
/* From now on a line of NDJSON from { to } is handed out without being validated, as an event with `unchecked`: whoever parses it finds out.
 * frame_check tells what framing would have said of it: valid, or invalid with message, line and column. Events handed out
 * have EVENT_PAD readable bytes behind them. */
void framer_unchecked(struct framer *f);
/* FRAME_AUTO and FRAME_JSON wait for 1 MiB, or the end, before they decide. A caller whose pipe pauses may ask for a decision by the first
 * line as soon as something follows it. */
void framer_hurry(struct framer *f);
rc_t framer_next(struct framer *f, struct frame_event *ret, struct err *reterr);
/* Validates an unchecked event, or a copy of it whose payload is still there. limits may be NULL. */
void frame_check(struct frame_event *e, const struct frame_limits *limits);
/* FRAME_AUTO until known. After RC_EOF: the tail, and counts. */
enum frame_format framer_detected(const struct framer *f);
struct slice framer_tail(const struct framer *f);
/* After RC_LIMIT: the line in which that begins which is too long; it is in the tail. */
uint64_t framer_line(const struct framer *f);
uint64_t framer_events(const struct framer *f);
uint64_t framer_invalid(const struct framer *f);

/* ---- The framing of a file, kept so that convert | restore gives the file back ----
 * Gaps are interned and run-length coded: a file with one kind of line end costs a dozen bytes, one where every gap differs costs
 * its gaps. Over FRAMING_MAX bytes: RC_LIMIT.
 *
 * Encoded (all numbers unsigned LEB128): byte 1 (version); events; prefix (length, bytes: the gap before event 0); tail (length, bytes); number of gaps, each
 * (length, bytes), the first being the usual gap; number of runs, each (events with the usual gap since the run before, gap number,
 * events of the run). Valid: everything is consumed, gap numbers exist, runs are not empty and end within events, lengths fit. */
#define FRAMING_MAX ((size_t)64 << 20)

struct framing {
	uint64_t events;    /* gaps added so far, the prefix included */
	struct buf prefix;  /* gap before event 0 */
	struct buf tail;    /* behind the last event */
	struct map ids;     /* gap bytes → number (while accumulating) */
	struct buf gaps;    /* the gaps, one behind the other, by number */
	uint64_t *gap_ends; /* end of gap i in `gaps` */
	uint64_t *gap_uses; /* events with gap i */
	size_t gap_count, gap_cap;
	struct buf runs;    /* closed runs, varints: gap number, events */
	uint64_t run_count;
	size_t run_gap;     /* the open run */
	uint64_t run_length;
};

void framing_init(struct framing *g);
void framing_free(struct framing *g);
/* The gap before the next event, in order; gap 0 is the prefix. */
rc_t framing_add(struct framing *g, struct slice gap, struct err *reterr);
rc_t framing_finish(struct framing *g, struct slice tail, struct err *reterr);
/* Adds a finished framing of what follows: the gap between the two is what `into` has behind its last event and `from` before its first.
 * `into` may be finished, and is afterwards. */
rc_t framing_join(struct framing *into, const struct framing *from, struct err *reterr);
/* Appends the encoded form; framing_finish was called. */
void framing_encode(struct framing *g, struct buf *ret);

/* Restoring: reads the encoded form in place (borrowed). */
struct framing_reader {
	struct slice prefix, tail;
	struct slice encoded;
	uint64_t *gaps;       /* owned: where in `encoded` gap i's length stands */
	uint64_t gap_count;
	size_t run_at;        /* the next run in `encoded` */
	uint64_t runs_left;
	uint64_t skip, left;  /* usual gaps before the run; events left in it */
	struct slice usual, run_gap;
	uint64_t events, next; /* all; the next to ask for */
};
/* RC_CORRUPT if it is not what framing_encode wrote. */
rc_t framing_reader_open(struct slice encoded, struct framing_reader *ret, struct err *reterr);
void framing_reader_close(struct framing_reader *r);
/* The bytes to write before the next event; RC_EOF behind the last event: then write r->tail. */
rc_t framing_reader_next(struct framing_reader *r, struct slice *ret_gap);

#endif
