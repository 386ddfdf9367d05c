/* DELTA_BINARY_PACKED and the two encodings of byte arrays built on it.
 *
 *   header  varint block size (a multiple of 128) · varint miniblocks a block · varint value count · zigzag first value
 *   block   zigzag smallest delta · a bit width a miniblock (one byte each) · the miniblocks, each (block size / miniblocks) deltas
 * Deltas wrap around (two's complement). Miniblocks past the last value need not be there.
 */
#include "parquet/encoding/decode.h"

#define GROUP 32 /* a miniblock is a multiple of 32 values */

static size_t read_varint(const uint8_t *in, const uint8_t *end, uint64_t *ret)
{
	uint64_t v = 0;
	for (size_t i = 0; i < 10 && in + i < end; i++) {
		v |= (uint64_t)(in[i] & 0x7f) << (7 * i);
		if (!(in[i] & 0x80)) {
			*ret = v;
			return i + 1;
		}
	}
	return 0;
}

static inline uint64_t unzigzag(uint64_t v)
{
	return (v >> 1) ^ -(v & 1);
}

/* GROUP values of `width` ≤ 64 bits at a byte boundary. */
static void unpack_group(const uint8_t *in, unsigned width, uint64_t *out)
{
	if (width <= 32) {
		uint32_t narrow[GROUP];
		unpack_u32(in, 0, width, narrow, GROUP);
		for (unsigned i = 0; i < GROUP; i++)
			out[i] = narrow[i];
		return;
	}
	uint64_t mask = ~(uint64_t)0 >> (64 - width);
	for (unsigned i = 0; i < GROUP; i++) {
		unsigned bit = i * width, shift = bit % 8;
		uint64_t v = decode_load64(in + bit / 8) >> shift;
		if (shift)
			v |= (uint64_t)in[bit / 8 + 8] << (64 - shift);
		out[i] = v & mask;
	}
}

struct delta_header {
	uint64_t block, miniblocks, count, first;
	size_t bytes;
};

static bool delta_header_read(const uint8_t *in, const uint8_t *end, struct delta_header *h)
{
	uint64_t *parts[4] = { &h->block, &h->miniblocks, &h->count, &h->first };
	const uint8_t *p = in;
	for (int i = 0; i < 4; i++) {
		size_t len = read_varint(p, end, parts[i]);
		if (!len)
			return false;
		p += len;
	}
	h->first = unzigzag(h->first);
	h->bytes = (size_t)(p - in);
	return h->block && h->block <= (1u << 24) && h->miniblocks && h->block % h->miniblocks == 0 && h->block / h->miniblocks % GROUP == 0;
}

/* Both widths in one body: `wide` is constant where it is inlined. */
static inline __attribute__((always_inline)) size_t delta_decode(const uint8_t *in, const uint8_t *end, void *out, size_t n, bool wide)
{
	struct delta_header h;
	if (!delta_header_read(in, end, &h) || h.count != n)
		return DECODE_BAD;
	const uint8_t *p = in + h.bytes;
	uint64_t value = h.first, group[GROUP];
	size_t at = 0, per_mini = (size_t)(h.block / h.miniblocks);
	if (n) {
		if (wide)
			((int64_t *)out)[at++] = (int64_t)value;
		else
			((int32_t *)out)[at++] = (int32_t)value;
	}
	while (at < n) {
		uint64_t least;
		size_t len = read_varint(p, end, &least);
		if (!len || (size_t)(end - p) - len < h.miniblocks)
			return DECODE_BAD;
		least = unzigzag(least);
		const uint8_t *widths = p + len;
		p = widths + h.miniblocks;
		for (uint64_t m = 0; m < h.miniblocks && at < n; m++) {
			unsigned width = widths[m];
			if (width > 64 || per_mini / 8 * width > (size_t)(end - p))
				return DECODE_BAD;
			for (size_t g = 0; g < per_mini && at < n; g += GROUP) {
				unpack_group(p + g / 8 * width, width, group);
				size_t k = n - at < GROUP ? n - at : GROUP;
				for (size_t i = 0; i < k; i++) {
					value += least + group[i];
					if (wide)
						((int64_t *)out)[at + i] = (int64_t)value;
					else
						((int32_t *)out)[at + i] = (int32_t)value;
				}
				at += k;
			}
			p += per_mini / 8 * width;
		}
	}
	return (size_t)(p - in);
}

size_t delta_decode_i32(const uint8_t *in, const uint8_t *end, int32_t *out, size_t n)
{
	return delta_decode(in, end, out, n, false);
}

size_t delta_decode_i64(const uint8_t *in, const uint8_t *end, int64_t *out, size_t n)
{
	return delta_decode(in, end, out, n, true);
}

size_t lengths_to_offsets(const int32_t *lengths, uint32_t *offsets, size_t n)
{
	uint64_t sum = 0;
	int32_t negative = 0;
	for (size_t i = 0; i < n; i++) {
		negative |= lengths[i];
		sum += (uint32_t)lengths[i];
		offsets[i + 1] = offsets[0] + (uint32_t)sum;
	}
	return negative < 0 || sum > INT32_MAX ? DECODE_BAD : (size_t)sum;
}

uint64_t delta_bytes_size(const int32_t *prefix, const int32_t *suffix, size_t n, size_t avail)
{
	uint64_t sum = 0, suffixes = 0, before = 0;
	for (size_t i = 0; i < n; i++) {
		if (prefix[i] < 0 || suffix[i] < 0 || (uint64_t)prefix[i] > before)
			return DECODE_BAD;
		before = (uint64_t)prefix[i] + (uint64_t)suffix[i];
		suffixes += (uint64_t)suffix[i];
		sum += before;
	}
	return suffixes > avail ? DECODE_BAD : sum;
}

void delta_bytes_join(const int32_t *prefix, const int32_t *suffix, const uint8_t *suffixes, uint8_t *data, uint32_t *offsets, size_t n)
{
	uint32_t at = offsets[0], before = at;
	for (size_t i = 0; i < n; i++) {
		memmove(data + at, data + before, (size_t)prefix[i]); /* the value before this one lies directly in front */
		memcpy(data + at + prefix[i], suffixes, (size_t)suffix[i]);
		suffixes += suffix[i];
		before = at;
		at += (uint32_t)(prefix[i] + suffix[i]);
		offsets[i + 1] = at;
	}
}
