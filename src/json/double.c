/* Shortest digits: Raffaello Giulietti's Schubfach ("The Schubfach way to render doubles", 2020), section 9's fast form: the ends and the
 * middle of the rounding interval are scaled by one 128-bit power of ten and rounded to odd, which keeps every comparison exact.
 * Nearest double: the product of the digits and a 128-bit power of ten is known to lie between two neighbours; when both round to
 * the same double that is the answer (all but about one in 2^60 inputs, and exact ties).
 */
#include "json/double_internal.h"

#include <string.h>

static uint64_t bits_of(double value)
{
	uint64_t bits;
	memcpy(&bits, &value, 8);
	return bits;
}

/* floor(g × cp / 2^128), with the lowest bit set if anything but the table's own error was cut off. */
static uint64_t round_to_odd(struct pow10 g, uint64_t cp)
{
	unsigned __int128 x = (unsigned __int128)g.lo * cp;
	unsigned __int128 y = (unsigned __int128)g.hi * cp + (uint64_t)(x >> 64);
	return (uint64_t)(y >> 64) | ((uint64_t)y > 1);
}

/* value = c × 2^q, c > 0; even: the interval's ends belong to it; narrow: the lower neighbour is only half as far. */
static struct decimal schubfach(uint64_t c, int q, bool even, bool narrow)
{
	/* floor(log10(2^q)), of 3/4 × 2^q if narrow */
	int k = (q * 1262611 - (narrow ? 524031 : 0)) >> 22;
	int h = q + pow10_log2(-k) + 1;
	struct pow10 g = pow10_table[-k - POW10_MIN];
	if (-k < 0 || -k > 55) { /* inexact: an upper bound is wanted */
		g.lo++;
		g.hi += g.lo == 0;
	}
	uint64_t low = round_to_odd(g, (4 * c - 2 + narrow) << h);
	uint64_t mid = round_to_odd(g, (4 * c) << h);
	uint64_t high = round_to_odd(g, (4 * c + 2) << h);
	if (!even) {
		low++;
		high--;
	}
	uint64_t s = mid / 4;
	if (s >= 10) { /* one digit fewer? At most one of its two candidates can lie inside */
		uint64_t t = s / 10;
		bool down = low <= 40 * t, up = 40 * t + 40 <= high;
		if (down != up)
			return (struct decimal){ t + up, k + 1 };
	}
	bool down = low <= 4 * s, up = 4 * s + 4 <= high;
	if (down == up) { /* both inside (or none): the nearer, ties to even */
		uint64_t half = 4 * s + 2;
		up = mid > half || (mid == half && (s & 1));
	}
	return (struct decimal){ s + up, k };
}

struct decimal double_shortest(double value)
{
	uint64_t bits = bits_of(value), fraction = bits & (((uint64_t)1 << 52) - 1);
	int biased = (int)(bits >> 52 & 0x7ff), q = (biased ? biased : 1) - 1075;
	uint64_t c = biased ? fraction | (uint64_t)1 << 52 : fraction;
	struct decimal d = { 0, 0 };
	if (c == 0)
		return d;
	if (q <= 0 && q > -53 && (c & (((uint64_t)1 << -q) - 1)) == 0)
		d.digits = c >> -q; /* an integer up to 2^53: its own digits are the shortest */
	else
		d = schubfach(c, q, !(c & 1), fraction == 0 && biased > 1);
	while (d.digits % 100 == 0) {
		d.digits /= 100;
		d.exponent += 2;
	}
	if (d.digits % 10 == 0) {
		d.digits /= 10;
		d.exponent++;
	}
	return d;
}

/* The nearest double of m × 2^e where m's top bit (bit 127) is set and more bits below m are not all 0 if sticky. False: the
 * half-way point cannot be told from m's top bits with certainty, which the caller asked not to guess. */
static double assemble(unsigned __int128 m, int e, bool sticky)
{
	/* value in [2^(e+127), 2^(e+128)) */
	int exponent = e + 127, keep = 53;
	if (exponent > 1023)
		return __builtin_inf();
	if (exponent < -1022)
		keep = 53 - (-1022 - exponent); /* subnormal: fewer bits */
	if (keep < 0)
		return 0.0;
	uint64_t top = keep ? (uint64_t)(m >> (128 - keep)) : 0;
	unsigned __int128 rest = m << keep; /* keep < 128 */
	const unsigned __int128 half = (unsigned __int128)1 << 127;
	if (rest > half || (rest == half && (sticky || (top & 1))))
		top++;
	uint64_t bits;
	if (exponent < -1022)
		bits = top; /* may become the smallest normal number: the bits say so by themselves */
	else
		bits = ((uint64_t)(exponent + 1022) << 52) + top; /* the hidden bit adds the last 1, a carry the next power */
	double value;
	memcpy(&value, &bits, 8);
	return value;
}

bool double_from_decimal(uint64_t w, int64_t exponent, double *ret)
{
	static const double exact[] = { 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17,
		                        1e18, 1e19, 1e20, 1e21, 1e22 };
	if (w == 0)
		return false;
	if (w <= (uint64_t)1 << 53 && exponent >= -22 && exponent <= 22) { /* both exact: one rounding */
		*ret = exponent < 0 ? (double)w / exact[-exponent] : (double)w * exact[exponent];
		return true;
	}
	if (exponent < POW10_MIN || exponent > 308) { /* w < 2^64 < 10^20 */
		*ret = exponent < 0 ? 0.0 : __builtin_inf();
		return true;
	}
	struct pow10 g = pow10_table[exponent - POW10_MIN];
	int shift = __builtin_clzll(w);
	w <<= shift;
	/* product = w × g: 192 bits, (top, low); the true one is in [product, product + w) */
	unsigned __int128 x = (unsigned __int128)g.lo * w;
	unsigned __int128 top = (unsigned __int128)g.hi * w + (uint64_t)(x >> 64);
	uint64_t low = (uint64_t)x;
	int e = pow10_log2((int)exponent) - 127 + 64 - shift; /* of top's lowest bit */
	bool inexact = exponent < 0 || exponent > 55;
	unsigned __int128 top2 = top + (inexact && low + w < low);
	bool sticky = low || inexact;
	if (!(top >> 127)) { /* a product of two normalised numbers lacks at most one bit */
		top = top << 1 | low >> 63;
		top2 = top2 << 1 | (low + (inexact ? w : 0)) >> 63;
		e--;
		sticky = (low << 1) || inexact;
	}
	*ret = assemble(top, e, sticky);
	return bits_of(*ret) == bits_of(assemble(top2, e, true)) || !inexact;
}
