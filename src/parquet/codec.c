#include "parquet/codec.h"

#include <brotli/decode.h>
#include <lz4.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

struct codec_ctx {
	ZSTD_CCtx *zstd_c; /* made at first use, as all here */
	ZSTD_DCtx *zstd_d;
	z_stream deflate, inflate;
	bool deflate_open, inflate_open;
	int deflate_level; /* the open stream's */
};

static const struct codec_row {
	enum parquet_codec codec;
	const char *name;
	int level_min, level_max, level_default; /* all 0: no level */
} codecs[] = {
	{ PARQUET_UNCOMPRESSED, "uncompressed", 0, 0, 0 },
	{ PARQUET_SNAPPY, "snappy", 0, 0, 0 },
	{ PARQUET_GZIP, "gzip", 1, 9, 6 },
	{ PARQUET_ZSTD, "zstd", 1, 19, 1 },
	{ PARQUET_LZ4_RAW, "lz4_raw", 0, 0, 0 },
	/* spellings that people use */
	{ PARQUET_UNCOMPRESSED, "none", 0, 0, 0 },
	{ PARQUET_LZ4_RAW, "lz4", 0, 0, 0 },
	/* never written: brotli is only read, the others are known by name */
	{ PARQUET_BROTLI, "brotli", -1, -1, 0 },
	{ PARQUET_LZO, "lzo", -1, -1, 0 },
	{ PARQUET_LZ4_HADOOP, "lz4_hadoop", -1, -1, 0 },
};
#define CODEC_COUNT (sizeof codecs / sizeof codecs[0])

const char *parquet_codec_name(enum parquet_codec codec)
{
	for (size_t i = 0; i < CODEC_COUNT; i++)
		if (codecs[i].codec == codec)
			return codecs[i].name;
	return "unknown";
}

rc_t parquet_codec_parse(struct slice text, enum parquet_codec *ret_codec, int *ret_level, struct err *reterr)
{
	size_t colon = 0;
	while (colon < text.len && text.data[colon] != ':')
		colon++;
	struct slice name = { text.data, colon };
	for (size_t i = 0; i < CODEC_COUNT; i++) {
		const struct codec_row *c = &codecs[i];
		if (!slice_eq_str(name, c->name) || c->level_min < 0)
			continue;
		int level = c->level_default;
		if (colon < text.len) {
			struct slice digits = slice_skip(text, colon + 1);
			level = 0;
			for (size_t k = 0; k < digits.len && level < 1000; k++)
				level = digits.data[k] >= '0' && digits.data[k] <= '9' ? level * 10 + digits.data[k] - '0' : 1000;
			if (!digits.len || !c->level_max || level < c->level_min || level > c->level_max)
				return err_set(reterr, RC_INVALID, c->level_max ? "codec '%.*s': the level of %s goes from %d to %d"
										: "codec '%.*s': %s takes no level",
					       SLICE_ARG(text), c->name, c->level_min, c->level_max);
		}
		*ret_codec = c->codec;
		*ret_level = level;
		return RC_OK;
	}
	return err_set(reterr, RC_INVALID, "codec '%.*s' is not known; choose zstd[:1-19], snappy, gzip[:1-9], lz4_raw or uncompressed",
		       SLICE_ARG(text));
}

struct codec_ctx *codec_ctx_new(void)
{
	return NEW(struct codec_ctx);
}

void codec_ctx_free(struct codec_ctx *c)
{
	if (!c)
		return;
	ZSTD_freeCCtx(c->zstd_c);
	ZSTD_freeDCtx(c->zstd_d);
	if (c->deflate_open)
		deflateEnd(&c->deflate);
	if (c->inflate_open)
		inflateEnd(&c->inflate);
	free(c);
}

static rc_t compress_failed(enum parquet_codec codec, size_t len, struct err *reterr)
{
	return err_set(reterr, RC_IO, "the %s library refused to compress %zu bytes", parquet_codec_name(codec), len);
}

