/* Numbers: from JSON text to column values, and from column values to exactly the text a writer would have written.
 *
 * Promise: doubles are the correctly rounded nearest (ties to even) of the text, and texts made from doubles are the shortest that
 *   read back as the same double, the closest one among the shortest. Independent of the C locale.
 * Not promised: anything for text that is not a JSON number (RFC 8259 section 6); nothing outside the slice is read.
 * Ownership: none; nothing is allocated. Threads: every function is pure.
 */
#ifndef JSON_NUMBER_H
#define JSON_NUMBER_H

#include "base/slice.h"
#include "model/schema.h"

enum json_number_kind {
	NUM_INT64,   /* integer that fits int64; its shortest decimal form is the text */
	NUM_DECIMAL, /* digits '.' digits, at most 18 significant digits with the fraction's: i64 at `scale` gives the text back */
	NUM_DOUBLE,  /* other text that a double gives back in at least one of `formats` */
	NUM_BIGINT,  /* integer beyond int64, in canonical form; digits tells whether decimal(38) holds it */
	NUM_ODD      /* no column value gives this text back: 1E5, 1.50e3, 0.1234567890123456789, 1e400, -0.00 */
};

/* A set of the formats that give a text back: json_number_format_double(f64, FORMAT_DOUBLE_x) is the text. */
#define NUM_FORMATS 11 /* bit i of a set: NUM_FORMAT_OF_BIT(i) */
#define NUM_FORMAT_OF_BIT(i) ((i) < 2 ? FORMAT_DOUBLE_SHORT + (i) : FORMAT_DOUBLE_RYU + (i) - 2)
#define NUM_FORMAT_SHORT 1u
#define NUM_FORMAT_DOT 2u
/* The set of one format; 0: it is no format of doubles that this version knows. */
static inline uint16_t json_number_format_bit(unsigned format)
{
	if (format == FORMAT_DOUBLE_SHORT || format == FORMAT_DOUBLE_DOT)
		return (uint16_t)format;
	return format >= FORMAT_DOUBLE_RYU && format < FORMAT_DOUBLE_END ? (uint16_t)(1u << (format - FORMAT_DOUBLE_RYU + 2)) : 0;
}

struct json_number {
	uint8_t kind;     /* enum json_number_kind */
	uint8_t digits;   /* int, decimal, bigint: decimal digits from the first that is not 0, at least scale and at least 1;
	                     cut at 255. What decimal(digits, scale) must have */
	uint8_t scale;    /* NUM_DECIMAL: fraction digits; else 0 */
	bool lossless;    /* f64's shortest form has the text's exact numeric value */
	uint16_t formats; /* the set; may be set beside any kind but NUM_ODD. For integers beyond 2^53 left 0 unless kind is
	                     NUM_BIGINT: ask json_number_restores where it matters */
	int64_t i64;      /* NUM_INT64: the value; NUM_DECIMAL: the unscaled value; else 0 */
	double f64;       /* nearest double, ±infinity on overflow; for every kind */
};

/* text: one valid JSON number, nothing around it. */
struct json_number json_number_parse(struct slice text);
/* Integers of canonical form only (the hottest case): false for anything else. "-0" and "007" are not canonical. */
bool json_number_int64(struct slice text, int64_t *ret);
/* The formats that write i, as a double, as the integer it is. |i| ≤ 2^53. */
uint16_t json_number_int_formats(int64_t i);
/* The nearest double of a JSON number text. */
double json_number_double(struct slice text);
/* Does value, formatted so (FORMAT_DOUBLE_*), give exactly text? */
bool json_number_restores(struct slice text, double value, enum format format);
/* NUM_BIGINT with digits ≤ 38, or any NUM_INT64/NUM_DECIMAL, as an unscaled 128-bit integer at *ret_scale; false if it does not fit
 * (over 38 digits, an exponent, -0). */
bool json_number_int128(struct slice text, __int128 *ret, uint8_t *ret_scale);

/* Writers: bytes written to out, no NUL. Sizes below are enough for every value. */
#define JSON_DOUBLE_CHARS 40
#define JSON_INT_CHARS 20
#define JSON_DECIMAL_CHARS 48 /* scale up to 38 */

/* FORMAT_DOUBLE_SHORT: as ECMAScript Number::toString and Go's encoding/json: 10 10.5 0.000001 1e-7 123456789012345680000 1e+21;
 *   -0.0 gives -0 (Go; ECMAScript says 0, but no text 0 parses to -0.0, so this restores more).
 * FORMAT_DOUBLE_DOT: as Python's repr and json.dumps: 10.0 10.5 0.0001 1e-05 1234567890123456.0 1e+16 -0.0.
 * The others: as the real writers, see enum format; all with the shortest digits. A format that is none of doubles' counts as SHORT.
 * NaN and infinities have no JSON: null is written. */
size_t json_number_format_double(double value, enum format format, char out[JSON_DOUBLE_CHARS]);
size_t json_number_format_int(int64_t value, char out[JSON_INT_CHARS]);
/* Exactly `scale` fraction digits (0 ≤ scale ≤ 38): 120 at scale 3 is 0.120, -5 at scale 0 is -5. */
size_t json_format_decimal(__int128 unscaled, unsigned scale, char out[JSON_DECIMAL_CHARS]);

#endif
