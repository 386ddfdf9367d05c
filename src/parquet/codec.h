/* The compression codecs of Parquet pages (parquet.thrift, enum CompressionCodec), both ways.
 *
 * Promise: codec_decompress never writes past `size` and returns RC_CORRUPT unless exactly `size` bytes come out.
 * Not promised: writing brotli; lzo and the Hadoop-framed LZ4 (RC_UNSUPPORTED).
 * Ownership: the caller owns a struct codec_ctx; it holds the libraries' reusable state.
 * Threads: one context a thread.
 */
#ifndef PARQUET_CODEC_H
#define PARQUET_CODEC_H

#include "base/buf.h"
#include "base/err.h"

/* Values as in the format. */
enum parquet_codec {
	PARQUET_UNCOMPRESSED = 0,
	PARQUET_SNAPPY = 1,
	PARQUET_GZIP = 2,
	PARQUET_LZO = 3,
	PARQUET_BROTLI = 4,
	PARQUET_LZ4_HADOOP = 5,
	PARQUET_ZSTD = 6,
	PARQUET_LZ4_RAW = 7
};

/* "zstd", "zstd:3", "snappy", "gzip:6", "lz4_raw", "lz4" (= lz4_raw), "uncompressed", "none". *ret_level is the codec's default if
 * none is given, 0 where a codec has no level. RC_INVALID names the choices. */
rc_t parquet_codec_parse(struct slice text, enum parquet_codec *ret_codec, int *ret_level, struct err *reterr);
const char *parquet_codec_name(enum parquet_codec codec);

struct codec_ctx;
struct codec_ctx *codec_ctx_new(void);
void codec_ctx_free(struct codec_ctx *c);
AUTO_DEFINE(codec_ctx, codec_ctx_free)
/* Appends the compressed form of src to out. RC_LIMIT if out is full. */
rc_t codec_compress(struct codec_ctx *c, enum parquet_codec codec, int level, struct slice src, struct buf *out,
		    struct err *reterr);
/* Inflates src into exactly `size` bytes at dst. */
rc_t codec_decompress(struct codec_ctx *c, enum parquet_codec codec, struct slice src, void *dst, size_t size, struct err *reterr);

#endif