static rc_t compress_zstd(struct codec_ctx *c, int level, struct slice src, struct buf *out, struct err *reterr)
{
	if (!c->zstd_c && !(c->zstd_c = ZSTD_createCCtx()))
		return compress_failed(PARQUET_ZSTD, src.len, reterr);
	size_t bound = ZSTD_compressBound(src.len);
	if (!buf_reserve(out, bound))
		return err_set(reterr, RC_LIMIT, "a page of %zu bytes does not fit in its buffer", src.len);
	size_t n = ZSTD_compressCCtx(c->zstd_c, out->data + out->len, bound, src.data, src.len, level);
	if (ZSTD_isError(n))
		return compress_failed(PARQUET_ZSTD, src.len, reterr);
	out->len += n;
	return RC_OK;
}

static rc_t compress_gzip(struct codec_ctx *c, int level, struct slice src, struct buf *out, struct err *reterr)
{
	if (c->deflate_open && c->deflate_level != level) {
		deflateEnd(&c->deflate);
		c->deflate_open = false;
	}
	if (!c->deflate_open) {
		c->deflate = (z_stream){ 0 };
		if (deflateInit2(&c->deflate, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
			return compress_failed(PARQUET_GZIP, src.len, reterr);
		c->deflate_open = true;
		c->deflate_level = level;
	} else {
		deflateReset(&c->deflate);
	}
	size_t bound = deflateBound(&c->deflate, src.len);
	if (src.len > UINT32_MAX || bound > UINT32_MAX || !buf_reserve(out, bound))
		return err_set(reterr, RC_LIMIT, "a page of %zu bytes does not fit in its buffer", src.len);
	c->deflate.next_in = (Bytef *)(uintptr_t)src.data;
	c->deflate.avail_in = (uInt)src.len;
	c->deflate.next_out = out->data + out->len;
	c->deflate.avail_out = (uInt)bound;
	if (deflate(&c->deflate, Z_FINISH) != Z_STREAM_END)
		return compress_failed(PARQUET_GZIP, src.len, reterr);
	out->len += bound - c->deflate.avail_out;
	return RC_OK;
}

static rc_t compress_snappy(struct slice src, struct buf *out, struct err *reterr)
{
	size_t n = snappy_max_compressed_length(src.len);
	if (!buf_reserve(out, n))
		return err_set(reterr, RC_LIMIT, "a page of %zu bytes does not fit in its buffer", src.len);
	if (snappy_compress((const char *)src.data, src.len, (char *)out->data + out->len, &n) != SNAPPY_OK)
		return compress_failed(PARQUET_SNAPPY, src.len, reterr);
	out->len += n;
	return RC_OK;
}

static rc_t compress_lz4(struct slice src, struct buf *out, struct err *reterr)
{
	if (src.len > LZ4_MAX_INPUT_SIZE || !buf_reserve(out, (size_t)LZ4_compressBound((int)src.len)))
		return err_set(reterr, RC_LIMIT, "a page of %zu bytes does not fit in its buffer", src.len);
	int bound = LZ4_compressBound((int)src.len);
	int n = LZ4_compress_default((const char *)src.data, (char *)out->data + out->len, (int)src.len, bound);
	if (n <= 0)
		return compress_failed(PARQUET_LZ4_RAW, src.len, reterr);
	out->len += (size_t)n;
	return RC_OK;
}

rc_t codec_compress(struct codec_ctx *c, enum parquet_codec codec, int level, struct slice src, struct buf *out, struct err *reterr)
{
	if (!src.data) /* the libraries want an address even for nothing */
		src.data = (const uint8_t *)"";
	switch (codec) {
	case PARQUET_UNCOMPRESSED:
		buf_append_slice(out, src);
		return out->overflow ? err_set(reterr, RC_LIMIT, "a page of %zu bytes does not fit in its buffer", src.len) : RC_OK;
	case PARQUET_SNAPPY:
		return compress_snappy(src, out, reterr);
	case PARQUET_GZIP:
		return compress_gzip(c, level, src, out, reterr);
	case PARQUET_ZSTD:
		return compress_zstd(c, level, src, out, reterr);
	case PARQUET_LZ4_RAW:
		return compress_lz4(src, out, reterr);
	default:
		return err_set(reterr, RC_UNSUPPORTED, "codec %s (%d) is not supported", parquet_codec_name(codec), (int)codec);
	}
}

static rc_t corrupt(enum parquet_codec codec, size_t from, size_t size, struct err *reterr)
{
	return err_set(reterr, RC_CORRUPT, "%zu bytes of %s do not inflate to %zu bytes", from, parquet_codec_name(codec), size);
}

/* Several gzip members may stand behind each other: Hadoop's writers do that. */
static rc_t decompress_gzip(struct codec_ctx *c, struct slice src, uint8_t *dst, size_t size, struct err *reterr)
{
	if (!c->inflate_open) {
		c->inflate = (z_stream){ 0 };
		if (inflateInit2(&c->inflate, 15 + 32) != Z_OK)
			return err_set(reterr, RC_IO, "zlib could not be started");
		c->inflate_open = true;
	}
	if (src.len > UINT32_MAX || size > UINT32_MAX)
		return err_set(reterr, RC_LIMIT, "a gzip page of %zu bytes is too large", size);
	uint8_t spare; /* zlib wants an address for an empty output, too */
	c->inflate.next_in = (Bytef *)(uintptr_t)src.data;
	c->inflate.avail_in = (uInt)src.len;
	c->inflate.next_out = size ? dst : &spare;
	c->inflate.avail_out = (uInt)size;
	do {
		inflateReset(&c->inflate);
		if (inflate(&c->inflate, Z_FINISH) != Z_STREAM_END)
			return corrupt(PARQUET_GZIP, src.len, size, reterr);
	} while (c->inflate.avail_in && c->inflate.avail_out);
	return c->inflate.avail_out || c->inflate.avail_in ? corrupt(PARQUET_GZIP, src.len, size, reterr) : RC_OK;
}

static rc_t decompress_zstd(struct codec_ctx *c, struct slice src, void *dst, size_t size, struct err *reterr)
{
	if (!c->zstd_d && !(c->zstd_d = ZSTD_createDCtx()))
		return err_set(reterr, RC_IO, "zstd could not be started");
	size_t n = ZSTD_decompressDCtx(c->zstd_d, dst, size, src.data, src.len);
	return ZSTD_isError(n) || n != size ? corrupt(PARQUET_ZSTD, src.len, size, reterr) : RC_OK;
}

rc_t codec_decompress(struct codec_ctx *c, enum parquet_codec codec, struct slice src, void *dst, size_t size, struct err *reterr)
{
	bool good = false;
	size_t n = size;
	switch (codec) {
	case PARQUET_UNCOMPRESSED:
		good = src.len == size;
		if (good && size)
			memcpy(dst, src.data, size);
		break;
	case PARQUET_SNAPPY:
		good = snappy_uncompressed_length((const char *)src.data, src.len, &n) == SNAPPY_OK && n == size &&
		       snappy_uncompress((const char *)src.data, src.len, dst, &n) == SNAPPY_OK && n == size;
		break;
	case PARQUET_GZIP:
		return decompress_gzip(c, src, dst, size, reterr);
	case PARQUET_ZSTD:
		return decompress_zstd(c, src, dst, size, reterr);
	case PARQUET_LZ4_RAW:
		good = src.len <= INT32_MAX && size <= INT32_MAX &&
		       LZ4_decompress_safe((const char *)src.data, dst, (int)src.len, (int)size) == (int)size;
		break;
	case PARQUET_BROTLI: /* without large windows: a decoder takes 16 MiB at most */
		good = BrotliDecoderDecompress(src.len, src.data, &n, dst) == BROTLI_DECODER_RESULT_SUCCESS && n == size;
		break;
	default:
		return err_set(reterr, RC_UNSUPPORTED, "codec %s (%d) is not supported", parquet_codec_name(codec), (int)codec);
	}
	return good ? RC_OK : corrupt(codec, src.len, size, reterr);
}
