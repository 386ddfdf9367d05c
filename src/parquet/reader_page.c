/* The bytes of a column chunk → pages: read ahead in windows, headers, checksums, inflation, level framing (README.md "Data Pages"). */
#include "parquet/page_crc.h"
#include "parquet/reader_internal.h"

#include <lz4.h>

#define HEADER_FIRST 256 /* bytes looked at for a page header before more are fetched */

rc_t chunk_open(struct parquet_reader *r, uint32_t row_group, const struct leaf *leaf, struct chunk *ret, struct err *reterr)
{
	const struct meta_row_group *g = &r->meta.row_groups.items[row_group];
	const struct meta_column_chunk *k = &g->columns.items[leaf->index];
	if (META_HAS(k, COLUMN_CHUNK_CRYPTO) || !META_HAS(k, COLUMN_CHUNK_META_DATA))
		return err_set(reterr, RC_UNSUPPORTED, "the column is encrypted: Parquet encryption is not supported");
	if (META_HAS(k, COLUMN_CHUNK_FILE_PATH) && k->file_path.len)
		return err_set(reterr, RC_UNSUPPORTED, "the column's data stands in another file (%.*s): that is not supported",
			       SLICE_ARG(k->file_path));
	const struct meta_column_meta *m = &k->meta_data;
	if (m->type != (int32_t)leaf->physical)
		return err_set(reterr, RC_CORRUPT, "the column chunk has another physical type than the schema");
	if (m->codec < PARQUET_UNCOMPRESSED || m->codec > PARQUET_LZ4_RAW || m->codec == PARQUET_LZO)
		return err_set(reterr, RC_UNSUPPORTED, "compression %s (%d) is not supported",
			       parquet_codec_name((enum parquet_codec)m->codec), m->codec);
	int64_t start = m->data_page_offset;
	if (META_HAS(m, COLUMN_META_DICTIONARY_PAGE_OFFSET) && m->dictionary_page_offset >= 4 && m->dictionary_page_offset < start)
		start = m->dictionary_page_offset; /* 0 stands in some files that have none */
	if (start < 4 || (uint64_t)start > r->data_end || m->total_compressed_size < 0 || m->num_values < 0)
		return err_set(reterr, RC_CORRUPT, "the column chunk lies outside of the file");
	/* total_compressed_size is a hint only: old writers left the dictionary page's header out. */
	uint64_t end = (uint64_t)start + (uint64_t)m->total_compressed_size;
	*ret = (struct chunk){ .r = r, .leaf = leaf, .meta = m, .pos = (uint64_t)start, .stop = UINT64_MAX };
	ret->prefer_end = end > r->data_end ? r->data_end : end;
	buf_reset(&r->window);
	return RC_OK;
}

/* Makes [at, at + len) of the file available, with DECODE_PAD zeros behind what was read. */
static rc_t chunk_bytes(struct chunk *c, uint64_t at, size_t len, const uint8_t **ret, struct err *reterr)
{
	struct parquet_reader *r = c->r;
	struct buf *w = &r->window;
	uint64_t have_end = c->window_pos + w->len;
	if (at < c->window_pos || at + len > have_end) {
		uint64_t want = c->prefer_end > at ? c->prefer_end - at : 0;
		if (want > r->limits.window_bytes)
			want = r->limits.window_bytes;
		if (want < len)
			want = len;
		size_t kept = at >= c->window_pos && at < have_end ? (size_t)(have_end - at) : 0;
		if (kept)
			memmove(w->data, w->data + (at - c->window_pos), kept);
		w->len = kept;
		c->window_pos = at;
		if (!buf_reserve(w, (size_t)want - kept + DECODE_PAD))
			return err_set(reterr, RC_LIMIT, "a page of %zu bytes passes the limit", len);
		rc_t rc = r->source.read(r->source.ctx, at + kept, (size_t)want - kept, w->data + kept, reterr);
		if (rc != RC_OK) {
			w->len = 0;
			return rc;
		}
		w->len = (size_t)want;
		memset(w->data + w->len, 0, DECODE_PAD);
	}
	*ret = w->data + (at - c->window_pos);
	return RC_OK;
}

static rc_t read_header(struct chunk *c, struct meta_page_header *ret, size_t *ret_len, struct err *reterr)
{
	uint64_t left = c->r->data_end - c->pos;
	for (size_t try = HEADER_FIRST;; try *= 4) {
		size_t len = left < try ? (size_t)left : try;
		const uint8_t *bytes = NULL;
		TRY(chunk_bytes(c, c->pos, len, &bytes, reterr));
		size_t have = (size_t)(c->window_pos + c->r->window.len - c->pos);
		rc_t rc = meta_page_header_decode(slice_of(bytes, have), ret, ret_len, reterr);
		if (rc != RC_AGAIN)
			return rc;
		if (len == left)
			return err_set(reterr, RC_CORRUPT, "a page header is cut off at the end of the file");
		if (try > c->r->limits.page_bytes)
			return err_set(reterr, RC_LIMIT, "a page header passes the limit of %zu bytes", c->r->limits.page_bytes);
	}
}

