/* Encode, then read back with plain, obvious decoders written from Encodings.md. */
#include "parquet/encoding/encode.h"

#include "base/buf.h"
#include "base/test.h"

static uint64_t seed;
static uint64_t rnd(void)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return seed >> 17;
}

static uint64_t get_varint(const uint8_t **p)
{
	uint64_t v = 0;
	for (unsigned shift = 0;; shift += 7) {
		v |= (uint64_t)(**p & 0x7f) << shift;
		if (!(*(*p)++ & 0x80))
			return v;
	}
}

static uint64_t get_bits(const uint8_t *p, size_t pos, unsigned width)
{
	uint64_t v = 0;
	for (unsigned i = 0; i < width; i++)
		v |= (uint64_t)(p[(pos + i) >> 3] >> ((pos + i) & 7) & 1) << i;
	return v;
}

/* Decodes at least n values; returns the bytes consumed, SIZE_MAX if there are too few. */
static size_t decode_rle(const uint8_t *in, size_t len, uint32_t *out, size_t n, unsigned width)
{
	const uint8_t *p = in, *end = in + len;
	size_t i = 0;
	while (i < n) {
		if (p >= end)
			return SIZE_MAX;
		uint64_t header = get_varint(&p);
		if (header & 1) {
			for (size_t k = 0; k < (header >> 1) * 8; k++, i++)
				if (i < n)
					out[i] = (uint32_t)get_bits(p, k * width, width);
			p += (header >> 1) * width;
		} else {
			uint32_t v = 0;
			for (unsigned k = 0; k < (width + 7) / 8; k++)
				v |= (uint32_t)*p++ << 8 * k;
			for (size_t k = 0; k < header >> 1; k++, i++)
				if (i < n)
					out[i] = v;
		}
	}
	return (size_t)(p - in);
}

/* A mixture of runs and noise. */
static void fill_runs(uint32_t *v, size_t n, unsigned width, unsigned style)
{
	uint32_t mask = width == 32 ? UINT32_MAX : (1u << width) - 1;
	for (size_t i = 0; i < n;) {
		size_t run = style == 0 ? 1 : style == 1 ? 1 + rnd() % 200 : rnd() % 4 ? 1 + rnd() % 3 : 1 + rnd() % 3000;
		uint32_t value = (uint32_t)rnd() & mask;
		for (; run && i < n; run--)
			v[i++] = value;
	}
}

TEST(rle_gives_back_every_width_and_run_length)
{
	seed = 1;
	for (unsigned width = 1; width <= 32; width++)
		for (unsigned style = 0; style < 3; style++)
			for (size_t n = 0; n < 4000; n = n < 40 ? n + 1 : n * 2 + 3) {
				uint32_t *v = mem_alloc((n + 1) * 4), *got = mem_alloc((n + 1) * 4);
				size_t bound = encode_rle_bound(n, width);
				uint8_t *out = mem_alloc(bound), *u8 = mem_alloc(n + 1);
				fill_runs(v, n, width, style);
				size_t len = encode_rle_u32(out, v, n, width);
				CHECK(len <= bound);
				CHECK_INT(decode_rle(out, len, got, n, width), len);
				CHECK(!n || memcmp(v, got, n * 4) == 0);
				if (width <= 8) {
					for (size_t i = 0; i < n; i++)
						u8[i] = (uint8_t)v[i];
					CHECK_INT(encode_rle_u8(out, u8, n, width), len);
					CHECK_INT(decode_rle(out, len, got, n, width), len);
					CHECK(!n || memcmp(v, got, n * 4) == 0);
				}
				free(v);
				free(got);
				free(out);
				free(u8);
			}
}

TEST(rle_of_a_bitmap_is_rle_of_its_bits)
{
	seed = 2;
	for (unsigned style = 0; style < 3; style++)
		for (size_t n = 0; n < 5000; n = n < 70 ? n + 1 : n * 2 + 5) {
			size_t from = rnd() % 200, words = (from + n + 63) / 64;
			uint64_t *bitmap = mem_zalloc(words + 1, 8);
			uint64_t *exact = mem_zalloc(words ? words : 1, 8); /* so that ASan sees a word read too many */
			uint32_t *v = mem_alloc((n + 1) * 4), *got = mem_alloc((n + 1) * 4);
			uint8_t *out = mem_alloc(encode_rle_bound(n, 1));
			fill_runs(v, n, 1, style);
			for (size_t i = 0; i < from; i++)
				bitmap[i / 64] |= (uint64_t)(rnd() & 1) << i % 64;
			for (size_t i = 0; i < n; i++)
				bitmap[(from + i) / 64] |= (uint64_t)v[i] << (from + i) % 64;
			memcpy(exact, bitmap, words * 8);
			size_t len = encode_rle_bits(out, exact, from, n);
			CHECK(len <= encode_rle_bound(n, 1));
			CHECK_INT(decode_rle(out, len, got, n, 1), len);
			CHECK(!n || memcmp(v, got, n * 4) == 0);
			free(bitmap);
			free(exact);
			free(v);
			free(got);
			free(out);
		}
}

