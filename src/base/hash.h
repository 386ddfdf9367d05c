/* Hashes. XXH3 (libxxhash) for tables and content, CRC-32C (Castagnoli) for stored records. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/mem.h"
#include "base/slice.h"

struct hash128 {
	uint64_t lo, hi;
};

uint64_t hash64(struct slice s);
uint64_t hash64_seed(struct slice s, uint64_t seed);
struct hash128 hash128(struct slice s);
struct hash128 hash128_seed(struct slice s, uint64_t seed);
/* hash128 of bytes that come in pieces. */
struct hash128_stream;
struct hash128_stream *hash128_stream_new(void);
void hash128_stream_free(struct hash128_stream *s); /* NULL is fine */
AUTO_DEFINE(hash128_stream, hash128_stream_free)
void hash128_stream_reset(struct hash128_stream *s);
void hash128_stream_add(struct hash128_stream *s, const void *data, size_t len);
struct hash128 hash128_stream_value(const struct hash128_stream *s); /* of all that was added since the reset */
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
