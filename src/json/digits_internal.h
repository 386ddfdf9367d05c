/* Inside the room json: integers as decimal digits, written where they shall stand. */
#ifndef JSON_DIGITS_INTERNAL_H
#define JSON_DIGITS_INTERNAL_H

#include <stdint.h>
#include <string.h>

extern const char digit_pairs[201]; /* "000102…99" */
extern const uint64_t digit_powers[20]; /* 10^i */

/* Decimal digits of v; 1 for 0. */
static inline unsigned digits_count(uint64_t v)
{
	unsigned guess = (unsigned)(64 - __builtin_clzll(v | 1)) * 1233 >> 12; /* bits × log10(2) */
	return guess + (v >= digit_powers[guess] || guess == 0);
}

/* v < 10^8 as exactly 8 digits, the first in the lowest byte: halves, quarters, single digits of a word at once. */
static inline uint64_t digits_word8(uint64_t v)
{
	uint64_t high = v / 10000, low = v - high * 10000;
	uint64_t fours = high | low << 32;
	uint64_t hundreds = (fours * 10486 >> 20) & 0x0000007f0000007fu;       /* each / 100 */
	uint64_t twos = hundreds | (fours - hundreds * 100) << 16;
	uint64_t tens = (twos * 103 >> 10) & 0x000f000f000f000fu;              /* each / 10 */
	uint64_t ones = tens | (twos - tens * 10) << 8;
	return ones + 0x3030303030303030u;
}

static inline void digits_put8(uint64_t v, void *out)
{
	uint64_t word = digits_word8(v);
	memcpy(out, &word, 8);
}

/* The last `count` digits, 1 to 8, of v < 10^8; writes 8 bytes. */
static inline void digits_put_last(uint64_t v, unsigned count, void *out)
{
	uint64_t word = digits_word8(v) >> (64 - 8 * count);
	memcpy(out, &word, 8);
}

/* The digits of v < 10^count, with leading zeros, in exactly `count` ≤ 20 places. */
static inline void digits_put_fixed(uint64_t v, unsigned count, void *out)
{
	char *at = (char *)out + count;
	while (count >= 8) {
		uint64_t rest = v / 100000000;
		digits_put8(v - rest * 100000000, at -= 8);
		v = rest;
		count -= 8;
	}
	for (; count >= 2; count -= 2) {
		uint64_t rest = v / 100;
		memcpy(at -= 2, digit_pairs + (v - rest * 100) * 2, 2);
		v = rest;
	}
	if (count)
		*--at = (char)('0' + v);
}

/* Writes v, 20 bytes with what may stand behind it; returns the number of digits. Few branches: how long numbers are cannot be foreseen. */
static inline unsigned digits_put(uint64_t v, void *out)
{
	const uint64_t low8 = 100000000, low16 = low8 * low8;
	unsigned count = digits_count(v);
	char *p = out;
	if (v < low8) {
		digits_put_last(v, count, p);
		return count;
	}
	if (v >= low16) {
		uint64_t top = v / low16;
		digits_put_last(top, count - 16, p);
		p += count - 16;
		v -= top * low16;
		digits_put8(v / low8, p);
		digits_put8(v % low8, p + 8);
		return count;
	}
	uint64_t top = v / low8;
	digits_put_last(top, count - 8, p);
	digits_put8(v - top * low8, p + count - 8);
	return count;
}

#endif
