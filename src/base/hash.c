#include "base/hash.h"

#include <xxhash.h>
#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

#include "base/hash_internal.h"
#include "base/mem.h"

uint64_t hash64(struct slice s)
{
	return XXH3_64bits(s.data, s.len);
}

uint64_t hash64_seed(struct slice s, uint64_t seed)
{
	return XXH3_64bits_withSeed(s.data, s.len, seed);
}

#if defined(__x86_64__)
static bool wide; /* the processor has what hash_wide.c was compiled for */

__attribute__((constructor)) static void wide_init(void)
{
	wide = __builtin_cpu_supports("avx2");
}
#else
#define wide false
#endif

struct hash128 hash128(struct slice s)
{
	if (wide && s.len >= WIDE_MIN)
		return hash128_wide(s);
	XXH128_hash_t h = XXH3_128bits(s.data, s.len);
	return (struct hash128){ h.low64, h.high64 };
}

struct hash128 hash128_seed(struct slice s, uint64_t seed)
{
	XXH128_hash_t h = XXH3_128bits_withSeed(s.data, s.len, seed);
	return (struct hash128){ h.low64, h.high64 };
}

struct hash128_stream {
	XXH3_state_t *xxh;
	void *wide; /* instead of it */
};

struct hash128_stream *hash128_stream_new(void)
{
	struct hash128_stream *s = NEW(struct hash128_stream);
	if (wide)
		s->wide = hash_wide_new();
	else
		s->xxh = XXH3_createState();
	hash128_stream_reset(s);
	return s;
}

void hash128_stream_free(struct hash128_stream *s)
{
	if (!s)
		return;
	XXH3_freeState(s->xxh);
	hash_wide_free(s->wide);
	free(s);
}

void hash128_stream_reset(struct hash128_stream *s)
{
	if (s->wide)
		hash_wide_reset(s->wide);
	else
		XXH3_128bits_reset(s->xxh);
}

void hash128_stream_add(struct hash128_stream *s, const void *data, size_t len)
{
	if (s->wide)
		hash_wide_add(s->wide, data, len);
	else
		XXH3_128bits_update(s->xxh, data, len);
}

struct hash128 hash128_stream_value(const struct hash128_stream *s)
{
	if (s->wide)
		return hash_wide_value(s->wide);
	XXH128_hash_t h = XXH3_128bits_digest(s->xxh);
	return (struct hash128){ h.low64, h.high64 };
}

void hash128_hex(struct hash128 h, char out[33])
{
	static const char digits[] = "0123456789abcdef";
	for (int i = 0; i < 16; i++) {
		out[i] = digits[h.hi >> (60 - 4 * i) & 15];
		out[16 + i] = digits[h.lo >> (60 - 4 * i) & 15];
	}
	out[32] = 0;
}

/* CRC-32C: polynomial 0x1EDC6F41, reflected (RFC 3720 appendix B.4). */
static uint32_t crc32c_table[8][256];

__attribute__((constructor)) static void crc32c_init(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;
		for (int k = 0; k < 8; k++)
			c = c & 1 ? (c >> 1) ^ 0x82f63b78u : c >> 1;
		crc32c_table[0][i] = c;
	}
	for (uint32_t i = 0; i < 256; i++)
		for (int t = 1; t < 8; t++)
			crc32c_table[t][i] = (crc32c_table[t - 1][i] >> 8) ^ crc32c_table[0][crc32c_table[t - 1][i] & 255];
}

static uint32_t crc32c_portable(uint32_t c, const uint8_t *p, size_t len)
{
	for (; len >= 8; p += 8, len -= 8) {
		uint64_t v;
		memcpy(&v, p, 8);
		v ^= c;
		c = crc32c_table[7][v & 255] ^ crc32c_table[6][v >> 8 & 255] ^ crc32c_table[5][v >> 16 & 255] ^
		    crc32c_table[4][v >> 24 & 255] ^ crc32c_table[3][v >> 32 & 255] ^ crc32c_table[2][v >> 40 & 255] ^
		    crc32c_table[1][v >> 48 & 255] ^ crc32c_table[0][v >> 56];
	}
	for (; len; p++, len--)
		c = (c >> 8) ^ crc32c_table[0][(c ^ *p) & 255];
	return c;
}