/* Codec LZ4 of old files: Hadoop's framing (big-endian inflated size, stored size, block, …) or, by older Arrow, a bare block. */
static bool inflate_lz4_hadoop(struct slice src, uint8_t *dst, size_t size)
{
	size_t at = 0, out = 0;
	bool framed = true;
	while (framed && at < src.len) {
		if (src.len - at < 8)
			framed = false;
		else {
			uint32_t raw = __builtin_bswap32(decode_load32(src.data + at));
			uint32_t stored = __builtin_bswap32(decode_load32(src.data + at + 4));
			at += 8;
			framed = raw <= size - out && stored <= src.len - at && raw <= INT32_MAX && stored <= INT32_MAX &&
				 LZ4_decompress_safe((const char *)src.data + at, (char *)dst + out, (int)stored, (int)raw) == (int)raw;
			at += stored;
			out += raw;
		}
	}
	if (framed && out == size)
		return true;
	return src.len <= INT32_MAX && size <= INT32_MAX &&
	       LZ4_decompress_safe((const char *)src.data, (char *)dst, (int)src.len, (int)size) == (int)size;
}

static rc_t inflate_into_page(struct chunk *c, struct slice src, size_t size, const uint8_t **ret, struct err *reterr)
{
	struct parquet_reader *r = c->r;
	buf_reset(&r->page);
	if (!buf_reserve(&r->page, size + DECODE_PAD))
		return err_set(reterr, RC_LIMIT, "a page of %zu bytes passes the limit", size);
	if (c->meta->codec == PARQUET_LZ4_HADOOP) {
		if (!inflate_lz4_hadoop(src, r->page.data, size))
			return err_set(reterr, RC_CORRUPT, "a page of %zu bytes of lz4 does not inflate to %zu bytes", src.len, size);
	} else if (size || src.len) {
		TRY(codec_decompress(r->codec, (enum parquet_codec)c->meta->codec, src, r->page.data, size, reterr));
	}
	memset(r->page.data + size, 0, DECODE_PAD);
	*ret = r->page.data;
	return RC_OK;
}

static unsigned level_width(unsigned max)
{
	return max ? 32 - (unsigned)__builtin_clz(max) : 0;
}

/* Takes one kind of v1 levels off the front of [*in, end). */
static rc_t strip_levels(const uint8_t **in, const uint8_t *end, unsigned max, int32_t encoding, uint32_t entries, const uint8_t **ret,
			 const uint8_t **ret_end, bool *ret_packed, struct err *reterr)
{
	*ret = *ret_end = *in;
	*ret_packed = false;
	if (!max)
		return RC_OK;
	size_t left = (size_t)(end - *in);
	uint64_t len;
	if (encoding == ENCODING_RLE) {
		if (left < 4)
			return err_set(reterr, RC_CORRUPT, "a data page is too short for its levels");
		len = decode_load32(*in);
		*in += 4;
		left -= 4;
	} else if (encoding == ENCODING_BIT_PACKED) {
		len = ((uint64_t)entries * level_width(max) + 7) / 8;
		*ret_packed = true;
	} else {
		return err_set(reterr, RC_UNSUPPORTED, "level encoding %d is not supported", encoding);
	}
	if (len > left)
		return err_set(reterr, RC_CORRUPT, "a data page is too short for its levels");
	*ret = *in;
	*in += len;
	*ret_end = *in;
	return RC_OK;
}

static rc_t page_v1(struct chunk *c, const uint8_t *body, struct page *p, struct err *reterr)
{
	const struct meta_page_header *h = &p->header;
	struct slice stored = slice_of(body, (size_t)h->compressed_page_size);
	size_t size = (size_t)h->uncompressed_page_size;
	const uint8_t *in = body;
	if (c->meta->codec != PARQUET_UNCOMPRESSED)
		TRY(inflate_into_page(c, stored, size, &in, reterr));
	else if (stored.len != size)
		return err_set(reterr, RC_CORRUPT, "an uncompressed page has two different sizes");
	const uint8_t *end = in + size;
	if (h->type == PAGE_DICTIONARY) {
		p->entries = (uint32_t)h->dictionary.num_values;
		p->encoding = h->dictionary.encoding;
	} else {
		const struct meta_data_page *d = &h->data;
		p->entries = (uint32_t)d->num_values;
		p->encoding = d->encoding;
		TRY(strip_levels(&in, end, c->leaf->max_rep, d->repetition_level_encoding, p->entries, &p->reps, &p->reps_end, &p->reps_packed,
				 reterr));
		TRY(strip_levels(&in, end, c->leaf->max_def, d->definition_level_encoding, p->entries, &p->defs, &p->defs_end, &p->defs_packed,
				 reterr));
	}
	p->values = in;
	p->values_end = end;
	return RC_OK;
}

