/* Inside the room json: one step of UTF-8, and validation where more bytes are readable than belong to the text. */
#ifndef JSON_SCAN_INTERNAL_H
#define JSON_SCAN_INTERNAL_H

#include "json/scan.h"

/* Bytes of the well-formed sequence at p (RFC 3629, table in section 4), p < end, *p ≥ 0x80. 0: not well-formed;
 * -1: cut off by end, but a prefix of a well-formed one. */
static inline int utf8_step(const uint8_t *p, const uint8_t *end)
{
	size_t left = (size_t)(end - p);
	uint8_t a = p[0];
	if (a < 0xc2 || a > 0xf4)
		return 0;
	uint8_t low = 0x80, high = 0xbf; /* what the second byte may be */
	if (a == 0xe0)
		low = 0xa0; /* overlong */
	else if (a == 0xed)
		high = 0x9f; /* surrogates */
	else if (a == 0xf0)
		low = 0x90; /* overlong */
	else if (a == 0xf4)
		high = 0x8f; /* over U+10FFFF */
	if (left < 2)
		return -1;
	if (p[1] < low || p[1] > high)
		return 0;
	if (a < 0xe0)
		return 2;
	if (left < 3)
		return -1;
	if ((p[2] & 0xc0) != 0x80)
		return 0;
	if (a < 0xf0)
		return 3;
	if (left < 4)
		return -1;
	return (p[3] & 0xc0) == 0x80 ? 4 : 0;
}

/* Use AVX2? Set when the program starts, and by json_scan_use_simd. */
extern bool json_scan_simd;

/* Members as they were found in earlier texts of the same body, from the comma or the key's quote to the colon and the quote of a string behind it,
 * and which followed which: the next is compared with the one that is foretold before it is scanned. Holds only bytes that were found to be
 * right, so that it never changes an answer; full, it learns no more. */
#define SCAN_STEPS 512
#define SCAN_STEP_TEXT 32
struct scan_step {
	uint8_t text[SCAN_STEP_TEXT]; /* zeros behind it */
	struct scan_step *next; /* the one that came behind it last; at first steps[0] */
	uint32_t mask;  /* a bit a byte of it */
	uint8_t len;
	bool string;    /* it ends in the quote of a string */
};
struct scan_memo {
	uint16_t count;
	uint16_t table[2 * SCAN_STEPS]; /* by hash; 0: free */
	struct scan_step steps[SCAN_STEPS]; /* 0: before the first */
};
static inline void scan_memo_init(struct scan_memo *m)
{
	m->count = 1;
	memset(m->table, 0, sizeof m->table);
	m->steps[0] = (struct scan_step){ .mask = 1, .next = m->steps }; /* a zero: no member begins with it */
}

/* A run of the scanner: what it reads and where it failed. */
struct scan {
	const uint8_t *end;      /* of the text */
	const uint8_t *readable; /* ≥ end: vector loads may reach up to here */
	struct scan_memo *memo;  /* NULL: none */
	struct scan_step *step;  /* the last one; in memo */
	uint32_t depth_max;
	const uint8_t *at;   /* of the fault */
	const char *message; /* of the fault */
	bool truncated;
	bool too_deep;
};

/* The two compiled forms of the state machine: the byte behind the value, or NULL with the fault in s. */
const uint8_t *scan_value_portable(const uint8_t *p, struct scan *s);
const uint8_t *scan_value_avx2(const uint8_t *p, struct scan *s);

/* json_validate where `readable` ≥ text's end bounds what may be read (not what may be used). If it lies behind the end, the byte at
 * the end must be a line end: it stops the scan of a string that is not closed, which keeps the whole linear. memo may be NULL. */
rc_t json_validate_within(struct slice text, const uint8_t *readable, const struct json_limits *limits, struct scan_memo *memo,
                          size_t *ret_end, struct json_error *ret_error);

#endif
