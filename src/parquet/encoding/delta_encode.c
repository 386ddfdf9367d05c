/* DELTA_BINARY_PACKED, and the byte array encodings built on it.
 *
 *   header  varint 128 (block), varint 4 (miniblocks a block), varint count, zigzag first value
 *   block   zigzag min delta, 4 bit widths, then each miniblock's 32 (delta - min) values, packed
 * A miniblock without values has width 0 and no bytes; a partly filled one is padded with zeros. All arithmetic wraps at the value's
 * width, so that any difference fits.
 */
#include "parquet/encoding/encode.h"

#include <string.h>

#define BLOCK 128
#define MINIBLOCKS 4
#define MINIBLOCK (BLOCK / MINIBLOCKS)

static inline uint8_t *put_varint(uint8_t *p, uint64_t v)
{
	while (v >= 0x80) {
		*p++ = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	*p++ = (uint8_t)v;
	return p;
}

static inline uint8_t *put_zigzag(uint8_t *p, int64_t v)
{
	return put_varint(p, (uint64_t)v << 1 ^ (uint64_t)(v >> 63));
}

size_t encode_delta_bound(size_t n, size_t value_bytes)
{
	size_t blocks = n / BLOCK + 1;
	return 32 + blocks * (10 + MINIBLOCKS + BLOCK * value_bytes) + 8;
}

/* 32 values of `width` bits: 4 * width bytes. */
static inline uint8_t *pack32(uint8_t *p, const uint64_t *in, unsigned width)
{
	uint8_t *end = p + 4 * (size_t)width;
	uint64_t acc = 0;
	unsigned bits = 0;
	if (width == 64) {
		memcpy(p, in, 32 * 8);
		return end;
	}
	for (unsigned i = 0; i < MINIBLOCK; i++) {
		acc |= in[i] << bits;
		unsigned next = bits + width;
		if (next >= 64) {
			memcpy(p, &acc, 8);
			p += 8;
			next -= 64;
			acc = next ? in[i] >> (width - next) : 0;
		}
		bits = next;
	}
	if (p < end)
		memcpy(p, &acc, (size_t)(end - p));
	return end;
}

/* rel[0 .. n) are delta - min; the rest of the block is padding. */
static uint8_t *put_block(uint8_t *p, uint64_t rel[BLOCK], size_t n, int64_t min)
{
	p = put_zigzag(p, min);
	uint8_t *widths = p;
	p += MINIBLOCKS;
	for (size_t i = n; i < BLOCK; i++)
		rel[i] = 0;
	for (unsigned m = 0; m < MINIBLOCKS; m++) {
		const uint64_t *in = rel + m * MINIBLOCK;
		uint64_t all = 0;
		for (unsigned i = 0; i < MINIBLOCK; i++)
			all |= in[i];
		unsigned width = all ? 64 - (unsigned)__builtin_clzll(all) : 0;
		widths[m] = (uint8_t)width;
		if (width)
			p = pack32(p, in, width);
	}
	return p;
}

#define DEFINE_ENCODE_DELTA(NAME, T, U)                                                  \
	size_t NAME(uint8_t *out, const T *in, size_t n)                                 \
	{                                                                                \
		uint8_t *p = put_varint(out, BLOCK);                                     \
		p = put_varint(p, MINIBLOCKS);                                           \
		p = put_varint(p, n);                                                    \
		p = put_zigzag(p, n ? in[0] : 0);                                        \
		for (size_t i = 1; i < n; i += BLOCK) {                                  \
			size_t count = n - i < BLOCK ? n - i : BLOCK;                    \
			T delta[BLOCK];                                                  \
			uint64_t rel[BLOCK];                                             \
			T min = (T)((U)in[i] - (U)in[i - 1]);                            \
			for (size_t j = 0; j < count; j++) {                             \
				delta[j] = (T)((U)in[i + j] - (U)in[i + j - 1]);         \
				min = delta[j] < min ? delta[j] : min;                   \
			}                                                                \
			for (size_t j = 0; j < count; j++)                               \
				rel[j] = (U)((U)delta[j] - (U)min);                      \
			p = put_block(p, rel, count, min);                               \
		}                                                                        \
		return (size_t)(p - out);                                                \
	}

DEFINE_ENCODE_DELTA(encode_delta_i32, int32_t, uint32_t)
DEFINE_ENCODE_DELTA(encode_delta_i64, int64_t, uint64_t)

size_t encode_delta_length(uint8_t *out, const uint8_t *data, const uint32_t *offsets, size_t first, size_t n, int32_t *lengths)
{
	for (size_t i = 0; i < n; i++)
		lengths[i] = (int32_t)(offsets[first + i + 1] - offsets[first + i]);
	size_t len = encode_delta_i32(out, lengths, n);
	size_t bytes = offsets[first + n] - offsets[first];
	if (bytes)
		memcpy(out + len, data + offsets[first], bytes);
	return len + bytes;
}

size_t encode_delta_whole(uint8_t *out, const uint8_t *data, const uint32_t *offsets, size_t first, size_t n, int32_t *prefixes, int32_t *lengths)
{
	memset(prefixes, 0, n * sizeof *prefixes);
	size_t len = encode_delta_i32(out, prefixes, n);
	return len + encode_delta_length(out + len, data, offsets, first, n, lengths);
}

static inline uint32_t common_prefix(const uint8_t *a, const uint8_t *b, uint32_t n)
{
	uint32_t i = 0;
	for (; i + 8 <= n; i += 8) {
		uint64_t x, y;
		memcpy(&x, a + i, 8);
		memcpy(&y, b + i, 8);
		if (x != y)
			return i + (uint32_t)(__builtin_ctzll(x ^ y) >> 3);
	}
	while (i < n && a[i] == b[i])
		i++;
	return i;
}

size_t encode_delta_bytes(uint8_t *out, const uint8_t *data, const uint32_t *offsets, size_t first, size_t n, int32_t *prefixes,
			  int32_t *lengths)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t from = offsets[first + i], len = offsets[first + i + 1] - from, prefix = 0;
		if (i) {
			uint32_t before = offsets[first + i - 1], before_len = from - before;
			prefix = common_prefix(data + before, data + from, before_len < len ? before_len : len);
		}
		prefixes[i] = (int32_t)prefix;
		lengths[i] = (int32_t)(len - prefix);
	}
	size_t len = encode_delta_i32(out, prefixes, n);
	len += encode_delta_i32(out + len, lengths, n);
	uint8_t *p = out + len;
	for (size_t i = 0; i < n; i++) {
		if (lengths[i])
			memcpy(p, data + offsets[first + i] + prefixes[i], (size_t)lengths[i]);
		p += lengths[i];
	}
	return (size_t)(p - out);
}
