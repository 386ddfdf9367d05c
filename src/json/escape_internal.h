/* Inside the room json: which bytes of a string a dialect escapes, and copying those that it does not. */
#ifndef JSON_ESCAPE_INTERNAL_H
#define JSON_ESCAPE_INTERNAL_H

#include "json/string.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

struct escape_set {
	uint8_t action[256]; /* 0: the byte stands for itself */
	/* The same by halves of the byte: action[b] != 0 ⇔ low[b & 15] & high[b >> 4] */
	uint8_t low[16], high[16];
};
extern struct escape_set escape_sets[JSON_DIALECT_COUNT]; /* filled when the program starts */

/* Copies bytes up to the first that is escaped, or n; returns how many. May write up to 7 bytes behind them. */
static inline size_t escape_copy_clean(uint8_t *out, const uint8_t *p, size_t n, const struct escape_set *set)
{
	size_t i = 0;
	for (; n - i >= 8; i += 8) {
		const uint8_t *q = p + i, *a = set->action;
		if (a[q[0]] | a[q[1]] | a[q[2]] | a[q[3]] | a[q[4]] | a[q[5]] | a[q[6]] | a[q[7]])
			break;
		memcpy(out + i, q, 8);
	}
	for (; i < n && !set->action[p[i]]; i++)
		out[i] = p[i];
	return i;
}

#if defined(__x86_64__)
#define ESCAPE_AVX2 __attribute__((target("avx2,bmi,bmi2,lzcnt,popcnt")))

/* Bit i: byte i of the 32 at p is escaped. Copies all of them. */
ESCAPE_AVX2 static inline uint32_t escape_step_avx2(uint8_t *out, const uint8_t *p, __m256i low, __m256i high)
{
	const __m256i low4 = _mm256_set1_epi8(15);
	__m256i v = _mm256_loadu_si256((const __m256i *)p);
	_mm256_storeu_si256((__m256i *)out, v);
	__m256i by_low = _mm256_shuffle_epi8(low, _mm256_and_si256(v, low4));
	__m256i by_high = _mm256_shuffle_epi8(high, _mm256_and_si256(_mm256_srli_epi16(v, 4), low4));
	return ~(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_and_si256(by_low, by_high), _mm256_setzero_si256()));
}

/* The same as escape_copy_clean, reading and writing up to 31 bytes past n. Strings of a column lie one behind the other: while this one is
 * copied the next is fetched, for a row reads from more columns than the hardware foresees. */
ESCAPE_AVX2 static inline size_t escape_copy_clean_avx2(uint8_t *out, const uint8_t *p, size_t n, const struct escape_set *set)
{
	const __m256i low = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)set->low));
	const __m256i high = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)set->high));
	for (size_t i = 0;; i += 32) {
		__builtin_prefetch(p + i + n + 64);
		uint32_t hit = escape_step_avx2(out + i, p + i, low, high);
		if (n - i <= 32) {
			size_t at = (size_t)_tzcnt_u32(hit); /* 32 if there is none */
			return at < n - i ? i + at : n;
		}
		if (hit)
			return i + (size_t)_tzcnt_u32(hit);
	}
}
#endif

#endif
