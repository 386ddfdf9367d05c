/* For the room's tests: bodies as clients compress them. */
#ifndef HTTP_PACKED_FIXTURE_H
#define HTTP_PACKED_FIXTURE_H

#include <zlib.h>
#include <zstd.h>

#include "base/buf.h"

static inline void pack_gzip(struct buf *out, struct slice in)
{
	z_stream z = { 0 };
	deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY);
	size_t bound = deflateBound(&z, in.len);
	buf_reserve(out, bound);
	z.next_in = (Bytef *)in.data;
	z.avail_in = (uInt)in.len;
	z.next_out = out->data + out->len;
	z.avail_out = (uInt)bound;
	deflate(&z, Z_FINISH);
	out->len += z.total_out;
	deflateEnd(&z);
}

static inline void pack_zstd(struct buf *out, struct slice in)
{
	size_t bound = ZSTD_compressBound(in.len);
	buf_reserve(out, bound);
	out->len += ZSTD_compress(out->data + out->len, bound, in.data, in.len, 3);
}

#endif
