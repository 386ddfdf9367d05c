/* Split-block Bloom filters (Parquet format, BloomFilter.md): kernels. A filter answers "was this value added?" with no, or with perhaps.
 *
 *   BloomFilterHeader (thrift)   blocks of 32 bytes, each 8 little-endian words
 *
 * The upper half of a value's hash chooses the block, the lower one a bit in each of its words.
 */
#ifndef PARQUET_BLOOM_H
#define PARQUET_BLOOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BLOOM_BLOCK 32u

/* xxHash64, seed 0, of a value in PLAIN encoding; of byte arrays without their length. */
uint64_t bloom_hash(const void *value, size_t len);
/* Bytes for so many different values at no more than 1 % of false answers: a power of two, because some readers want one. */
size_t bloom_bytes(uint64_t distinct);
/* True if it was not there before, as far as the filter can tell. */
bool bloom_add(uint8_t *blocks, size_t count, uint64_t hash);
/* Halves a filter of an even number of blocks: it answers as one that was made in that size. */
void bloom_fold(uint8_t *blocks, size_t count);
bool bloom_find(const uint8_t *blocks, size_t count, uint64_t hash);

#endif
