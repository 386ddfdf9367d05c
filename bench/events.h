/* Made-up events that look like real ones: what the benchmarks send and convert.
 *
 * A pool of whole NDJSON bodies is made once from a seed; before a body is sent, the fields that never repeat in life (time, ids, duration)
 * are written anew into their places. So a sender costs next to nothing, and no two events are equal.
 */
#ifndef BENCH_EVENTS_H
#define BENCH_EVENTS_H

#include <stddef.h>
#include <stdint.h>

enum events_kind { EVENTS_LOGS, EVENTS_TRACK }; /* flat access logs; nested analytics */

struct events_field {
	uint32_t at;
	char type; /* 't' time, 24 characters; 'h' 32 hex digits; 'd' 3 digits */
};

struct events_body {
	char *data;
	size_t len, count; /* bytes; events */
	struct events_field *fields;
	size_t field_count;
};

/* A body of events until the next would pass max bytes (one: a single event of about max bytes, padded, without line feed). */
void events_make(struct events_body *b, enum events_kind kind, size_t max, int one, uint64_t *seed);
/* New times (now, µs since 1970, counting up 1 µs an event), ids and durations. */
void events_freshen(struct events_body *b, int64_t now_us, uint64_t *seed);
void events_free(struct events_body *b);
uint64_t events_random(uint64_t *seed);

#endif
