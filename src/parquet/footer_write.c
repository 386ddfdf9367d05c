/* What stands behind the row groups: all column indexes, all offset indexes, FileMetaData, its length, "PAR1". */
#include "parquet/write_internal.h"

static void path_of(struct arena *a, const struct node *leaf, struct meta_column_meta *m)
{
	uint32_t parts = 0;
	for (const struct node *n = leaf; n->parent; n = n->parent)
		parts += n->field->type == TYPE_LIST || n->field->type == TYPE_MAP ? 2 : 1;
	m->path_in_schema.count = parts;
	m->path_in_schema.items = arena_alloc(a, parts * sizeof(struct slice));
	struct slice *at = m->path_in_schema.items + parts;
	for (const struct node *n = leaf; n->parent; n = n->parent) {
		const struct field *f = n->field;
		if (f->type == TYPE_LIST)
			*--at = SLICE_LIT("list");
		else if (f->type == TYPE_MAP)
			*--at = SLICE_LIT("key_value");
		*--at = node_name(n);
	}
}

static void encodings_of(struct arena *a, const struct parquet_writer_options *opts, const struct node *leaf, const struct chunk *c,
			 struct meta_column_meta *m)
{
	bool dict = c->encoding == ENCODING_RLE_DICTIONARY;
	int32_t *list = m->encodings.items = arena_alloc(a, 3 * sizeof(int32_t));
	uint32_t n = 0;
	list[n++] = c->encoding;
	if (dict)
		list[n++] = ENCODING_PLAIN;
	if ((leaf->max_def || leaf->max_rep) && c->encoding != ENCODING_RLE)
		list[n++] = ENCODING_RLE;
	m->encodings.count = n;
	struct meta_page_encoding_stats *stats = m->encoding_stats.items = arena_zalloc(a, 2 * sizeof *stats);
	n = 0;
	if (dict)
		stats[n++] = (struct meta_page_encoding_stats){ .page_type = PAGE_DICTIONARY, .encoding = ENCODING_PLAIN, .count = 1 };
	stats[n++] = (struct meta_page_encoding_stats){ .page_type = opts->data_page_v2 ? PAGE_DATA_V2 : PAGE_DATA,
							.encoding = c->encoding,
							.count = (int32_t)c->data_pages };
	m->encoding_stats.count = n;
	META_SET(m, COLUMN_META_ENCODING_STATS);
}

static void statistics_of(const struct chunk *c, struct meta_column_meta *m)
{
	struct meta_statistics *s = &m->statistics;
	META_SET(m, COLUMN_META_STATISTICS);
	s->null_count = c->nulls;
	META_SET(s, STATISTICS_NULL_COUNT);
	if (c->has_min) {
		s->min_value = c->min;
		s->is_min_value_exact = c->min_exact;
		META_SET(s, STATISTICS_MIN_VALUE);
		META_SET(s, STATISTICS_IS_MIN_VALUE_EXACT);
	}
	if (c->has_max) {
		s->max_value = c->max;
		s->is_max_value_exact = c->max_exact;
		META_SET(s, STATISTICS_MAX_VALUE);
		META_SET(s, STATISTICS_IS_MAX_VALUE_EXACT);
	}
}

static void chunk_meta(struct parquet_writer *w, struct arena *a, const struct node *leaf, const struct chunk *c, int64_t column_indexes,
		       int64_t offset_indexes, struct meta_column_chunk *ret)
{
	struct meta_column_meta *m = &ret->meta_data;
	META_SET(ret, COLUMN_CHUNK_META_DATA);
	m->type = (int32_t)leaf->type.physical;
	m->codec = c->codec;
	path_of(a, leaf, m);
	encodings_of(a, &w->enc.opts, leaf, c, m);
	m->num_values = c->entries;
	m->total_compressed_size = c->compressed;
	m->total_uncompressed_size = c->uncompressed;
	m->data_page_offset = c->data_offset;
	if (c->encoding == ENCODING_RLE_DICTIONARY) {
		m->dictionary_page_offset = c->offset;
		META_SET(m, COLUMN_META_DICTIONARY_PAGE_OFFSET);
	}
	statistics_of(c, m);
	if (c->bloom_len) {
		m->bloom_filter_offset = c->offset + c->compressed;
		m->bloom_filter_length = (int32_t)c->bloom_len;
		META_SET(m, COLUMN_META_BLOOM_FILTER_OFFSET);
		META_SET(m, COLUMN_META_BLOOM_FILTER_LENGTH);
	}
	if (c->column_index_len) {
		ret->column_index_offset = column_indexes + (int64_t)c->column_index_at;
		ret->column_index_length = (int32_t)c->column_index_len;
		META_SET(ret, COLUMN_CHUNK_COLUMN_INDEX_OFFSET);
		META_SET(ret, COLUMN_CHUNK_COLUMN_INDEX_LENGTH);
	}
	if (c->offset_index_len) {
		ret->offset_index_offset = offset_indexes + (int64_t)c->offset_index_at;
		ret->offset_index_length = (int32_t)c->offset_index_len;
		META_SET(ret, COLUMN_CHUNK_OFFSET_INDEX_OFFSET);
		META_SET(ret, COLUMN_CHUNK_OFFSET_INDEX_LENGTH);
	}
}

