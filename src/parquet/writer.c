#include "parquet/footer_value.h"
#include "parquet/write_internal.h"

void parquet_writer_options_default(struct parquet_writer_options *ret)
{
	*ret = (struct parquet_writer_options){ .codec = PARQUET_ZSTD,
						.level = 1,
						.page_bytes = (size_t)1 << 20,
						.page_rows = 20000,
						.dictionary_bytes = (size_t)1 << 20,
						.page_index = true,
						.delta = true,
						.created_by = PARQUET_CREATED_BY };
}

static rc_t options_check(const struct parquet_writer_options *o, struct err *reterr)
{
	switch (o->codec) {
	case PARQUET_UNCOMPRESSED:
	case PARQUET_SNAPPY:
	case PARQUET_GZIP:
	case PARQUET_ZSTD:
	case PARQUET_LZ4_RAW:
		break;
	default:
		return err_set(reterr, RC_INVALID, "Parquet cannot be written with codec %s: choose zstd, snappy, gzip, lz4_raw or uncompressed",
			       parquet_codec_name(o->codec));
	}
	if (!o->page_bytes || !o->page_rows)
		return err_set(reterr, RC_INVALID, "Parquet pages of %zu bytes and %u rows cannot be written", o->page_bytes, o->page_rows);
	if (o->dictionary_bytes > (size_t)1 << 30)
		return err_set(reterr, RC_INVALID, "a Parquet dictionary of %zu bytes is too large (limit 1 GiB)", o->dictionary_bytes);
	return RC_OK;
}

void writer_init(struct parquet_writer *w, const struct parquet_sink *sink, const struct parquet_writer_options *opts)
{
	encoder_init(&w->enc, sink, opts);
	arena_init(&w->arena);
	for (size_t i = 0; i < sizeof w->frames / sizeof w->frames[0]; i++)
		level_frame_init(&w->frames[i]);
	for (size_t i = 0; i < sizeof w->loaded / sizeof w->loaded[0]; i++)
		column_init(&w->loaded[i], NULL);
	w->enc.opts.created_by = arena_strdup(&w->arena, opts->created_by ? opts->created_by : PARQUET_CREATED_BY);
}

rc_t parquet_writer_new(const struct parquet_sink *sink, const struct parquet_writer_options *opts, struct parquet_writer **ret,
			struct err *reterr)
{
	TRY(options_check(opts, reterr));
	struct parquet_writer *w = NEW(struct parquet_writer);
	writer_init(w, sink, opts);
	buf_append_str(&w->enc.out, "PAR1");
	*ret = w;
	return RC_OK;
}

void writer_clear(struct parquet_writer *w)
{
	for (uint32_t i = 0; i < w->group_count; i++) {
		free(w->groups[i].chunks);
		free(w->groups[i].outline);
	}
	for (size_t i = 0; i < sizeof w->frames / sizeof w->frames[0]; i++)
		level_frame_free(&w->frames[i]);
	for (size_t i = 0; i < sizeof w->loaded / sizeof w->loaded[0]; i++)
		column_free(&w->loaded[i]);
	free(w->groups);
	free(w->leaves);
	encoder_free(&w->enc);
	arena_free(&w->arena);
}

void parquet_writer_free(struct parquet_writer *w)
{
	if (!w)
		return;
	parquet_group_free(w->own);
	for (uint32_t i = 0; i < w->metadata_count; i++) {
		free((void *)(uintptr_t)w->metadata[i].key.data);
		free((void *)(uintptr_t)w->metadata[i].value.data);
	}
	free(w->metadata);
	writer_clear(w);
	free(w);
}

int64_t parquet_writer_bytes(const struct parquet_writer *w)
{
	return encoder_position(&w->enc);
}

int64_t parquet_writer_rows(const struct parquet_writer *w)
{
	return w->rows;
}

rc_t parquet_writer_rest(struct parquet_writer *w, struct err *reterr)
{
	if (w->failed)
		return err_set(reterr, RC_INVALID, "the Parquet writer has failed before");
	parquet_group_free(w->own);
	w->own = NULL;
	rc_t rc = encoder_rest(&w->enc, reterr);
	w->failed = rc != RC_OK;
	return rc;
}

size_t parquet_writer_memory(const struct parquet_writer *w)
{
	size_t bytes = encoder_memory(&w->enc) + w->arena.bytes + group_memory(w->own);
	for (size_t i = 0; i < sizeof w->frames / sizeof w->frames[0]; i++)
		bytes += w->frames[i].def_store.cap + w->frames[i].rep_store.cap;
	for (uint32_t i = 0; i < w->group_count; i++)
		bytes += w->groups[i].chunk_count * sizeof(struct chunk) + w->groups[i].outline_cap * sizeof(struct outline_entry);
	return bytes;
}

static struct slice own_copy(struct slice s)
{
	uint8_t *p = mem_alloc(s.len + 1);
	if (s.len)
		memcpy(p, s.data, s.len);
	return slice_of(p, s.len);
}

void parquet_writer_metadata(struct parquet_writer *w, const char *key, struct slice value)
{
	struct meta_key_value *kv = NULL;
	for (uint32_t i = 0; i < w->metadata_count && !kv; i++)
		if (slice_eq_str(w->metadata[i].key, key))
			kv = &w->metadata[i];
	if (!kv) {
		if (w->metadata_count == w->metadata_cap) {
			w->metadata_cap = w->metadata_cap ? 2 * w->metadata_cap : 8;
			w->metadata = mem_realloc(w->metadata, w->metadata_cap * sizeof *w->metadata);
		}
		kv = &w->metadata[w->metadata_count++];
		*kv = (struct meta_key_value){ .key = own_copy(slice_str(key)) };
		META_SET(kv, KEY_VALUE_VALUE);
	}
	struct slice old = kv->value;
	kv->value = footer_value_encode(value);
	free((void *)(uintptr_t)old.data);
}

