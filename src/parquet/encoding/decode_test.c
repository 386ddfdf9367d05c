#include "parquet/encoding/decode.h"

#include "base/buf.h"
#include "base/test.h"
#include "parquet/encoding/encode.h"

#define N 3000

static uint64_t seed = 88172645463325252u;
static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* Values with runs, as levels and dictionary indices have them. */
static void fill_runs(uint32_t *v, size_t n, unsigned width)
{
	uint32_t mask = width ? ~(uint32_t)0 >> (32 - width) : 0;
	for (size_t i = 0; i < n;) {
		size_t run = rnd() % 4 ? 1 : rnd() % 40;
		uint32_t x = (uint32_t)rnd() & mask;
		for (; run && i < n; run--)
			v[i++] = x;
	}
}

TEST(hybrid_runs_of_every_width_decode_in_pieces_of_any_size)
{
	static uint32_t in[N], got[N + 8];
	for (unsigned width = 1; width <= 32; width++) {
		fill_runs(in, N, width);
		uint8_t *bytes = mem_zalloc(encode_rle_bound(N, width) + DECODE_PAD, 1);
		size_t len = encode_rle_u32(bytes, in, N, width);
		struct hybrid_reader h;
		hybrid_init(&h, bytes, bytes + len, width);
		for (size_t at = 0, n; at < N; at += n) {
			n = rnd() % 70 + 1;
			n = n > N - at ? N - at : n;
			CHECK(hybrid_read_u32(&h, got + at, n));
		}
		CHECK(memcmp(in, got, sizeof in) == 0);
		if (width <= 8) {
			uint8_t narrow[N];
			hybrid_init(&h, bytes, bytes + len, width);
			CHECK(hybrid_read_u8(&h, narrow, 1000) && hybrid_read_u8(&h, narrow + 1000, 3) && hybrid_read_u8(&h, narrow + 1003, N - 1003));
			for (size_t i = 0; i < N; i++)
				CHECK(narrow[i] == in[i]);
		}
		if (width == 1) {
			uint64_t bits[N / 64 + 3] = { 0 };
			size_t ones, more, want = 0;
			hybrid_init(&h, bytes, bytes + len, 1);
			CHECK(hybrid_read_bits(&h, bits, 5, 1001, &ones) && hybrid_read_bits(&h, bits, 1006, N - 1001, &more));
			for (size_t i = 0; i < N; i++) {
				want += in[i];
				CHECK((bits[(i + 5) / 64] >> ((i + 5) % 64) & 1) == in[i]);
			}
			CHECK_INT(ones + more, want);
			CHECK_INT(bits[0] & 31, 0);
		}
		/* every cut is noticed; the padding of the last group alone may be missing */
		hybrid_init(&h, bytes, bytes + len / 2, width);
		CHECK(!hybrid_read_u32(&h, got, N));
		free(bytes);
	}
}

TEST(hybrid_refuses_values_wider_than_its_width_and_endless_headers)
{
	uint8_t wide[DECODE_PAD + 2] = { 0x08, 0x03 }; /* four times 3, of one bit */
	uint8_t endless[DECODE_PAD + 16];
	uint32_t out[8];
	struct hybrid_reader h;
	hybrid_init(&h, wide, wide + 2, 1);
	CHECK(!hybrid_read_u32(&h, out, 1));
	memset(endless, 0xff, sizeof endless);
	hybrid_init(&h, endless, endless + 16, 3);
	CHECK(!hybrid_read_u32(&h, out, 1));
	uint8_t empty_runs[DECODE_PAD + 16] = { 0 }; /* runs of no values end with the input */
	hybrid_init(&h, empty_runs, empty_runs + 16, 3);
	CHECK(!hybrid_read_u32(&h, out, 1));
}

