#include "parquet/codec.h"

#include "base/test.h"

static const enum parquet_codec all[] = { PARQUET_UNCOMPRESSED, PARQUET_SNAPPY, PARQUET_GZIP, PARQUET_ZSTD, PARQUET_LZ4_RAW };
#define ALL (sizeof all / sizeof all[0])

static void fill(struct buf *b, size_t n)
{
	uint32_t x = 12345;
	for (size_t i = 0; i < n; i++) {
		x = x * 1664525 + 1013904223;
		buf_byte(b, i % 3 ? (uint8_t)(x >> 30) : 'a');
	}
}

TEST(codec_round_trips_every_size)
{
	AUTO(codec_ctx) *c = codec_ctx_new();
	struct err err;
	for (size_t k = 0; k < ALL; k++)
		for (size_t n = 0; n < 200000; n = n * 3 + 1) {
			AUTO_BUF struct buf in, out, back;
			buf_init(&in, BUF_MAX_DEFAULT);
			buf_init(&out, BUF_MAX_DEFAULT);
			buf_init(&back, BUF_MAX_DEFAULT);
			fill(&in, n);
			int level = all[k] == PARQUET_GZIP ? 1 + (int)(n % 9) : 1;
			CHECK_OK(codec_compress(c, all[k], level, buf_slice(&in), &out, &err), err);
			buf_reserve(&back, n + 1);
			CHECK_OK(codec_decompress(c, all[k], buf_slice(&out), back.data, n, &err), err);
			back.len = n;
			CHECK(slice_eq(buf_slice(&back), buf_slice(&in)));
		}
}

TEST(codec_damaged_or_missized_is_corrupt_and_stays_in_bounds)
{
	AUTO(codec_ctx) *c = codec_ctx_new();
	struct err err;
	for (size_t k = 0; k < ALL; k++) {
		AUTO_BUF struct buf in, out;
		buf_init(&in, BUF_MAX_DEFAULT);
		buf_init(&out, BUF_MAX_DEFAULT);
		fill(&in, 5000);
		CHECK_OK(codec_compress(c, all[k], 1, buf_slice(&in), &out, &err), err);
		AUTO_MEM uint8_t *dst = mem_alloc(6000);
		memset(dst, 0xee, 6000);
		CHECK_RC(codec_decompress(c, all[k], buf_slice(&out), dst, 4999, &err), RC_CORRUPT);
		CHECK(dst[4999] == 0xee);
		CHECK_RC(codec_decompress(c, all[k], buf_slice(&out), dst, 5001, &err), RC_CORRUPT);
		CHECK_RC(codec_decompress(c, all[k], slice_of(out.data, out.len / 2), dst, 5000, &err), RC_CORRUPT);
		CHECK_RC(codec_decompress(c, all[k], slice_of(NULL, 0), dst, 5000, &err), RC_CORRUPT);
		for (size_t i = 0; i < out.len; i += 7) { /* any answer, but within bounds */
			out.data[i] ^= 0x55;
			codec_decompress(c, all[k], buf_slice(&out), dst, 5000, &err);
			out.data[i] ^= 0x55;
			CHECK(dst[5000] == 0xee);
		}
	}
}

TEST(codec_inflates_concatenated_gzip_members)
{
	AUTO(codec_ctx) *c = codec_ctx_new();
	AUTO_BUF struct buf out;
	buf_init(&out, BUF_MAX_DEFAULT);
	struct err err;
	char dst[7] = "";
	CHECK_OK(codec_compress(c, PARQUET_GZIP, 6, SLICE_LIT("abc"), &out, &err), err);
	CHECK_OK(codec_compress(c, PARQUET_GZIP, 6, SLICE_LIT("def"), &out, &err), err);
	CHECK_OK(codec_decompress(c, PARQUET_GZIP, buf_slice(&out), dst, 6, &err), err);
	CHECK_STR(dst, "abcdef");
}

