/* Timestamps as text: the formats that give exactly the same text back from an int64 of microseconds.
 *
 * Promise: json_time_parse(text, f, &us) true ⇔ json_time_format(us, f) is text, byte for byte. Proleptic Gregorian calendar, years 0001 to
 *   9999, no leap seconds (":60" stays a string).
 * Ownership: none; nothing is allocated. Threads: every function is pure.
 *
 * A format is FORMAT_TIME_BASE + row, row = (zone * TIME_FRACTIONS + fraction) * TIME_SEPARATORS + separator. Rows are stored in files:
 * never renumber. Only texts in UTC or without a zone restore; others stay strings (json_time_parse_any still reads them).
 */
#ifndef JSON_TIME_H
#define JSON_TIME_H

#include "base/slice.h"
#include "model/schema.h"

enum time_zone_style {
	TIME_ZONE_Z,      /* 2026-11-22T10:00:00Z: TYPE_TIMESTAMPTZ */
	TIME_ZONE_OFFSET, /* 2026-11-22T10:00:00+00:00: TYPE_TIMESTAMPTZ */
	TIME_ZONE_NONE,   /* 2026-11-22T10:00:00: TYPE_TIMESTAMP */
	TIME_ZONES
};
enum time_fraction_style {
	/* 0 … 6: exactly so many fraction digits */
	TIME_FRACTION_TRIM = 7,  /* as many as needed, none and no dot for a whole second: Go's RFC3339Nano */
	TIME_FRACTION_THREES = 8, /* none, 3 or 6, as needed: Java's Instant */
	TIME_FRACTIONS
};
#define TIME_SEPARATORS 2 /* 0: 'T', 1: ' ' */
#define TIME_FORMATS (TIME_ZONES * TIME_FRACTIONS * TIME_SEPARATORS) /* 54: fits a 64-bit mask */
#define JSON_TIME_CHARS 32 /* enough for every text */

/* Bit i: row i gives this text back. AND the masks of a column's values; the lowest bit left is the format to take. 0: not a
 * restorable timestamp. */
uint64_t json_time_candidates(struct slice text);
/* FORMAT_TIME_BASE + the lowest bit of it (the fixed number of digits), or 0. */
unsigned json_time_detect(struct slice text);
/* Strict: only the canonical text of that format, with a valid date. *ret_us: µs since 1970-01-01 00:00 (UTC, or the zoneless clock). */
bool json_time_parse(struct slice text, unsigned format, int64_t *ret_us);
/* The same answer, sooner for a text of the minute that was read last: events come by time, and their times lie close together. */
struct json_time_minute { /* zeroed at the start */
	uint8_t text[16]; /* YYYY-MM-DDTHH:MM */
	int64_t us;
	unsigned format;
};
bool json_time_parse_near(struct slice text, unsigned format, struct json_time_minute *last, int64_t *ret_us);
/* Bytes written to out, no NUL; 0 if us is outside years 0001 to 9999, or if it has more precision than the format shows. */
size_t json_time_format(int64_t us, unsigned format, char out[JSON_TIME_CHARS]);
/* The same, sooner for a time of the day that was written last. */
struct json_time_day { /* zeroed at the start */
	int64_t days;
	char text[10]; /* YYYY-MM-DD */
};
size_t json_time_format_near(int64_t us, unsigned format, struct json_time_day *last, char out[JSON_TIME_CHARS]);
/* Characters of every text of the format; 0 if they differ in length, or for no format. */
size_t json_time_length(unsigned format);
/* Has it a zone (TYPE_TIMESTAMPTZ), or not (TYPE_TIMESTAMP)? */
bool json_time_zoned(unsigned format);

/* For event-time detection, liberal: RFC 3339 with any offset, 't' or ' ', ',' as the fraction's point, fractions of any length (cut to
 * µs), ":60" (the second after), no zone (taken as UTC), a bare date (midnight); or a number of seconds (with a fraction), ms, µs or ns since the epoch
 * between 1990 and 2100, told apart by size. *ret_us: µs, UTC. */
bool json_time_parse_any(struct slice text, int64_t *ret_us);

#endif
