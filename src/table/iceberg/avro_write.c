#include <zlib.h>

#include "table/iceberg/avro_internal.h"

#define BLOCK_BYTES 65536 /* a block is closed at this size: readers inflate one at a time */

void avro_writer_init(struct avro_writer *w, const uint8_t sync[16], struct slice schema, const struct avro_meta_pair *meta, size_t n)
{
	*w = (struct avro_writer){ 0 };
	buf_init(&w->out, AVRO_FILE_MAX);
	buf_init(&w->block, AVRO_BLOCK_MAX);
	memcpy(w->sync, sync, 16);
	buf_append(&w->out, "Obj\1", 4);
	avro_put_long(&w->out, (int64_t)n + 2);
	avro_put_bytes(&w->out, SLICE_LIT("avro.schema"));
	avro_put_bytes(&w->out, schema);
	avro_put_bytes(&w->out, SLICE_LIT("avro.codec"));
	avro_put_bytes(&w->out, SLICE_LIT("deflate"));
	for (size_t i = 0; i < n; i++) {
		avro_put_bytes(&w->out, slice_str(meta[i].key));
		avro_put_bytes(&w->out, meta[i].value);
	}
	avro_put_long(&w->out, 0);
	buf_append(&w->out, sync, 16);
}

void avro_writer_free(struct avro_writer *w)
{
	buf_free(&w->out);
	buf_free(&w->block);
}

/* Raw deflate (RFC 1951), as the specification's codec of that name; false if zlib refuses. */
static bool deflate_block(struct slice in, struct buf *out)
{
	z_stream z = { 0 };
	if (deflateInit2(&z, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return false;
	size_t bound = deflateBound(&z, in.len);
	bool ok = buf_reserve(out, bound);
	if (ok) {
		z.next_in = (Bytef *)in.data;
		z.avail_in = (uInt)in.len;
		z.next_out = out->data + out->len;
		z.avail_out = (uInt)bound;
		ok = deflate(&z, Z_FINISH) == Z_STREAM_END;
		out->len += z.total_out;
	}
	deflateEnd(&z);
	return ok;
}

static void flush_block(struct avro_writer *w)
{
	if (!w->records)
		return;
	struct buf packed;
	buf_init(&packed, AVRO_BLOCK_MAX * 2);
	if (w->block.overflow || !deflate_block(buf_slice(&w->block), &packed)) {
		w->out.overflow = true;
	} else {
		avro_put_long(&w->out, (int64_t)w->records);
		avro_put_bytes(&w->out, buf_slice(&packed));
		buf_append(&w->out, w->sync, 16);
	}
	buf_free(&packed);
	buf_reset(&w->block);
	w->records = 0;
}

void avro_writer_end_record(struct avro_writer *w)
{
	w->records++;
	w->total++;
	if (w->block.len >= BLOCK_BYTES || w->block.overflow)
		flush_block(w);
}

rc_t avro_writer_finish(struct avro_writer *w, struct err *reterr)
{
	flush_block(w);
	if (w->out.overflow)
		return err_set(reterr, RC_LIMIT, "a manifest would be over %zu MiB: commit fewer files at once", AVRO_FILE_MAX >> 20);
	return RC_OK;
}
