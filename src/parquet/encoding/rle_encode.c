#include "parquet/encoding/encode.h"

#include <string.h>

unsigned encode_width(uint32_t max)
{
	return max ? 32 - (unsigned)__builtin_clz(max) : 0;
}

size_t encode_rle_bound(size_t n, unsigned width)
{
	size_t groups = (n + 7) / 8;
	/* every run covers a group at least and its header takes at most 5 bytes, but only runs that save bytes replace packed groups:
	 * what remains on top is one header a run and the slack of 8-byte stores */
	return groups * width + groups * 2 + 32;
}

static inline uint8_t *put_varint(uint8_t *p, uint64_t v)
{
	while (v >= 0x80) {
		*p++ = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	*p++ = (uint8_t)v;
	return p;
}

static inline uint8_t *put_run(uint8_t *p, uint32_t value, size_t n, unsigned width)
{
	p = put_varint(p, (uint64_t)n << 1);
	for (unsigned i = 0; i < (width + 7) / 8; i++)
		*p++ = (uint8_t)(value >> 8 * i);
	return p;
}

size_t encode_rle_same(uint8_t *out, uint32_t value, size_t n, unsigned width)
{
	return n ? (size_t)(put_run(out, value, n, width) - out) : 0;
}

/* A run must be so many groups of 8 long to be smaller than the bits it replaces, two headers included. */
static inline size_t run_groups_min(unsigned width)
{
	return width == 1 ? 5 : width == 2 ? 3 : width <= 4 ? 2 : 1;
}

static inline uint8_t *pack8_u8(uint8_t *p, const uint8_t *in, unsigned width)
{
	/* eight lanes of `width` bits move together in three steps: pairs, fours, all */
	uint64_t v;
	memcpy(&v, in, 8);
	unsigned gap = 8 - width;
	v = (v & 0x00ff00ff00ff00ffu) | (v & 0xff00ff00ff00ff00u) >> gap;
	v = (v & 0x0000ffff0000ffffu) | (v & 0xffff0000ffff0000u) >> 2 * gap;
	v = (v & 0x00000000ffffffffu) | (v & 0xffffffff00000000u) >> 4 * gap;
	memcpy(p, &v, 8);
	return p + width;
}

static inline uint8_t *pack8_u32(uint8_t *p, const uint32_t *in, unsigned width)
{
	if (width <= 8) {
		uint64_t acc = 0;
		for (unsigned i = 0; i < 8; i++)
			acc |= (uint64_t)in[i] << (i * width);
		memcpy(p, &acc, 8);
		return p + width;
	}
	uint64_t acc = 0;
	unsigned bits = 0;
	uint8_t *end = p + width;
	for (unsigned i = 0; i < 8; i++) {
		acc |= (uint64_t)in[i] << bits;
		bits += width;
		if (bits >= 32) {
			uint32_t low = (uint32_t)acc;
			memcpy(p, &low, 4);
			p += 4;
			acc >>= 32;
			bits -= 32;
		}
	}
	while (p < end) {
		*p++ = (uint8_t)acc;
		acc >>= 8;
	}
	return p;
}

/* How many of the groups of 8 are all v. */
static inline size_t run_u8(const uint8_t *in, size_t groups, uint8_t v)
{
	uint64_t want = 0x0101010101010101u * v, w[4];
	size_t n = 0;
	for (; n + 4 <= groups; n += 4) {
		memcpy(w, in + 8 * n, 32);
		if (((w[0] ^ want) | (w[1] ^ want) | (w[2] ^ want) | (w[3] ^ want)) != 0)
			break;
	}
	for (; n < groups; n++) {
		memcpy(w, in + 8 * n, 8);
		if (w[0] != want)
			break;
	}
	return n;
}

static inline size_t run_u32(const uint32_t *in, size_t groups, uint32_t v)
{
	size_t n = 0;
	for (; n < groups && in[8 * n] == v; n++) {
		uint32_t diff = 0;
		for (unsigned i = 1; i < 8; i++)
			diff |= in[8 * n + i] ^ v;
		if (diff)
			break;
	}
	return n;
}

/* The loop is the same for both element types: groups of 8 are the unit, so packed runs never need padding but at the end. */
#define DEFINE_ENCODE_RLE(NAME, T, RUN, PACK8)                                                                     \
	size_t NAME(uint8_t *out, const T *in, size_t n, unsigned width)                                           \
	{                                                                                                          \
		uint8_t *p = out;                                                                                  \
		size_t groups = n / 8, need = run_groups_min(width), packed = 0;                                   \
		if (width == 0)                                                                                    \
			return encode_rle_same(out, 0, n, 0);                                                      \
		for (size_t g = 0; g < groups;) {                                                                  \
			T v = in[8 * g];                                                                           \
			size_t run = RUN(in + 8 * g, groups - g, v);                                               \
			if (run < need) {                                                                          \
				g += run ? run : 1;                                                                \
				continue;                                                                          \
			}                                                                                          \
			if (g > packed) {                                                                          \
				p = put_varint(p, (g - packed) << 1 | 1);                                          \
				for (; packed < g; packed++)                                                       \
					p = PACK8(p, in + 8 * packed, width);                                      \
			}                                                                                          \
			size_t end = 8 * (g + run);                                                                \
			size_t tail = end;                                                                         \
			while (n - end < 8 && tail < n && in[tail] == v)                                           \
				tail++;                                                                            \
			if (tail == n) /* the tail joins only whole: what follows a run must start at a group */   \
				end = n;                                                                           \
			p = put_run(p, v, end - 8 * g, width);                                                     \
			if (end == n)                                                                              \
				return (size_t)(p - out);                                                          \
			g += run;                                                                                  \
			packed = g;                                                                                \
		}                                                                                                  \
		size_t rest = n - 8 * groups;                                                                      \
		if (packed < groups || rest) {                                                                     \
			p = put_varint(p, (groups - packed + (rest != 0)) << 1 | 1);                               \
			for (; packed < groups; packed++)                                                          \
				p = PACK8(p, in + 8 * packed, width);                                              \
			if (rest) {                                                                                \
				T last[8] = { 0 };                                                                 \
				memcpy(last, in + 8 * groups, rest * sizeof(T));                                   \
				p = PACK8(p, last, width);                                                         \
			}                                                                                          \
		}                                                                                                  \
		return (size_t)(p - out);                                                                          \
	}

DEFINE_ENCODE_RLE(encode_rle_u8, uint8_t, run_u8, pack8_u8)
DEFINE_ENCODE_RLE(encode_rle_u32, uint32_t, run_u32, pack8_u32)

/* 64 bits from any bit position; reads the next word only where one of its bits is wanted. */
static inline uint64_t bits_at(const uint64_t *bitmap, size_t pos, size_t n)
{
	size_t shift = pos & 63;
	uint64_t v = bitmap[pos >> 6] >> shift;
	if (shift && n > 64 - shift)
		v |= bitmap[(pos >> 6) + 1] << (64 - shift);
	return n < 64 ? v & (((uint64_t)1 << n) - 1) : v;
}

size_t encode_rle_bits(uint8_t *out, const uint64_t *bitmap, size_t from, size_t n)
{
	uint8_t *p = out;
	size_t i = 0;
	while (i < n) {
		/* words of 64 equal bits become a run, the others a packed run */
		size_t start = i;
		uint64_t first = bits_at(bitmap, from + i, n - i);
		uint64_t want = first & 1 ? ~(uint64_t)0 : 0;
		while (n - i >= 64 && bits_at(bitmap, from + i, 64) == want)
			i += 64;
		if (i > start) {
			size_t left = n - i;
			if (left && left < 64) {
				uint64_t tail = bits_at(bitmap, from + i, left);
				if (tail == (want & (((uint64_t)1 << left) - 1)))
					i = n;
			}
			p = put_run(p, (uint32_t)(want & 1), i - start, 1);
			continue;
		}
		while (i < n) {
			size_t left = n - i < 64 ? n - i : 64;
			uint64_t v = bits_at(bitmap, from + i, left);
			if (left == 64 && (v == 0 || v == ~(uint64_t)0))
				break;
			i += left;
		}
		size_t bytes = (i - start + 7) / 8;
		p = put_varint(p, bytes << 1 | 1);
		for (size_t j = 0; j < bytes; j += 8) {
			size_t left = i - start - 8 * j < 64 ? i - start - 8 * j : 64;
			uint64_t v = bits_at(bitmap, from + start + 8 * j, left);
			memcpy(p + j, &v, 8);
		}
		p += bytes;
	}
	return (size_t)(p - out);
}
