/* Page indexes (PageIndex.md) and Bloom filters (BloomFilter.md) of a file: found, checked, kept. */
#include "parquet/bloom.h"
#include "parquet/reader_internal.h"

#define BLOOM_HEADER_MAX 256 /* bytes; it is some 20 */

static const struct meta_column_chunk *chunk_of(const struct parquet_reader *r, uint32_t row_group, const struct leaf *l)
{
	return &r->meta.row_groups.items[row_group].columns.items[l->index];
}

/* Reads an index as stored into the arena, or (keep = false) into scratch. */
static rc_t index_bytes(struct parquet_reader *r, const char *what, int64_t offset, int32_t length, bool keep, struct slice *ret,
			struct err *reterr)
{
	uint64_t at = (uint64_t)offset;
	size_t len = (size_t)length;
	if (offset < 4 || length <= 0 || at > r->data_end || len > r->data_end - at)
		return err_set(reterr, RC_CORRUPT, "the %s lies outside of the file", what);
	if (len > r->limits.footer_bytes || (keep && len > r->meta_left))
		return err_set(reterr, RC_LIMIT, "the %s of %zu bytes passes the limit", what, len);
	uint8_t *to;
	if (keep) {
		r->meta_left -= len;
		to = arena_alloc(&r->arena, len);
	} else {
		buf_reset(&r->converted);
		buf_reserve(&r->converted, len);
		to = r->converted.data;
	}
	TRY(r->source.read(r->source.ctx, at, len, to, reterr));
	*ret = slice_of(to, len);
	return RC_OK;
}

static void charge_arena(struct parquet_reader *r, size_t before)
{
	size_t used = r->arena.bytes - before;
	r->meta_left -= used < r->meta_left ? used : r->meta_left;
}

rc_t reader_offset_index(struct parquet_reader *r, uint32_t row_group, const struct leaf *l, const struct meta_offset_index **ret,
			 struct err *reterr)
{
	const struct meta_column_chunk *k = chunk_of(r, row_group, l);
	struct meta_offset_index **slot = &r->offset_index[(size_t)row_group * r->leaf_count + l->index];
	*ret = *slot;
	if (*slot || !META_HAS(k, COLUMN_CHUNK_OFFSET_INDEX_OFFSET) || !META_HAS(k, COLUMN_CHUNK_OFFSET_INDEX_LENGTH))
		return RC_OK;
	struct slice bytes;
	TRY(index_bytes(r, "offset index", k->offset_index_offset, k->offset_index_length, false, &bytes, reterr));
	size_t before = r->arena.bytes;
	struct meta_offset_index *index = arena_zalloc(&r->arena, sizeof *index);
	TRY(meta_offset_index_decode(bytes, &r->arena, r->meta_left, index, reterr));
	charge_arena(r, before);
	for (uint32_t i = 0; i < index->page_locations.count; i++) {
		const struct meta_page_location *p = &index->page_locations.items[i];
		if (p->offset < 4 || (uint64_t)p->offset >= r->data_end || p->first_row_index < 0 ||
		    (i ? p->first_row_index < p[-1].first_row_index || p->offset <= p[-1].offset : p->first_row_index != 0))
			return err_set(reterr, RC_CORRUPT, "the offset index is damaged");
	}
	*slot = index;
	*ret = index;
	return RC_OK;
}

rc_t reader_column_index(struct parquet_reader *r, uint32_t row_group, const struct leaf *l, const struct meta_column_index **ret,
			 struct err *reterr)
{
	const struct meta_column_chunk *k = chunk_of(r, row_group, l);
	struct meta_column_index **slot = &r->column_index[(size_t)row_group * r->leaf_count + l->index];
	*ret = *slot;
	if (*slot || !META_HAS(k, COLUMN_CHUNK_COLUMN_INDEX_OFFSET) || !META_HAS(k, COLUMN_CHUNK_COLUMN_INDEX_LENGTH))
		return RC_OK;
	struct slice bytes;
	TRY(index_bytes(r, "column index", k->column_index_offset, k->column_index_length, true, &bytes, reterr));
	size_t before = r->arena.bytes;
	struct meta_column_index *index = arena_zalloc(&r->arena, sizeof *index);
	TRY(meta_column_index_decode(bytes, &r->arena, r->meta_left, index, reterr));
	charge_arena(r, before);
	uint32_t pages = index->null_pages.count;
	if (index->min_values.count != pages || index->max_values.count != pages ||
	    (META_HAS(index, COLUMN_INDEX_NULL_COUNTS) && index->null_counts.count != pages))
		return err_set(reterr, RC_CORRUPT, "the column index is damaged: its lists differ in length");
	*slot = index;
	*ret = index;
	return RC_OK;
}