/* Made with the reference encoder: "event 0 from brotli, " … "event 39 from brotli, ". */
static const uint8_t brotli[] = {
	0x1b, 0x65, 0x03, 0x00, 0x04, 0xfa, 0x9f, 0x5b, 0xaa, 0x9f, 0xbe, 0xb0, 0x77, 0xb7, 0x6d, 0xda, 0xaa, 0x4d, 0x10, 0x04, 0x91,
	0x42, 0x76, 0xee, 0x3b, 0xc5, 0x89, 0x45, 0x9c, 0x85, 0x1f, 0xe3, 0x80, 0xad, 0xc6, 0xc4, 0xb0, 0xdd, 0x53, 0xbd, 0x66, 0x77,
	0x5d, 0xdf, 0xfb, 0x3f, 0x77, 0xab, 0x80, 0x21, 0x94, 0x83, 0x93, 0x8b, 0x9b, 0x07, 0xcf, 0x8f, 0xdc, 0x7a, 0xeb, 0xe8, 0xe8,
	0xe8, 0xe8, 0xe8, 0xe8, 0xe8, 0x30, 0xc6, 0x18, 0x63, 0x8c, 0x31, 0xc6, 0x5a, 0x6b, 0xad, 0xb5, 0xd6, 0x4e, 0x02,
};

TEST(codec_reads_brotli_and_does_not_write_it)
{
	AUTO(codec_ctx) *c = codec_ctx_new();
	AUTO_BUF struct buf want, out;
	buf_init(&want, BUF_MAX_DEFAULT);
	buf_init(&out, BUF_MAX_DEFAULT);
	struct err err;
	for (int i = 0; i < 40; i++)
		buf_printf(&want, "event %d from brotli, ", i);
	struct slice src = slice_of(brotli, sizeof brotli);
	uint8_t dst[1001];
	memset(dst, 0xee, sizeof dst);
	CHECK_OK(codec_decompress(c, PARQUET_BROTLI, src, dst, want.len, &err), err);
	CHECK_SLICE(slice_of(dst, want.len), buf_slice(&want));
	CHECK(dst[want.len] == 0xee);
	CHECK_RC(codec_decompress(c, PARQUET_BROTLI, src, dst, want.len + 1, &err), RC_CORRUPT);
	memset(dst, 0xee, sizeof dst);
	CHECK_RC(codec_decompress(c, PARQUET_BROTLI, src, dst, want.len - 1, &err), RC_CORRUPT);
	CHECK(dst[want.len - 1] == 0xee);
	for (size_t n = 0; n < sizeof brotli; n++)
		CHECK_RC(codec_decompress(c, PARQUET_BROTLI, slice_of(brotli, n), dst, want.len, &err), RC_CORRUPT);
	uint8_t damaged[sizeof brotli];
	for (size_t i = 0; i < 8 * sizeof brotli; i++) { /* any answer, but within bounds */
		memcpy(damaged, brotli, sizeof brotli);
		damaged[i / 8] ^= (uint8_t)(1u << i % 8);
		memset(dst, 0xee, sizeof dst);
		codec_decompress(c, PARQUET_BROTLI, slice_of(damaged, sizeof damaged), dst, want.len, &err);
		CHECK(dst[want.len] == 0xee);
	}
	CHECK_RC(codec_compress(c, PARQUET_BROTLI, 1, src, &out, &err), RC_UNSUPPORTED);
}

TEST(codec_names_parse_with_levels)
{
	static const struct {
		const char *text;
		int codec, level; /* codec -1: refused */
	} cases[] = { { "zstd", PARQUET_ZSTD, 1 }, { "zstd:3", PARQUET_ZSTD, 3 }, { "zstd:20", -1, 0 }, { "zstd:", -1, 0 },
		      { "zstd:x", -1, 0 }, { "snappy", PARQUET_SNAPPY, 0 }, { "snappy:1", -1, 0 }, { "gzip", PARQUET_GZIP, 6 },
		      { "gzip:9", PARQUET_GZIP, 9 }, { "gzip:0", -1, 0 }, { "lz4", PARQUET_LZ4_RAW, 0 }, { "lz4_raw", PARQUET_LZ4_RAW, 0 },
		      { "none", PARQUET_UNCOMPRESSED, 0 }, { "uncompressed", PARQUET_UNCOMPRESSED, 0 }, { "brotli", -1, 0 }, { "", -1, 0 },
		      { "zstd:99999999999999999999", -1, 0 } };
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		enum parquet_codec codec = PARQUET_LZO;
		int level = -7;
		struct err err;
		rc_t rc = parquet_codec_parse(slice_str(cases[i].text), &codec, &level, &err);
		if (cases[i].codec < 0) {
			CHECK_INT(rc, RC_INVALID);
			CHECK_INT(level, -7);
		} else {
			CHECK_OK(rc, err);
			CHECK_INT(codec, cases[i].codec);
			CHECK_INT(level, cases[i].level);
		}
	}
}

TEST_MAIN()
