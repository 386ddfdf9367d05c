#include "parquet/footer_value.h"
#include "parquet/reader.h"

#include "parquet/reader_internal.h"
#include "parquet/writer.h"

#define TAIL_FIRST ((size_t)64 << 10) /* most footers are in the last 64 KiB: one read */

static void limits_fill(struct parquet_limits *l)
{
	const struct parquet_limits d = {
		.footer_bytes = PARQUET_FOOTER_MAX,
		.meta_bytes = (size_t)1 << 30,
		.page_bytes = (size_t)256 << 20,
		.batch_bytes = (size_t)1 << 30,
		.window_bytes = (size_t)4 << 20,
		.depth = 64,
	};
	l->footer_bytes = l->footer_bytes ? l->footer_bytes : d.footer_bytes;
	l->meta_bytes = l->meta_bytes ? l->meta_bytes : d.meta_bytes;
	l->page_bytes = l->page_bytes ? l->page_bytes : d.page_bytes;
	l->batch_bytes = l->batch_bytes ? l->batch_bytes : d.batch_bytes;
	l->window_bytes = l->window_bytes ? l->window_bytes : d.window_bytes;
	l->depth = l->depth ? l->depth : d.depth;
	if (l->depth > READER_DEPTH_MAX)
		l->depth = READER_DEPTH_MAX;
	if (l->page_bytes > INT32_MAX)
		l->page_bytes = INT32_MAX;
}

/* Reads footer bytes into the arena. */
static rc_t read_footer(struct parquet_reader *r, struct slice *ret, struct err *reterr)
{
	uint64_t size = r->source.size;
	if (size < 12)
		return err_set(reterr, RC_CORRUPT, "not a Parquet file: %llu bytes are too few", (unsigned long long)size);
	size_t tail = size < TAIL_FIRST ? (size_t)size : TAIL_FIRST;
	uint8_t *bytes = arena_alloc(&r->arena, tail);
	TRY(r->source.read(r->source.ctx, size - tail, tail, bytes, reterr));
	const uint8_t *magic = bytes + tail - 4;
	if (memcmp(magic, "PARE", 4) == 0)
		return err_set(reterr, RC_UNSUPPORTED, "Parquet file with encrypted footer: Parquet encryption is not supported");
	if (memcmp(magic, "PAR1", 4) != 0)
		return err_set(reterr, RC_CORRUPT, "not a Parquet file, or cut off: it does not end with PAR1");
	uint64_t len = decode_load32(magic - 4);
	if (len > size - 12 || len == 0)
		return err_set(reterr, RC_CORRUPT, "Parquet file is damaged: a footer of %llu bytes cannot be in it", (unsigned long long)len);
	if (len > r->limits.footer_bytes)
		return err_set(reterr, RC_LIMIT, "Parquet footer of %llu bytes passes the limit of %zu", (unsigned long long)len,
			       r->limits.footer_bytes);
	r->data_end = size - 8 - len;
	if (len + 8 <= tail) {
		*ret = slice_of(bytes + tail - 8 - len, (size_t)len);
		return RC_OK;
	}
	bytes = arena_alloc(&r->arena, (size_t)len);
	TRY(r->source.read(r->source.ctx, r->data_end, (size_t)len, bytes, reterr));
	*ret = slice_of(bytes, (size_t)len);
	return RC_OK;
}

/* What the rest of the reader relies on. */
static rc_t check_row_groups(struct parquet_reader *r, struct err *reterr)
{
	for (uint32_t i = 0; i < r->meta.row_groups.count; i++) {
		const struct meta_row_group *g = &r->meta.row_groups.items[i];
		if (g->columns.count != r->leaf_count)
			return err_set(reterr, RC_CORRUPT, "Parquet footer is damaged: row group %u has %u columns, the schema %u", i,
				       g->columns.count, r->leaf_count);
		if (g->num_rows < 0 || __builtin_add_overflow(r->rows, g->num_rows, &r->rows))
			return err_set(reterr, RC_CORRUPT, "Parquet footer is damaged: impossible number of rows in row group %u", i);
	}
	return RC_OK;
}