#if defined(__x86_64__)
/* The instruction takes three cycles and can begin anew in each: three lanes of LANE bytes keep it busy. A lane's value goes behind the
 * bytes of the next lane by lane_shift, which is linear: one table a byte of the value. */
#define LANE_LONG 2048
#define LANE_SHORT 256
static uint32_t lane_shift_long[4][256], lane_shift_short[4][256];

__attribute__((target("sse4.2"))) static void lane_shift_init(uint32_t shift[4][256], size_t lane)
{
	for (int k = 0; k < 4; k++)
		for (uint32_t bit = 1; bit < 256; bit *= 2) {
			uint64_t c = (uint64_t)bit << (8 * k);
			for (size_t i = 0; i < lane; i += 8)
				c = _mm_crc32_u64(c, 0);
			for (uint32_t i = 0; i < bit; i++)
				shift[k][bit + i] = shift[k][i] ^ (uint32_t)c;
		}
}

__attribute__((constructor)) static void lanes_init(void)
{
	if (!__builtin_cpu_supports("sse4.2"))
		return;
	lane_shift_init(lane_shift_long, LANE_LONG);
	lane_shift_init(lane_shift_short, LANE_SHORT);
}

static inline uint64_t lane_shift(const uint32_t shift[4][256], uint64_t c)
{
	return shift[0][c & 255] ^ shift[1][c >> 8 & 255] ^ shift[2][c >> 16 & 255] ^ shift[3][c >> 24 & 255];
}

__attribute__((target("sse4.2"))) static uint64_t crc32c_lanes(uint64_t c, const uint8_t *p, size_t rounds, size_t lane,
							       const uint32_t shift[4][256])
{
	for (; rounds; rounds--, p += 3 * lane) {
		uint64_t c1 = 0, c2 = 0, v[3];
		for (size_t i = 0; i < lane; i += 8) {
			memcpy(&v[0], p + i, 8);
			memcpy(&v[1], p + lane + i, 8);
			memcpy(&v[2], p + 2 * lane + i, 8);
			c = _mm_crc32_u64(c, v[0]);
			c1 = _mm_crc32_u64(c1, v[1]);
			c2 = _mm_crc32_u64(c2, v[2]);
		}
		c = lane_shift(shift, c) ^ c1;
		c = lane_shift(shift, c) ^ c2;
	}
	return c;
}

__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, const uint8_t *p, size_t len)
{
	uint64_t c = crc;
	size_t rounds = len / (3 * LANE_LONG);
	if (rounds) {
		c = crc32c_lanes(c, p, rounds, LANE_LONG, lane_shift_long);
		p += rounds * 3 * LANE_LONG;
		len -= rounds * 3 * LANE_LONG;
	}
	rounds = len / (3 * LANE_SHORT);
	if (rounds) {
		c = crc32c_lanes(c, p, rounds, LANE_SHORT, lane_shift_short);
		p += rounds * 3 * LANE_SHORT;
		len -= rounds * 3 * LANE_SHORT;
	}
	for (; len >= 8; p += 8, len -= 8) {
		uint64_t v;
		memcpy(&v, p, 8);
		c = _mm_crc32_u64(c, v);
	}
	uint32_t c32 = (uint32_t)c;
	for (; len; p++, len--)
		c32 = _mm_crc32_u8(c32, *p);
	return c32;
}
#endif

uint32_t crc32c(uint32_t crc, const void *data, size_t len)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("sse4.2"))
		return ~crc32c_sse42(~crc, data, len);
#endif
	return ~crc32c_portable(~crc, data, len);
}