TEST(rle_same_is_one_short_run)
{
	uint8_t out[16];
	uint32_t got[1000];
	CHECK_INT(encode_rle_same(out, 3, 1000, 2), 3);
	CHECK_INT(decode_rle(out, 3, got, 1000, 2), 3);
	CHECK(got[0] == 3 && got[999] == 3);
	CHECK_INT(encode_rle_same(out, 0, 0, 1), 0);
	CHECK_INT(encode_rle_same(out, 0, 7, 0), 1);
	CHECK_INT(encode_width(0), 0);
	CHECK_INT(encode_width(1), 1);
	CHECK_INT(encode_width(255), 8);
	CHECK_INT(encode_width(256), 9);
	CHECK_INT(encode_width(UINT32_MAX), 32);
}

/* Returns the bytes consumed. */
static size_t decode_delta(const uint8_t *in, int64_t *out, size_t *ret_n, bool is32)
{
	const uint8_t *p = in;
	uint64_t block = get_varint(&p), minis = get_varint(&p), n = get_varint(&p), z = get_varint(&p);
	int64_t last = (int64_t)(z >> 1) ^ -(int64_t)(z & 1);
	size_t i = 0, per = block / minis;
	*ret_n = n;
	if (n)
		out[i++] = last;
	while (i < n) {
		z = get_varint(&p);
		int64_t min = (int64_t)(z >> 1) ^ -(int64_t)(z & 1);
		const uint8_t *widths = p;
		p += minis;
		for (size_t m = 0; m < minis; m++) {
			for (size_t k = 0; k < per && i < n; k++) {
				last = (int64_t)((uint64_t)last + (uint64_t)min + get_bits(p, k * widths[m], widths[m]));
				if (is32)
					last = (int32_t)last;
				out[i++] = last;
			}
			p += per / 8 * widths[m];
		}
	}
	return (size_t)(p - in);
}

TEST(delta_gives_back_any_integers)
{
	seed = 3;
	for (unsigned style = 0; style < 6; style++)
		for (size_t n = 0; n < 3000; n = n < 300 ? n + 1 : n * 2 + 1) {
			int64_t *v = mem_alloc((n + 1) * 8), *got = mem_alloc((n + 1) * 8);
			int32_t *v32 = mem_alloc((n + 1) * 4);
			for (size_t i = 0; i < n; i++) {
				v[i] = style == 0   ? (int64_t)(rnd() << 32 ^ rnd())
				       : style == 1 ? (int64_t)i * 1000
				       : style == 2 ? (i & 1 ? INT64_MAX : INT64_MIN)
				       : style == 3 ? 7
				       : style == 4 ? (int64_t)(rnd() % 1000) - 500
						    : (i & 1 ? INT32_MAX : INT32_MIN);
				v32[i] = (int32_t)v[i];
			}
			size_t bound = encode_delta_bound(n, 8), count = 0;
			uint8_t *out = mem_alloc(bound);
			size_t len = encode_delta_i64(out, v, n);
			CHECK(len <= bound);
			CHECK_INT(decode_delta(out, got, &count, false), len);
			CHECK_INT(count, n);
			CHECK(!n || memcmp(v, got, n * 8) == 0);
			len = encode_delta_i32(out, v32, n);
			CHECK(len <= encode_delta_bound(n, 4));
			CHECK_INT(decode_delta(out, got, &count, true), len);
			CHECK_INT(count, n);
			for (size_t i = 0; i < n; i++)
				CHECK_INT(got[i], v32[i]);
			free(v);
			free(got);
			free(v32);
			free(out);
		}
}

TEST(delta_of_a_sequence_is_tiny)
{
	int64_t v[10000];
	uint8_t *out = mem_alloc(encode_delta_bound(10000, 8));
	for (size_t i = 0; i < 10000; i++)
		v[i] = 1700000000000000 + (int64_t)i * 250;
	CHECK(encode_delta_i64(out, v, 10000) < 600);
	free(out);
}

struct strings {
	struct buf data;
	uint32_t offsets[3001];
	size_t n;
};

