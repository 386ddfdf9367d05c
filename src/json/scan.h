/* The JSON scanner: strict validation of foreign text, and a fast pull scanner over text that was validated.
 *
 * Promise: json_validate accepts exactly the texts of RFC 8259 encoded in UTF-8, up to the depth limit; it never reads outside the
 *   slice, never recurses, allocates nothing, runs in linear time, and gives the same answer with and without AVX2.
 * Not promised: anything about the pull scanner on text that was not validated, save that it never reads at or past `end`.
 * Ownership: nothing is kept or allocated. Threads: every function is pure.
 *
 * What RFC 8259 leaves open (the i_ cases of the JSONTestSuite), by rule:
 *   bytes that are not UTF-8 (overlong forms, surrogates, over U+10FFFF, cut off)   rejected
 *   \u escapes of lone or swapped surrogates   legal text: the column holds U+FFFD, the payload is restored exactly
 *   numbers of any length, exponents of any size   legal text: what the column holds is number.h's matter
 *   nesting deeper than the limit (128 by default)   rejected with RC_LIMIT
 *   a UTF-8 byte order mark   framing at the very start of a body or file (frame.h strips it), rejected here and anywhere else
 *   UTF-16, UTF-32   rejected: they are not UTF-8 JSON
 *   duplicate keys, empty keys, U+0000 by escape, non-characters   legal
 */
#ifndef JSON_SCAN_H
#define JSON_SCAN_H

#include "base/err.h"
#include "base/slice.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define JSON_DEPTH_DEFAULT 128 /* containers around the innermost value, itself included: [[1]] has depth 2 */
#define JSON_DEPTH_MAX 1024    /* what limits->depth may ask for at most; more is cut down to it */

struct json_limits {
	uint32_t depth; /* 0 = JSON_DEPTH_DEFAULT */
};

struct json_error {
	size_t offset;       /* of the first byte that cannot be right; text.len if the text ends too early */
	const char *message; /* static, one line, no full stop */
	bool truncated;      /* the text is a prefix of some legal text: more bytes may help */
};

/* Validates one value at the start of text, white space before it allowed. *ret_end is the offset behind the value (trailing white
 * space is not consumed). A number or literal must be followed by the end, white space or one of , ] } { [ " so that `012` or
 * `truex` is an error. RC_INVALID, RC_LIMIT (depth). limits and ret_error may be NULL; ret_end is untouched on failure. */
rc_t json_validate(struct slice text, const struct json_limits *limits, size_t *ret_end, struct json_error *ret_error);
/* The same, and nothing but white space may follow. *ret_value (may be NULL) is the value without white space around. */
rc_t json_validate_all(struct slice text, const struct json_limits *limits, struct slice *ret_value, struct json_error *ret_error);
/* Is all of it UTF-8 (RFC 3629)? *ret_valid (may be NULL): length of the longest valid prefix. */
bool json_utf8_valid(struct slice text, size_t *ret_valid);
/* Where offset stands: both from 1; column counts characters, not bytes. Lines end with LF. */
void json_line_column(struct slice text, size_t offset, uint64_t *ret_line, uint64_t *ret_column);
/* For tests: false switches to the portable code, true back to what the processor has. Not while other threads scan. */
void json_scan_use_simd(bool use);
bool json_scan_has_simd(void); /* AVX2 and BMI are there and used */

/* ---- The pull scanner: text ALREADY validated ----
 * p stands inside the text. No padding is needed: nothing at or behind `end` is read. Where a caller knows that more bytes are
 * readable behind the text (16 are enough), json_string_end may be given that later end, which spares the byte-wise tail: in
 * valid text it stops by itself. json_space and json_number_end want the text's true end. */

static inline bool json_is_space(uint8_t c)
{
	return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/* First byte that is not white space, or end. */
static inline const uint8_t *json_space(const uint8_t *p, const uint8_t *end)
{
	while (p < end && *p <= ' ' && json_is_space(*p))
		p++;
	return p;
}

#define JSON_MARK_ESCAPE 1u /* the string holds a backslash: json_string_unescape */
#define JSON_MARK_HIGH 2u   /* the string holds bytes ≥ 0x80 */

/* p: behind the opening quote. Returns the closing quote; *ret_marks: JSON_MARK_* of the bytes between. */
static inline const uint8_t *json_string_end(const uint8_t *p, const uint8_t *end, uint32_t *ret_marks)
{
	uint32_t marks = 0;
#ifdef __SSE2__
	const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\');
	while (end - p >= 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)p);
		uint32_t q = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(v, quote));
		uint32_t b = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(v, backslash));
		uint32_t h = (uint32_t)_mm_movemask_epi8(v);
		uint32_t before = q ? (q & -q) - 1 : 0xffff; /* the bytes in front of the first quote */
		if (__builtin_expect(b & before, 0)) {
			unsigned at = (unsigned)__builtin_ctz(b);
			marks |= JSON_MARK_ESCAPE | (h & (((uint32_t)1 << at) - 1) ? JSON_MARK_HIGH : 0);
			p += at + 2; /* the escaped byte is ASCII and no end */
			continue;
		}
		if (h & before)
			marks |= JSON_MARK_HIGH;
		if (q) {
			*ret_marks = marks;
			return p + __builtin_ctz(q);
		}
		p += 16;
	}
#endif
	while (p < end && *p != '"') {
		if (*p == '\\') {
			marks |= JSON_MARK_ESCAPE;
			p++;
		} else if (*p >= 0x80) {
			marks |= JSON_MARK_HIGH;
		}
		p++;
	}
	*ret_marks = marks;
	return p < end ? p : end;
}

/* p: first byte of a number. Returns the first byte that cannot belong to it, or end. */
static inline const uint8_t *json_number_end(const uint8_t *p, const uint8_t *end)
{
	while (p < end && ((uint8_t)(*p - '0') < 10 || *p == '.' || *p == '-' || *p == '+' || (*p | 0x20) == 'e'))
		p++;
	return p;
}

/* p: first byte of any value (no white space). Returns the byte behind it. Linear, no recursion, any depth. */
const uint8_t *json_value_end(const uint8_t *p, const uint8_t *end);

#endif
