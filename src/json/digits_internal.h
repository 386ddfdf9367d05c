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

/* v < 10^8 as exactly 8 digits: halves, quarters, single digits of a word at once. */
static inline void digits_put8(uint64_t v, void *out)
{
	uint64_t high = v / 10000, low = v - high * 10000;
	uint64_t fours = high | low << 32;
	uint64_t hundreds = (fours * 10486 >> 20) & 0x0000007f0000007fu;       /* each / 100 */
	uint64_t twos = hundreds | (fours - hundreds * 100) << 16;
	uint64_t tens = (twos * 103 >> 10) & 0x000f000f000f000fu;              /* each / 10 */
	uint64_t ones = tens | (twos - tens * 10) << 8;
	ones += 0x3030303030303030u;
	memcpy(out, &ones, 8);
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

/* Writes v; returns the number of digits. */
static inline unsigned digits_put(uint64_t v, void *out)
{
	unsigned count = digits_count(v);
	digits_put_fixed(v, count, out);
	return count;
}

#endif