static rc_t open_into(struct parquet_reader *r, struct err *reterr)
{
	struct slice footer;
	TRY(read_footer(r, &footer, reterr));
	size_t before = r->arena.bytes;
	TRY(meta_file_decode(footer, &r->arena, r->meta_left, &r->meta, reterr));
	size_t used = r->arena.bytes - before;
	r->meta_left -= used < r->meta_left ? used : r->meta_left;
	for (uint32_t i = 0; i < r->meta.key_value_metadata.count; i++) {
		struct meta_key_value *kv = &r->meta.key_value_metadata.items[i];
		kv->value = footer_value_decode(kv->value, &r->arena);
	}
	TRY(reader_schema_build(r, reterr));
	TRY(check_row_groups(r, reterr));
	size_t chunks = (size_t)r->meta.row_groups.count * r->leaf_count; /* each stands in the footer: bounded by it */
	r->offset_index = arena_zalloc(&r->arena, chunks * sizeof *r->offset_index + 1);
	r->column_index = arena_zalloc(&r->arena, chunks * sizeof *r->column_index + 1);
	r->bounds = arena_zalloc(&r->arena, chunks * sizeof *r->bounds + 1);
	r->seen = arena_zalloc(&r->arena, r->node_count + 1);
	r->shadow = arena_zalloc(&r->arena, READER_PATH_MAX * sizeof *r->shadow);
	levels_open(r);
	alike_open(r);
	r->codec = codec_ctx_new();
	return RC_OK;
}

rc_t parquet_reader_open(const struct parquet_source *source, const struct parquet_limits *limits, struct parquet_reader **ret,
			 struct err *reterr)
{
	struct parquet_reader *r = NEW(struct parquet_reader);
	r->source = *source;
	if (limits)
		r->limits = *limits;
	limits_fill(&r->limits);
	r->meta_left = r->limits.meta_bytes;
	arena_init(&r->arena);
	buf_init(&r->window, r->limits.page_bytes * 4 + r->limits.window_bytes + 1024);
	buf_init(&r->page, r->limits.page_bytes + DECODE_PAD);
	buf_init(&r->bloom, r->limits.page_bytes);
	buf_init(&r->converted, BUF_MAX_DEFAULT);
	buf_init(&r->numbers, BUF_MAX_DEFAULT);
	buf_init(&r->bytes.data, BUF_MAX_DEFAULT);
	buf_init(&r->dict.data, BUF_MAX_DEFAULT);
	rc_t rc = open_into(r, reterr);
	if (rc != RC_OK) {
		parquet_reader_free(r);
		return rc;
	}
	*ret = r;
	return RC_OK;
}

void parquet_reader_free(struct parquet_reader *r)
{
	if (!r)
		return;
	for (uint32_t i = 0; r->shadow && i < READER_PATH_MAX; i++)
		column_free(&r->shadow[i]);
	buf_free(&r->window);
	buf_free(&r->page);
	buf_free(&r->bloom);
	buf_free(&r->converted);
	buf_free(&r->numbers);
	column_free(&r->bytes);
	column_free(&r->dict);
	codec_ctx_free(r->codec);
	alike_close(r);
	schema_free(r->schema);
	arena_free(&r->arena);
	free(r);
}

const struct schema *parquet_reader_schema(const struct parquet_reader *r)
{
	return r->schema;
}

int64_t parquet_reader_rows(const struct parquet_reader *r)
{
	return r->rows;
}

uint32_t parquet_reader_row_group_count(const struct parquet_reader *r)
{
	return r->meta.row_groups.count;
}

int64_t parquet_reader_row_group_rows(const struct parquet_reader *r, uint32_t row_group)
{
	return row_group < r->meta.row_groups.count ? r->meta.row_groups.items[row_group].num_rows : 0;
}

int64_t parquet_reader_row_group_bytes(const struct parquet_reader *r, uint32_t row_group)
{
	return row_group < r->meta.row_groups.count ? r->meta.row_groups.items[row_group].total_byte_size : 0;
}

struct slice parquet_reader_metadata(const struct parquet_reader *r, const char *key)
{
	for (uint32_t i = r->meta.key_value_metadata.count; i-- > 0;) {
		const struct meta_key_value *kv = &r->meta.key_value_metadata.items[i];
		if (slice_eq_str(kv->key, key))
			return kv->value.data ? kv->value : SLICE_LIT("");
	}
	return (struct slice){ NULL, 0 };
}

