#include "parquet/bloom.h"

#include <string.h>
#include <xxhash.h>

#define BITS_PER_VALUE 10.5 /* for 1 %: BloomFilter.md, "Sizing" */

static const uint32_t salts[8] = { 0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d, 0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31 };

uint64_t bloom_hash(const void *value, size_t len)
{
	return XXH64(value, len, 0);
}

size_t bloom_bytes(uint64_t distinct)
{
	size_t bytes = BLOOM_BLOCK;
	while ((double)bytes * 8 < (double)distinct * BITS_PER_VALUE)
		bytes *= 2;
	return bytes;
}

static size_t block_of(size_t count, uint64_t hash)
{
	return (size_t)(((hash >> 32) * (uint64_t)count) >> 32) * BLOOM_BLOCK;
}

bool bloom_add(uint8_t *blocks, size_t count, uint64_t hash)
{
	uint32_t words[8], key = (uint32_t)hash, missing = 0;
	uint8_t *block = blocks + block_of(count, hash);
	memcpy(words, block, sizeof words);
	for (unsigned i = 0; i < 8; i++) {
		uint32_t bit = 1u << (key * salts[i] >> 27);
		missing |= ~words[i] & bit;
		words[i] |= bit;
	}
	memcpy(block, words, sizeof words);
	return missing != 0;
}

void bloom_fold(uint8_t *blocks, size_t count)
{
	for (size_t i = 0; i < count / 2; i++)
		for (size_t k = 0; k < BLOOM_BLOCK; k++)
			blocks[i * BLOOM_BLOCK + k] = blocks[2 * i * BLOOM_BLOCK + k] | blocks[(2 * i + 1) * BLOOM_BLOCK + k];
}

bool bloom_find(const uint8_t *blocks, size_t count, uint64_t hash)
{
	uint32_t words[8], key = (uint32_t)hash, missing = 0;
	memcpy(words, blocks + block_of(count, hash), sizeof words);
	for (unsigned i = 0; i < 8; i++)
		missing |= ~words[i] & 1u << (key * salts[i] >> 27);
	return !missing;
}
