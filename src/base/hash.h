/* Hashes. XXH3 (libxxhash) for tables and content, CRC-32C (Castagnoli) for stored records. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/slice.h"

struct hash128 {
	uint64_t lo, hi;
};

uint64_t hash64(struct slice s);
uint64_t hash64_seed(struct slice s, uint64_t seed);
struct hash128 hash128(struct slice s);
/* crc is the value so far, 0 at the start; hardware SSE4.2 where there is one. */
uint32_t crc32c(uint32_t crc, const void *data, size_t len);
/* lower-case hex, NUL-terminated: out holds 33 bytes */
void hash128_hex(struct hash128 h, char out[33]);

/* An order-independent hash of a multiset of payloads: the sum of their 128-bit hashes. */
static inline void hash128_add(struct hash128 *sum, struct hash128 h)
{
	uint64_t lo = sum->lo + h.lo;
	sum->hi += h.hi + (lo < h.lo);
	sum->lo = lo;
}

#endif