/* Levels of a v2 page stand in front, never compressed. */
static rc_t page_v2(struct chunk *c, const uint8_t *body, struct page *p, struct err *reterr)
{
	const struct meta_data_page_v2 *d = &p->header.data_v2;
	int64_t reps = d->repetition_levels_byte_length, defs = d->definition_levels_byte_length;
	int64_t stored = p->header.compressed_page_size - reps - defs, size = p->header.uncompressed_page_size - reps - defs;
	if (reps < 0 || defs < 0 || stored < 0 || size < 0)
		return err_set(reterr, RC_CORRUPT, "a data page is too short for its levels");
	p->entries = (uint32_t)d->num_values;
	p->encoding = d->encoding;
	p->reps = body;
	p->reps_end = p->defs = body + reps;
	p->defs_end = p->defs + defs;
	p->values = p->defs_end;
	if (c->meta->codec == PARQUET_UNCOMPRESSED || !d->is_compressed) {
		if (stored != size)
			return err_set(reterr, RC_CORRUPT, "an uncompressed page has two different sizes");
	} else if (size) { /* nothing may be stored as nothing or as an empty frame */
		TRY(inflate_into_page(c, slice_of(p->values, (size_t)stored), (size_t)size, &p->values, reterr));
	}
	p->values_end = p->values + size;
	return RC_OK;
}

static rc_t check_header(const struct chunk *c, const struct meta_page_header *h, size_t header_len, struct err *reterr)
{
	const struct parquet_limits *l = &c->r->limits;
	if (h->compressed_page_size < 0 || h->uncompressed_page_size < 0)
		return err_set(reterr, RC_CORRUPT, "a page has a negative size");
	if ((uint64_t)h->compressed_page_size > c->r->data_end - c->pos - header_len)
		return err_set(reterr, RC_CORRUPT, "a page ends behind the end of the file");
	if ((size_t)h->compressed_page_size > l->page_bytes || (size_t)h->uncompressed_page_size > l->page_bytes)
		return err_set(reterr, RC_LIMIT, "a page of %d bytes passes the limit of %zu", h->uncompressed_page_size, l->page_bytes);
	int32_t entries = 0;
	bool has = true;
	if (h->type == PAGE_DATA) {
		has = META_HAS(h, PAGE_HEADER_DATA);
		entries = h->data.num_values;
	} else if (h->type == PAGE_DATA_V2) {
		has = META_HAS(h, PAGE_HEADER_DATA_V2);
		entries = h->data_v2.num_values;
	} else if (h->type == PAGE_DICTIONARY) {
		has = META_HAS(h, PAGE_HEADER_DICTIONARY);
		entries = h->dictionary.num_values;
	}
	if (!has || entries < 0)
		return err_set(reterr, RC_CORRUPT, "a page header is damaged");
	return RC_OK;
}

rc_t chunk_next_page(struct chunk *c, struct page *ret, struct err *reterr)
{
	struct page p = { 0 };
	for (;;) {
		if (c->pos >= c->r->data_end)
			return err_set(reterr, RC_EOF, "no more pages");
		size_t header_len;
		TRY(read_header(c, &p.header, &header_len, reterr));
		TRY(check_header(c, &p.header, header_len, reterr));
		uint64_t body_pos = c->pos + header_len;
		c->pos = body_pos + (uint64_t)p.header.compressed_page_size;
		if (p.header.type != PAGE_DATA && p.header.type != PAGE_DATA_V2 && p.header.type != PAGE_DICTIONARY)
			continue;
		const uint8_t *body = NULL;
		size_t len = (size_t)p.header.compressed_page_size;
		TRY(chunk_bytes(c, body_pos, len, &body, reterr));
		if (META_HAS(&p.header, PAGE_HEADER_CRC) && (uint32_t)p.header.crc != page_crc(0, body, len))
			return err_set(reterr, RC_CORRUPT, "the checksum of the page at offset %llu does not match",
				       (unsigned long long)(body_pos - header_len));
		TRY(p.header.type == PAGE_DATA_V2 ? page_v2(c, body, &p, reterr) : page_v1(c, body, &p, reterr));
		*ret = p;
		return RC_OK;
	}
}
