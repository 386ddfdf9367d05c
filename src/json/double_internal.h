/* Inside the room json: decimal ↔ binary64, both exact. */
#ifndef JSON_DOUBLE_INTERNAL_H
#define JSON_DOUBLE_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#define POW10_MIN (-342)
#define POW10_MAX 324
struct pow10 {
	uint64_t hi, lo;
};
extern const struct pow10 pow10_table[POW10_MAX - POW10_MIN + 1];

/* floor(log2(10^k)) for |k| ≤ 350: checked against exact integers when the table was made */
static inline int pow10_log2(int k)
{
	return (k * 217706) >> 16;
}

/* digits × 10^exponent; digits 0 for zero, else without a trailing zero. */
struct decimal {
	uint64_t digits;
	int exponent;
};

/* The shortest decimal that reads back as value (finite, sign ignored), the closest one among the shortest. */
struct decimal double_shortest(double value);
/* The double nearest to w × 10^exponent, ties to even. False: too close to call with 128 bits, or w is 0. */
bool double_from_decimal(uint64_t w, int64_t exponent, double *ret);

#endif
