/* One page: header (thrift), then
 *   v1  compressed [ u32 length, repetition levels ][ u32 length, definition levels ] values
 *   v2  repetition levels, definition levels, then compressed values
 * Level parts are there only if the column's maximum level is not 0. */
#include "parquet/page_crc.h"
#include "parquet/write_internal.h"

static rc_t page_too_large(size_t bytes, struct err *reterr)
{
	return err_set(reterr, RC_LIMIT, "a page of %zu bytes is over Parquet's 2 GiB: write smaller row groups", bytes);
}

/* Writes the header and what of the page is in `parts`, and counts. */
static rc_t emit(struct encoder *e, struct meta_page_header *h, struct slice first, struct slice second, struct chunk *chunk,
		 uint32_t *ret_stored, struct err *reterr)
{
	size_t stored = first.len + second.len;
	if (stored > INT32_MAX || h->uncompressed_page_size < 0)
		return page_too_large(stored, reterr);
	h->compressed_page_size = (int32_t)stored;
	uint32_t crc = page_crc(0, first.data, first.len);
	h->crc = (int32_t)page_crc(crc, second.data, second.len);
	META_SET(h, PAGE_HEADER_CRC);
	size_t at = e->out.len;
	meta_page_header_encode(h, &e->out);
	size_t header = e->out.len - at;
	buf_append_slice(&e->out, first);
	buf_append_slice(&e->out, second);
	if (e->out.overflow)
		return page_too_large(stored, reterr);
	chunk->compressed += (int64_t)(header + stored);
	chunk->uncompressed += (int64_t)header + h->uncompressed_page_size;
	*ret_stored = (uint32_t)(header + stored);
	return RC_OK;
}

/* Compresses src into e->packed, or gives src itself where the chunk is not compressed. */
static rc_t pack(struct encoder *e, const struct plan *plan, struct slice src, struct slice *ret, struct err *reterr)
{
	if (plan->codec == PARQUET_UNCOMPRESSED) {
		*ret = src;
		return RC_OK;
	}
	buf_reset(&e->packed);
	TRY(codec_compress(e->codec, plan->codec, e->opts.level, src, &e->packed, reterr));
	*ret = buf_slice(&e->packed);
	return RC_OK;
}

rc_t page_write_dictionary(struct encoder *e, const struct plan *plan, struct chunk *chunk, struct err *reterr)
{
	const struct dict *d = &e->dict;
	struct meta_page_header h = { .type = PAGE_DICTIONARY, .uncompressed_page_size = (int32_t)d->page_len };
	h.dictionary.num_values = (int32_t)d->count;
	h.dictionary.encoding = ENCODING_PLAIN;
	META_SET(&h, PAGE_HEADER_DICTIONARY);
	struct slice packed;
	uint32_t stored;
	TRY(pack(e, plan, slice_of(d->page, d->page_len), &packed, reterr));
	return emit(e, &h, packed, (struct slice){ 0 }, chunk, &stored, reterr);
}

static void append_levels(struct buf *out, const struct level_frame *f, const struct page *p, bool rep, bool with_length)
{
	size_t at = out->len;
	if (with_length)
		buf_u32(out, 0);
	if (rep)
		levels_encode_rep(f, p->entry_from, p->entry_to, out);
	else
		levels_encode_def(f, p->entry_from, p->entry_to, out);
	if (with_length && !out->overflow) {
		uint32_t len = (uint32_t)(out->len - at - 4);
		memcpy(out->data + at, &len, 4);
	}
}

static rc_t write_v1(struct encoder *e, const struct plan *plan, const struct meta_statistics *stats, struct page *page,
		     struct chunk *chunk, struct err *reterr)
{
	struct meta_page_header h = { .type = PAGE_DATA, .uncompressed_page_size = (int32_t)e->body.len };
	h.data.num_values = (int32_t)(page->entry_to - page->entry_from);
	h.data.encoding = (int32_t)plan->encoding;
	h.data.definition_level_encoding = h.data.repetition_level_encoding = ENCODING_RLE;
	META_SET(&h, PAGE_HEADER_DATA);
	if (stats) {
		h.data.statistics = *stats;
		META_SET(&h.data, DATA_PAGE_STATISTICS);
	}
	struct slice packed;
	TRY(pack(e, plan, buf_slice(&e->body), &packed, reterr));
	return emit(e, &h, packed, (struct slice){ 0 }, chunk, &page->stored, reterr);
}

/* The levels are the first rep + def bytes of the body. */
static rc_t write_v2(struct encoder *e, const struct plan *plan, size_t rep, size_t def, const struct meta_statistics *stats,
		     struct page *page, struct chunk *chunk, struct err *reterr)
{
	uint32_t entries = page->entry_to - page->entry_from;
	struct slice levels = slice_of(e->body.data, rep + def), values = slice_skip(buf_slice(&e->body), rep + def), packed;
	struct meta_page_header h = { .type = PAGE_DATA_V2, .uncompressed_page_size = (int32_t)e->body.len };
	h.data_v2.num_values = (int32_t)entries;
	h.data_v2.num_nulls = (int32_t)(entries - (page->value_to - page->value_from));
	h.data_v2.num_rows = (int32_t)page->rows;
	h.data_v2.encoding = (int32_t)plan->encoding;
	h.data_v2.repetition_levels_byte_length = (int32_t)rep;
	h.data_v2.definition_levels_byte_length = (int32_t)def;
	TRY(pack(e, plan, values, &packed, reterr));
	h.data_v2.is_compressed = plan->codec != PARQUET_UNCOMPRESSED && packed.len < values.len;
	if (!h.data_v2.is_compressed)
		packed = values;
	META_SET(&h.data_v2, DATA_PAGE_V2_IS_COMPRESSED);
	META_SET(&h, PAGE_HEADER_DATA_V2);
	if (stats) {
		h.data_v2.statistics = *stats;
		META_SET(&h.data_v2, DATA_PAGE_V2_STATISTICS);
	}
	return emit(e, &h, levels, packed, chunk, &page->stored, reterr);
}

rc_t page_write_data(struct encoder *e, const struct plan *plan, const struct values *v, const struct level_frame *levels,
		     const struct meta_statistics *stats, struct page *page, struct chunk *chunk, struct err *reterr)
{
	bool v2 = e->opts.data_page_v2;
	buf_reset(&e->body);
	if (levels->max_rep)
		append_levels(&e->body, levels, page, true, !v2);
	size_t rep = e->body.len;
	if (levels->max_def)
		append_levels(&e->body, levels, page, false, !v2);
	size_t def = e->body.len - rep;
	encode_values(e, plan, v, page->value_from, page->value_to - page->value_from, &e->body);
	if (e->body.overflow || e->body.len > INT32_MAX)
		return page_too_large(e->body.len, reterr);
	page->offset = encoder_position(e);
	return v2 ? write_v2(e, plan, rep, def, stats, page, chunk, reterr) : write_v1(e, plan, stats, page, chunk, reterr);
}