static void group_meta(struct parquet_writer *w, struct arena *a, uint32_t index, struct node **order, uint32_t count,
		       int64_t column_indexes, int64_t offset_indexes, struct meta_row_group *ret)
{
	const struct row_group *g = &w->groups[index];
	ret->num_rows = g->rows;
	ret->ordinal = (int32_t)index;
	ret->file_offset = g->start;
	META_SET(ret, ROW_GROUP_ORDINAL);
	META_SET(ret, ROW_GROUP_FILE_OFFSET);
	META_SET(ret, ROW_GROUP_TOTAL_COMPRESSED_SIZE);
	ret->columns.items = arena_zalloc(a, count * sizeof *ret->columns.items);
	ret->columns.count = count;
	for (uint32_t i = 0; i < count; i++) {
		const struct chunk *c = &g->chunks[order[i]->leaf_index];
		chunk_meta(w, a, order[i], c, column_indexes, offset_indexes, &ret->columns.items[i]);
		ret->total_byte_size += c->uncompressed;
		ret->total_compressed_size += c->compressed;
	}
}

static rc_t footer_encode(struct parquet_writer *w, struct arena *a, struct node **order, uint32_t count, int64_t column_indexes,
			  int64_t offset_indexes, struct err *reterr)
{
	struct meta_file file = { .version = w->enc.opts.data_page_v2 ? 2 : 1, .num_rows = w->rows };
	TRY(schema_write(w, a, &file, reterr));
	file.row_groups.items = arena_zalloc(a, w->group_count * sizeof *file.row_groups.items);
	file.row_groups.count = w->group_count;
	for (uint32_t i = 0; i < w->group_count; i++)
		group_meta(w, a, i, order, count, column_indexes, offset_indexes, &file.row_groups.items[i]);
	if (w->metadata_count) {
		file.key_value_metadata.items = w->metadata;
		file.key_value_metadata.count = w->metadata_count;
		META_SET(&file, FILE_KEY_VALUE);
	}
	file.created_by = slice_str(w->enc.opts.created_by);
	META_SET(&file, FILE_CREATED_BY);
	file.column_orders.items = arena_zalloc(a, count * sizeof *file.column_orders.items);
	file.column_orders.count = count;
	for (uint32_t i = 0; i < count; i++)
		META_SET(&file.column_orders.items[i], COLUMN_ORDER_TYPE);
	META_SET(&file, FILE_COLUMN_ORDERS);
	struct buf *out = &w->enc.out;
	size_t at = out->len;
	meta_file_encode(&file, out);
	size_t len = out->len - at;
	if (out->overflow || len > PARQUET_FOOTER_MAX)
		return err_set(reterr, RC_LIMIT, "the footer would take over %zu MiB: write fewer row groups or columns, or split the input", PARQUET_FOOTER_MAX >> 20);
	buf_u32(out, (uint32_t)len);
	buf_append_str(out, "PAR1");
	return RC_OK;
}

/* Spark 3 does not believe a file about days before 1582 and times before 1900 (they might be in the hybrid calendar that Spark 2 wrote): it refuses to
 * read them unless the footer tells the Spark that wrote it. A version from 3.0 on without Spark's key for the old calendar means the proleptic
 * Gregorian calendar, which Parquet's times are in. */
static void tell_calendar(struct parquet_writer *w, struct node **order, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		enum type type = order[i]->field->type;
		if (type == TYPE_DATE || type == TYPE_TIMESTAMP || type == TYPE_TIMESTAMPTZ) {
			parquet_writer_metadata(w, "org.apache.spark.version", SLICE_LIT("3.5.0"));
			return;
		}
	}
}

static int by_id(const void *a, const void *b)
{
	int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
	return (x > y) - (x < y);
}

/* The columns' ids, as ranges: what others write anew may lack some, and keeps our notes all the same. */
static void list_columns(struct parquet_writer *w, struct node **order, uint32_t count)
{
	AUTO_MEM int32_t *ids = mem_alloc(((size_t)count + 1) * sizeof *ids);
	for (uint32_t i = 0; i < count; i++)
		ids[i] = order[i]->field->id;
	if (count)
		qsort(ids, count, sizeof *ids, by_id);
	if (!count || ids[0] <= 0)
		return;
	AUTO_BUF struct buf list;
	buf_init(&list, BUF_MAX_DEFAULT);
	for (uint32_t i = 0, end; i < count; i = end) {
		for (end = i + 1; end < count && ids[end] == ids[end - 1] + 1;)
			end++;
		buf_printf(&list, i ? ",%d" : "%d", ids[i]);
		if (end - i > 1)
			buf_printf(&list, "-%d", ids[end - 1]);
	}
	parquet_writer_metadata(w, PARQUET_COLUMNS_KEY, buf_slice(&list));
}

rc_t footer_write(struct parquet_writer *w, struct node **order, uint32_t count, struct err *reterr)
{
	struct encoder *e = &w->enc;
	tell_calendar(w, order, count);
	list_columns(w, order, count);
	int64_t column_indexes = encoder_position(e);
	buf_append_slice(&e->out, buf_slice(&e->column_indexes));
	int64_t offset_indexes = encoder_position(e);
	buf_append_slice(&e->out, buf_slice(&e->offset_indexes));
	struct arena a;
	arena_init(&a);
	rc_t rc = footer_encode(w, &a, order, count, column_indexes, offset_indexes, reterr);
	arena_free(&a);
	if (rc == RC_OK)
		rc = encoder_flush(e, 0, reterr);
	return rc;
}
