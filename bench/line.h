/* One event being written: its text, and the places that are written anew before it is sent again (events_freshen). */
#ifndef BENCH_LINE_H
#define BENCH_LINE_H

#include <stdbool.h>
#include <stdint.h>

#include "events.h"

#define LINE_MAX_BYTES	65536
#define LINE_MAX_FIELDS 16

struct line {
	char text[LINE_MAX_BYTES];
	size_t len;
	struct events_field fields[LINE_MAX_FIELDS];
	size_t field_count;
	uint64_t seed;	 /* of this event */
	uint64_t number; /* of the event in its stream, from 0 */
	int64_t now_us;	 /* its time, µs since 1970 */
};

/* printf onto the end; the texts of all kinds are far shorter than LINE_MAX_BYTES. */
__attribute__((format(printf, 2, 3))) void put(struct line *l, const char *format, ...);
void put_text(struct line *l, const char *text); /* as it is */
/* A string's inside, with the escapes that JSON needs and no other. */
void put_escaped(struct line *l, const char *text);
/* `before`, then text that never repeats in life, then `after`: a time of 24 characters, 32 hex digits, a UUID, or 3 digits. */
void put_field(struct line *l, const char *before, char type, const char *after);
/* "2026-01-01T00:00:00.000Z" of the line's time + us; with fraction 0 without the three digits of milliseconds. */
void put_time(struct line *l, int64_t us, bool fraction);
void put_hex(struct line *l, unsigned digits);
void put_uuid(struct line *l);
/* Words of a small vocabulary, from `least` to `most`; now and then one that is not ASCII. */
void put_words(struct line *l, unsigned least, unsigned most);
/* A name as people choose for an account: always the same for one id. */
void put_login(struct line *l, uint32_t id);

/* A random number is made of the event's seed, the place in its text and the place in the source that asks: C does not say in which order
 * a call's arguments are worked out, and a file must not depend on the compiler. So one place asks once, unless text was put between. */
uint64_t line_random(const struct line *l, unsigned site);
unsigned line_below(const struct line *l, unsigned n, unsigned site);
unsigned line_skewed(const struct line *l, unsigned n, unsigned site);

#define any(l)	    line_random(l, __COUNTER__)
#define below(l, n) line_below(l, n, __COUNTER__) /* uniform */
#define skewed(l, n) \
	line_skewed(l, n, __COUNTER__) /* small numbers far more often than big ones, as users, pages and products are */
#define chance(l, percent) (below(l, 100) < (percent))

#define COUNT(list)	(sizeof(list) / sizeof *(list))
#define PICK(l, list)	((list)[skewed(l, COUNT(list))])
#define EVENLY(l, list) ((list)[below(l, COUNT(list))])

/* One file a kind: a whole event into an empty line, without the last brace, so that a single post can be padded. */
void logs_make(struct line *l);
void track_make(struct line *l);
void github_make(struct line *l);
void hostile_make(struct line *l);
void options_make(struct line *l);

#endif
