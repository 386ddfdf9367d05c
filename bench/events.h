/* Made-up events that look like real ones: what the benchmarks send and convert.
 *
 * A pool of whole NDJSON bodies is made once from a seed; before a body is sent, the fields that never repeat in life (time, ids, duration)
 * are written anew into their places. So a sender costs next to nothing, and no two events are equal.
 */
#ifndef BENCH_EVENTS_H
#define BENCH_EVENTS_H

#include <stddef.h>
#include <stdint.h>

enum events_kind {
	EVENTS_LOGS,	/* flat access logs: logs.c */
	EVENTS_TRACK,	/* nested analytics: track.c */
	EVENTS_GITHUB,	/* public events of a code host, sparse and wide: github.c */
	EVENTS_HOSTILE, /* random keys, drifting types, odd JSON: hostile.c */
	EVENTS_OPTIONS, /* 30 optional fields, maps of ids: options.c */
	EVENTS_KINDS,
};

struct events_field {
	uint32_t at;
	char type; /* 't' time, 24 characters; 'h' 32 hex digits; 'u' UUID, 36 characters; 'd' 3 digits */
};

/* A stream of made-up events: the same seed and time give the same bytes, whatever the compiler and the sizes of the bodies. */
struct events_stream {
	enum events_kind kind;
	uint64_t seed;
	uint64_t count; /* of the events made so far */
	int64_t now_us; /* time of the next event, µs since 1970 */
};

struct events_body {
	char *data;
	size_t len, count; /* bytes; events */
	struct events_field *fields;
	size_t field_count;
};

const char *events_kind_name(enum events_kind kind);
/* EVENTS_KINDS: there is no such kind. */
enum events_kind events_kind_of(const char *name);
/* A body of events until the next would pass max bytes (one: a single event of about max bytes, padded, without line feed). */
void events_make(struct events_body *b, struct events_stream *stream, size_t max, int one);
/* New times (now, µs since 1970, counting up 1 µs an event), ids and durations. */
void events_freshen(struct events_body *b, int64_t now_us, uint64_t *seed);
void events_free(struct events_body *b);
uint64_t events_random(uint64_t *seed);

#endif