struct slice parquet_reader_created_by(const struct parquet_reader *r)
{
	return r->meta.created_by;
}

static bool leaf_below(const struct leaf *l, const struct field *f)
{
	for (uint32_t k = 0; k < l->path_len; k++)
		if (l->path[k].field == f)
			return true;
	return !f->parent; /* the root */
}

const char *parquet_reader_refused(const struct parquet_reader *r, const struct field *f)
{
	for (uint32_t i = 0; i < r->leaf_count; i++)
		if (r->leaves[i].refused && leaf_below(&r->leaves[i], f))
			return r->leaves[i].refused;
	return NULL;
}

const struct leaf *reader_leaf(const struct parquet_reader *r, const struct field *f)
{
	for (uint32_t i = 0; i < r->leaf_count; i++)
		if (r->leaves[i].field == f)
			return &r->leaves[i];
	return NULL;
}

static int by_address(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t)*(const struct field *const *)a, y = (uintptr_t)*(const struct field *const *)b;
	return (x > y) - (x < y);
}

static bool selected(const struct leaf *l, const struct field *const *sorted, size_t n)
{
	for (uint32_t k = 0; k < l->path_len; k++)
		if (bsearch(&l->path[k].field, sorted, n, sizeof *sorted, by_address))
			return true;
	return false;
}

static rc_t read_columns(struct parquet_reader *r, uint32_t row_group, const struct field *const *sorted, size_t n, bool all, uint32_t from,
			 uint32_t to, struct batch *ret, struct err *reterr)
{
	r->batch_left = r->limits.batch_bytes;
	r->codes = ret->may_be_coded;
	memset(r->seen, 0, r->node_count);
	alike_begin(r);
	for (uint32_t i = 0; i < r->leaf_count; i++) {
		const struct leaf *l = &r->leaves[i];
		if (!all && !selected(l, sorted, n))
			continue;
		rc_t rc = reader_column_read(r, row_group, l, from, to, ret, reterr);
		if (rc != RC_OK) {
			char path[200];
			field_path(l->field, path, sizeof path);
			err_prefix(reterr, "Parquet column %s, row group %u", path, row_group);
			return rc;
		}
	}
	return RC_OK;
}

/* The fields asked for, sorted; *ret_all if the root is among them. */
static rc_t sort_fields(const struct parquet_reader *r, const struct field *const *fields, size_t n, const struct field **sorted,
			bool *ret_all, struct err *reterr)
{
	for (size_t i = 0; i < n; i++) {
		const struct field *f = fields[i];
		while (f->parent)
			f = f->parent;
		if (f != r->schema->root)
			return err_set(reterr, RC_INVALID, "a field of another schema was asked for from a Parquet file");
		*ret_all |= fields[i] == f;
		sorted[i] = fields[i];
	}
	if (n)
		qsort(sorted, n, sizeof *sorted, by_address);
	return RC_OK;
}

rc_t parquet_reader_read(struct parquet_reader *r, uint32_t row_group, const struct field *const *fields, size_t n, uint32_t row_from,
			 uint32_t row_to, struct batch *ret, struct err *reterr)
{
	batch_reset(ret);
	if (ret->schema != r->schema)
		return err_set(reterr, RC_INVALID, "the batch was not made for this Parquet file's schema");
	if (row_group >= r->meta.row_groups.count)
		return err_set(reterr, RC_INVALID, "row group %u of %u was asked for", row_group, r->meta.row_groups.count);
	int64_t rows = r->meta.row_groups.items[row_group].num_rows;
	if (rows > INT32_MAX)
		return err_set(reterr, RC_LIMIT, "Parquet row group %u has more than 2^31 rows", row_group);
	if (row_to > rows)
		row_to = (uint32_t)rows;
	if (row_from > row_to)
		row_from = row_to;
	bool all = !fields;
	AUTO_MEM const struct field **sorted = mem_alloc((n + 1) * sizeof *sorted);
	if (fields)
		TRY(sort_fields(r, fields, n, sorted, &all, reterr));
	rc_t rc = row_from < row_to ? read_columns(r, row_group, sorted, n, all, row_from, row_to, ret, reterr) : RC_OK;
	if (rc != RC_OK) {
		batch_reset(ret);
		return rc;
	}
	ret->rows = row_to - row_from;
	batch_seal(ret);
	return RC_OK;
}