static void fill_strings(struct strings *s, size_t n, size_t distinct)
{
	buf_init(&s->data, BUF_MAX_DEFAULT);
	s->offsets[0] = 0;
	s->n = n;
	for (size_t i = 0; i < n; i++) {
		uint64_t k = rnd() % distinct;
		uint64_t len = k % 7 == 0 ? 0 : k % 40;
		for (uint64_t j = 0; j < len; j++)
			buf_byte(&s->data, j < len - 3 ? (uint8_t)('a' + k % 3) : (uint8_t)(k >> (j % 8) * 8));
		s->offsets[i + 1] = (uint32_t)s->data.len;
	}
}

TEST(byte_array_encodings_give_back_the_strings)
{
	seed = 4;
	static struct strings s;
	static int32_t prefixes[3000], lengths[3000];
	static int64_t got[3000], got2[3000];
	for (size_t n = 0; n <= 3000; n = n < 5 ? n + 1 : n * 4 - 1) {
		fill_strings(&s, n, 500);
		for (size_t first = 0; first <= n; first += n / 2 + 1) {
			size_t count = n - first, k, k2;
			uint32_t base = s.offsets[first];
			size_t bytes = s.offsets[n] - base;
			uint8_t *out = mem_alloc(bytes + 2 * encode_delta_bound(count, 4) + 4 * count);
			size_t len = encode_plain_bytes(out, s.data.data, s.offsets, first, count);
			CHECK_INT(len, 4 * count + bytes);
			const uint8_t *p = out;
			for (size_t i = first; i < n; i++) {
				uint32_t l;
				memcpy(&l, p, 4);
				CHECK_INT(l, s.offsets[i + 1] - s.offsets[i]);
				CHECK(!l || memcmp(p + 4, s.data.data + s.offsets[i], l) == 0);
				p += 4 + l;
			}
			len = encode_delta_length(out, s.data.data, s.offsets, first, count, lengths);
			size_t at = decode_delta(out, got, &k, true);
			CHECK_INT(k, count);
			CHECK_INT(at + bytes, len);
			for (size_t i = 0; i < count; i++)
				CHECK_INT(got[i], s.offsets[first + i + 1] - s.offsets[first + i]);
			CHECK(!bytes || memcmp(out + at, s.data.data + base, bytes) == 0);

			len = encode_delta_bytes(out, s.data.data, s.offsets, first, count, prefixes, lengths);
			at = decode_delta(out, got, &k, true);
			at += decode_delta(out + at, got2, &k2, true);
			CHECK(k == count && k2 == count);
			for (size_t i = 0; i < count; i++) {
				const uint8_t *want = s.data.data + s.offsets[first + i];
				CHECK_INT(got[i] + got2[i], s.offsets[first + i + 1] - s.offsets[first + i]);
				CHECK(!got[i] || memcmp(want, s.data.data + s.offsets[first + i - 1], (size_t)got[i]) == 0);
				CHECK(!got2[i] || memcmp(want + got[i], out + at, (size_t)got2[i]) == 0);
				at += (size_t)got2[i];
			}
			CHECK_INT(at, len);
			free(out);
		}
		buf_free(&s.data);
	}
}

TEST(booleans_pack_one_bit_each)
{
	seed = 5;
	for (size_t n = 0; n < 100; n++) {
		uint8_t in[100], out[16] = { 0 };
		for (size_t i = 0; i < n; i++)
			in[i] = rnd() & 1;
		CHECK_INT(encode_plain_bool(out, in, n), (n + 7) / 8);
		for (size_t i = 0; i < (n + 7) / 8 * 8; i++)
			CHECK_INT(out[i / 8] >> i % 8 & 1, i < n ? in[i] : 0);
	}
}

TEST(decimals_are_big_endian_and_refuse_what_does_not_fit)
{
	__int128 v[3] = { 1, -1, ((__int128)1 << 71) - 1 };
	uint8_t out[48];
	CHECK(encode_decimal(out, (const uint8_t *)v, 3, 9));
	CHECK(memcmp(out, "\0\0\0\0\0\0\0\0\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f\xff\xff\xff\xff\xff\xff\xff\xff", 27) == 0);
	CHECK(encode_decimal(out, (const uint8_t *)v, 3, 16));
	v[1] = -((__int128)1 << 71);
	CHECK(encode_decimal(out, (const uint8_t *)v, 3, 9));
	v[1] -= 1;
	CHECK(!encode_decimal(out, (const uint8_t *)v, 3, 9));
}

TEST(split_puts_each_byte_in_its_stream)
{
	uint8_t out[12];
	encode_split(out, (const uint8_t *)"abcdefghijkl", 3, 4);
	CHECK(memcmp(out, "aeibfjcgkdhl", 12) == 0);
}