rc_t writer_usable(const struct parquet_writer *w, const struct schema *schema, struct err *reterr)
{
	if (w->failed || w->finished)
		return err_set(reterr, RC_INVALID, w->failed ? "the Parquet file failed before and cannot be continued"
							     : "the Parquet file is finished already");
	if (w->schema && w->schema != schema)
		return err_set(reterr, RC_INVALID, "the batches of a Parquet file have different schemas");
	return RC_OK;
}

static void adopt_schema(struct parquet_writer *w, const struct schema *schema)
{
	if (w->schema)
		return;
	w->schema = schema;
	w->root = node_new(w, schema->root, NULL);
}

/* The first active leaf in schema order: it comes first in every row group from now on. */
static struct node *first_active(struct node *n)
{
	while (n && !n->leaf) {
		struct node *next = NULL;
		for (uint32_t i = 0; i < n->child_count && !next; i++)
			if (n->children[i]->active)
				next = n->children[i];
		n = next;
	}
	return n;
}

static rc_t mark_all(struct parquet_writer *w, const struct batch *b, struct err *reterr)
{
	TRY(tree_mark(w, b, reterr));
	if (!w->leaf_count)
		node_activate_first(w, w->root);
	if (!w->anchor)
		w->anchor = first_active(w->root);
	return RC_OK;
}

rc_t writer_mark(struct parquet_writer *w, const struct batch *b, struct err *reterr)
{
	if (b->rows > INT32_MAX || b->root.slots != b->rows || b->root.values != b->rows)
		return err_set(reterr, RC_INVALID, "the batch of %u rows is not sealed", b->rows);
	adopt_schema(w, b->schema);
	return mark_all(w, b, reterr);
}

rc_t parquet_writer_row_group(struct parquet_writer *w, const struct batch *b, struct err *reterr)
{
	TRY(writer_usable(w, b->schema, reterr));
	if (!b->rows)
		return RC_OK;
	static const struct parquet_group_options straight = { 0 };
	if (!w->own)
		w->own = parquet_group_new(w, &straight);
	TRY(parquet_writer_reserve(w, b, w->own, reterr));
	rc_t rc = parquet_group_encode(w->own, b, reterr);
	if (rc == RC_OK)
		rc = parquet_writer_append(w, w->own, reterr);
	w->failed = rc != RC_OK;
	return rc;
}

/* ---- finish ------------------------------------------------------------------------------------------------------- */

static uint32_t collect_leaves(const struct parquet_writer *w, struct node *n, struct node **out, uint32_t count)
{
	if (n->leaf) {
		out[count] = n;
		return count + 1;
	}
	for (uint32_t i = 0; i < n->child_count; i++) {
		struct node *child = node_child_in_order(w, n, i);
		if (child->active)
			count = collect_leaves(w, child, out, count);
	}
	return count;
}

static void leaf_info(const struct node *n, struct parquet_leaf_info *ret)
{
	*ret = n->info;
	ret->field = n->field;
	ret->field_id = n->field->id;
	ret->repeated = n->max_rep > 0;
	ret->has_lower = n->info.has_lower && !n->no_lower && !ret->repeated;
	ret->has_upper = n->info.has_upper && !n->no_upper && !ret->repeated;
	struct slice lower = stats_iceberg(n->field, n->type.kind, slice_of(n->info.lower, n->info.lower_len), ret->lower);
	struct slice upper = stats_iceberg(n->field, n->type.kind, slice_of(n->info.upper, n->info.upper_len), ret->upper);
	ret->lower_len = ret->has_lower ? (uint8_t)lower.len : 0;
	ret->upper_len = ret->has_upper ? (uint8_t)upper.len : 0;
}

static int offset_compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

static void file_info(const struct parquet_writer *w, struct node **order, struct parquet_file_info *ret)
{
	*ret = (struct parquet_file_info){ .rows = w->rows, .bytes = encoder_position(&w->enc), .split_count = w->group_count,
					   .leaf_count = w->leaf_count };
	ret->split_offsets = mem_alloc((w->group_count + 1) * sizeof *ret->split_offsets);
	for (uint32_t i = 0; i < w->group_count; i++)
		ret->split_offsets[i] = w->groups[i].start;
	qsort(ret->split_offsets, w->group_count, sizeof *ret->split_offsets, offset_compare);
	ret->leaves = mem_zalloc(w->leaf_count + 1, sizeof *ret->leaves);
	for (uint32_t i = 0; i < w->leaf_count; i++)
		leaf_info(order[i], &ret->leaves[i]);
}

void parquet_file_info_clear(struct parquet_file_info *info)
{
	if (!info)
		return;
	free(info->split_offsets);
	free(info->leaves);
	*info = (struct parquet_file_info){ 0 };
}

rc_t parquet_writer_finish(struct parquet_writer *w, const struct schema *final, struct parquet_file_info *ret, struct err *reterr)
{
	TRY(writer_usable(w, final, reterr));
	w->failed = true; /* until all is written */
	adopt_schema(w, final);
	TRY(mark_all(w, NULL, reterr));
	for (uint32_t i = 0; i < w->group_count; i++)
		TRY(tree_complete(w, &w->groups[i], reterr));
	struct node **order = mem_alloc((w->leaf_count + 1) * sizeof *order);
	collect_leaves(w, w->root, order, 0);
	rc_t rc = footer_write(w, order, w->leaf_count, reterr);
	if (rc == RC_OK) {
		w->failed = false;
		w->finished = true;
		if (ret)
			file_info(w, order, ret);
	}
	free(order);
	return rc;
}