/* Loads the header and the blocks of a chunk's filter into r->bloom; its length is 0 if there is none that this program can use. */
static rc_t bloom_load(struct parquet_reader *r, uint32_t row_group, const struct leaf *l, struct err *reterr)
{
	const struct meta_column_meta *m = &chunk_of(r, row_group, l)->meta_data;
	uint64_t at = (uint64_t)m->bloom_filter_offset;
	if (m->bloom_filter_offset < 4 || at >= r->data_end)
		return err_set(reterr, RC_CORRUPT, "the Bloom filter lies outside of the file");
	uint64_t left = r->data_end - at;
	uint8_t first[BLOOM_HEADER_MAX];
	struct meta_bloom_header h;
	size_t head = left < sizeof first ? (size_t)left : sizeof first, header_len;
	TRY(r->source.read(r->source.ctx, at, head, first, reterr));
	rc_t rc = meta_bloom_header_decode(slice_of(first, head), &h, &header_len, reterr);
	if (rc == RC_AGAIN)
		return err_set(reterr, RC_CORRUPT, "the Bloom filter's header is damaged");
	TRY(rc);
	buf_reset(&r->bloom);
	if (!META_HAS(&h.algorithm, BLOOM_CHOICE_KNOWN) || !META_HAS(&h.hash, BLOOM_CHOICE_KNOWN) || !META_HAS(&h.compression, BLOOM_CHOICE_KNOWN))
		return RC_OK;
	if (h.num_bytes <= 0 || (uint32_t)h.num_bytes % BLOOM_BLOCK || (uint32_t)h.num_bytes > left - header_len)
		return err_set(reterr, RC_CORRUPT, "the Bloom filter of %d bytes is damaged", h.num_bytes);
	size_t len = (size_t)h.num_bytes, have = head - header_len < len ? head - header_len : len;
	if (!buf_reserve(&r->bloom, len))
		return err_set(reterr, RC_LIMIT, "the Bloom filter of %zu bytes passes the limit", len);
	memcpy(r->bloom.data, first + header_len, have);
	if (have < len)
		TRY(r->source.read(r->source.ctx, at + header_len + have, len - have, r->bloom.data + have, reterr));
	r->bloom.len = len;
	return RC_OK;
}

/* The value as the chunk would store it. False: no value of the chunk's physical type becomes this one. *ret_usable = false: several do, or
 * the filter cannot say. */
static bool physical_of(const struct leaf *l, struct slice v, uint8_t out[16], struct slice *ret, bool *ret_usable)
{
	*ret_usable = true;
	*ret = v;
	if (l->field->type == TYPE_STRING || l->field->type == TYPE_BINARY || l->field->type == TYPE_FIXED || l->field->type == TYPE_UUID)
		return true;
	size_t width = field_width(l->field);
	__int128 n = 0;
	int64_t n64 = 0;
	int32_t n32 = 0;
	memcpy(width == 16 ? (void *)&n : width == 8 ? (void *)&n64 : (void *)&n32, v.data, width);
	n = width == 16 ? n : width == 8 ? n64 : n32;
	__int128 low = l->width == 4 ? INT32_MIN : INT64_MIN, high = l->width == 4 ? INT32_MAX : INT64_MAX;
	switch (l->convert) {
	case CONVERT_NONE:
		/* the two zeros are equal and differ in their bytes, NaN has many forms */
		*ret_usable = l->physical != PARQUET_BOOLEAN && l->physical != PARQUET_FLOAT && l->physical != PARQUET_DOUBLE;
		return true;
	case CONVERT_U32_I64:
		low = 0, high = UINT32_MAX;
		break;
	case CONVERT_U64_I128:
		low = 0, high = UINT64_MAX;
		break;
	case CONVERT_I32_TIMES_1000:
	case CONVERT_I64_TIMES_1000:
		if (n % 1000)
			return false;
		n /= 1000;
		break;
	case CONVERT_BYTES_I64:
	case CONVERT_BYTES_I128:
		*ret_usable = l->physical == PARQUET_FIXED_LEN_BYTE_ARRAY && l->width <= 16; /* else of any length */
		for (uint32_t i = l->width; *ret_usable && i-- > 0; n >>= 8)
			out[i] = (uint8_t)n;
		*ret = slice_of(out, l->width);
		return !*ret_usable || n == (out[0] & 0x80 ? -1 : 0);
	case CONVERT_I32_I64:
	case CONVERT_I32_I128:
	case CONVERT_I64_I128:
		break;
	default: /* ns cut down to µs, INT96, float16 */
		*ret_usable = false;
		return true;
	}
	memcpy(out, &n, 8); /* little-endian */
	*ret = slice_of(out, l->width);
	return n >= low && n <= high;
}

rc_t reader_bloom_find(struct parquet_reader *r, uint32_t row_group, const struct leaf *l, struct slice value, bool *ret_may, struct err *reterr)
{
	const struct meta_column_chunk *k = chunk_of(r, row_group, l);
	uint8_t store[16];
	struct slice stored;
	bool usable;
	*ret_may = true;
	if (l->refused || !META_HAS(k, COLUMN_CHUNK_META_DATA) || !META_HAS(&k->meta_data, COLUMN_META_BLOOM_FILTER_OFFSET) ||
	    k->meta_data.type != (int32_t)l->physical)
		return RC_OK;
	if (!physical_of(l, value, store, &stored, &usable)) {
		*ret_may = false;
		return RC_OK;
	}
	if (!usable)
		return RC_OK;
	if (!r->has_bloom || r->bloom_group != row_group || r->bloom_leaf != l) {
		r->has_bloom = false;
		TRY(bloom_load(r, row_group, l, reterr));
		r->has_bloom = true;
		r->bloom_group = row_group;
		r->bloom_leaf = l;
	}
	if (r->bloom.len)
		*ret_may = bloom_find(r->bloom.data, r->bloom.len / BLOOM_BLOCK, bloom_hash(stored.data, stored.len));
	return RC_OK;
}