TEST(dict_numbers_values_by_first_occurrence)
{
	seed = 6;
	static struct strings s;
	static uint32_t idx[3000], where[1024], u32[3000];
	static uint64_t u64[3000], page[3000];
	fill_strings(&s, 3000, 300);
	for (size_t i = 0; i < 3000; i++) {
		u64[i] = rnd() % 700 << (rnd() % 2 ? 0 : 40);
		u32[i] = (uint32_t)u64[i];
	}
	for (unsigned kind = 0; kind < 8; kind++) {
		encode_use_simd(kind < 4);
		struct dict_slot *small = mem_zalloc(64, sizeof *small), *large = mem_zalloc(2048, sizeof *large);
		struct dict d = { .slots = small, .slot_mask = 63, .where = where, .limit = 32, .page = (uint8_t *)page, .page_cap = 100 };
		size_t at = 0;
		for (int pass = 0; pass < 3; pass++) {
			size_t left = 3000 - at;
			at += kind % 4 == 0   ? dict_add_u32(&d, u32, at, left, idx)
			      : kind % 4 == 1 ? dict_add_u64(&d, u64, at, left, idx)
			      : kind % 4 == 2 ? dict_add_bytes(&d, s.data.data, s.offsets, at, left, idx)
					  : dict_add_fixed(&d, (const uint8_t *)u64, 8, at, left, idx);
			CHECK(pass == 2 || at < 3000);
			if (pass == 0) { /* the page is full */
				CHECK(d.count < 32 && d.page_len <= 100 && d.page_len > 100 - 40);
				d.page_cap = sizeof page - 32;
			} else if (pass == 1) { /* the table is */
				CHECK_INT(d.count, 32);
				dict_rehash(&d, large, 2047);
				d.limit = 1024;
			}
		}
		if (kind % 4 == 2)
			CHECK_INT(at, 3000);
		size_t end[1024], seen = 0, len = 0;
		for (size_t i = 0; i < at; i++) {
			CHECK(idx[i] <= seen && idx[i] < d.count);
			uint32_t bytes = kind % 4 == 0 ? 4 : kind % 4 == 2 ? s.offsets[i + 1] - s.offsets[i] : 8;
			const uint8_t *value = kind % 4 == 0 ? (uint8_t *)&u32[i] : kind % 4 == 2 ? s.data.data + s.offsets[i] : (uint8_t *)&u64[i];
			if (idx[i] == seen)
				end[seen++] = len += bytes + (kind % 4 == 2 ? 4 : 0);
			const uint8_t *entry = (uint8_t *)page + end[idx[i]] - bytes;
			CHECK(memcmp(entry, value, bytes) == 0);
			if (kind % 4 == 2) {
				CHECK_INT(d.where[idx[i]], end[idx[i]] - bytes - 4);
				CHECK(memcmp(entry - 4, &bytes, 4) == 0);
			}
		}
		CHECK_INT(seen, d.count);
		CHECK_INT(len, d.page_len);
		free(small);
		free(large);
	}
	encode_use_simd(true);
	buf_free(&s.data);
}

/* Every length and every byte of a value counts: near misses are new entries. The values' memory ends with the last one. */
static void check_near_misses(uint32_t len)
{
	static uint8_t page[101 * 104 + 32];
	static uint32_t offsets[102], idx[101], where[101];
	static struct dict_slot slots[512];
	uint8_t *data = mem_alloc((len + 1) * len);
	for (uint32_t i = 0; i <= len; i++) { /* a's with one b at each place; only a's */
		memset(data + i * len, 'a', len);
		if (i < len)
			data[i * len + i] = 'b';
		offsets[i] = i * len;
	}
	offsets[len + 1] = (len + 1) * len;
	for (int kind = 0; kind < 4; kind++) {
		encode_use_simd(kind & 1);
		memset(slots, 0, sizeof slots);
		memset(page, 'a', sizeof page);
		struct dict d = { .slots = slots, .slot_mask = 511, .where = where, .limit = 128, .page = page, .page_cap = sizeof page - 32 };
		for (int again = 0; again < 2; again++) {
			memset(idx, 0, sizeof idx);
			CHECK_INT(kind & 2 ? dict_add_fixed(&d, data, len, 0, len + 1, idx) : dict_add_bytes(&d, data, offsets, 0, len + 1, idx),
				  len + 1);
			CHECK_INT(d.count, len + 1);
			for (uint32_t i = 0; i <= len; i++)
				CHECK_INT(idx[i], i);
		}
	}
	encode_use_simd(true);
	free(data);
}

TEST(dict_tells_values_apart_that_differ_in_one_byte)
{
	for (uint32_t len = 0; len <= 100; len++)
		check_near_misses(len);
}

TEST_MAIN()