TEST(deltas_of_extreme_values_come_back)
{
	static int64_t wide[N], got_wide[N];
	static int32_t narrow[N], got_narrow[N];
	for (unsigned bits = 1; bits <= 64; bits += 3) {
		for (size_t i = 0; i < N; i++) {
			wide[i] = (int64_t)(rnd() >> (64 - bits)) * (i % 2 ? -1 : 1);
			narrow[i] = (int32_t)wide[i];
		}
		for (size_t n = 0; n <= N; n = n * 3 + 1) {
			uint8_t *bytes = mem_zalloc(encode_delta_bound(N, 8) + DECODE_PAD, 1);
			size_t len = encode_delta_i64(bytes, wide, n);
			CHECK_INT(delta_decode_i64(bytes, bytes + len, got_wide, n), len);
			CHECK(memcmp(wide, got_wide, n * 8) == 0);
			CHECK_INT(delta_decode_i64(bytes, bytes + len, got_wide, n + 1), DECODE_BAD);
			if (n > 1)
				CHECK_INT(delta_decode_i64(bytes, bytes + len - 1, got_wide, n), DECODE_BAD);
			len = encode_delta_i32(bytes, narrow, n);
			CHECK_INT(delta_decode_i32(bytes, bytes + len, got_narrow, n), len);
			CHECK(memcmp(narrow, got_narrow, n * 4) == 0);
			free(bytes);
		}
	}
}

TEST(delta_byte_arrays_check_their_lengths)
{
	int32_t prefix[3] = { 0, 2, 4 }, suffix[3] = { 3, 2, 1 };
	uint32_t offsets[4] = { 0 };
	uint8_t data[12 + DECODE_PAD];
	CHECK_INT(delta_bytes_size(prefix, suffix, 3, 6), 3 + 4 + 5);
	delta_bytes_join(prefix, suffix, (const uint8_t *)"abcxyz", data, offsets, 3);
	CHECK_SLICE(slice_of(data, 12), SLICE_LIT("abcabxyabxyz"));
	CHECK_INT(delta_bytes_size(prefix, suffix, 3, 5), DECODE_BAD);
	prefix[0] = 1; /* there is nothing before the first value */
	CHECK_INT(delta_bytes_size(prefix, suffix, 3, 6), DECODE_BAD);
	suffix[1] = -1;
	CHECK_INT(lengths_to_offsets(suffix, offsets, 3), DECODE_BAD);
}

TEST(byte_arrays_that_overrun_their_page_are_refused)
{
	uint8_t in[8 + DECODE_PAD] = { 3, 0, 0, 0, 'a', 'b', 'c', 9 }, data[8 + DECODE_PAD];
	uint32_t offsets[3] = { 0 };
	CHECK_INT(plain_bytes_decode(in, in + 7, data, offsets, 1), 7);
	CHECK_INT(offsets[1], 3);
	CHECK_INT(plain_bytes_decode(in, in + 6, data, offsets, 1), DECODE_BAD);
	CHECK_INT(plain_bytes_decode(in, in + 8, data, offsets, 2), DECODE_BAD);
}

TEST(old_bit_packed_levels_have_the_most_significant_bit_first)
{
	/* Encodings.md "Bit-packed (Deprecated)": 0..7 in three bits each */
	const uint8_t in[3 + DECODE_PAD] = { 0x05, 0x39, 0x77 };
	uint8_t out[8];
	unpack_msb_u8(in, 0, 3, out, 8);
	for (int i = 0; i < 8; i++)
		CHECK_INT(out[i], i);
	unpack_msb_u8(in, 5, 3, out, 2);
	CHECK_INT(out[1], 6);
}

TEST(split_streams_are_woven_together)
{
	uint8_t in[30], out[30];
	/* Not inlined: gcc's LTO unrolls the kernel into this test and warns of stores that never happen. */
	void (*volatile decode)(const uint8_t *, size_t, size_t, size_t, uint8_t *, size_t) = split_decode;
	for (unsigned width = 1; width <= 10; width++) {
		size_t n = 30 / width;
		for (size_t i = 0; i < n * width; i++)
			in[i] = (uint8_t)(i % n * width + i / n);
		decode(in, n, width, 1, out, n - 1);
		for (size_t i = 0; i < (n - 1) * width; i++)
			CHECK_INT(out[i], i + width);
	}
}

TEST_MAIN()
