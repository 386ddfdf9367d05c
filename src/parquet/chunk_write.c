/* One column chunk: an optional dictionary page, data pages, and what footer and page index say about them. */
#include "parquet/write_internal.h"

#define FLUSH_ABOVE ((size_t)1 << 20)   /* bytes that may wait for the sink */
#define STAT_BYTES 64                   /* longer strings are cut in statistics */
#define INDEX_BYTES_MAX 4096            /* a page's maximum that cannot be cut may be so long; else there is no column index */
#define SMALL_PAGE 4096                 /* encoded bytes; a smaller page takes up to 8 times page_rows */
#define SMALL_PAGE_ROWS 8

void encoder_init(struct encoder *e, const struct parquet_sink *sink, const struct parquet_writer_options *opts)
{
	*e = (struct encoder){ .sink = *sink, .opts = *opts };
	e->codec = codec_ctx_new();
	arena_init(&e->arena);
	arena_init(&e->brief);
	struct buf *bufs[] = { &e->out, &e->column_indexes, &e->offset_indexes, &e->body, &e->packed, &e->convert, &e->trial, &e->pages,
			       &e->lengths, &e->prefixes, &e->slots[0], &e->slots[1], &e->where, &e->entries, &e->indices };
	for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++)
		buf_init(bufs[i], (size_t)1 << 35); /* bounded by the column they are for; pages are checked against 2 GiB */
}

void encoder_free(struct encoder *e)
{
	struct buf *bufs[] = { &e->out, &e->column_indexes, &e->offset_indexes, &e->body, &e->packed, &e->convert, &e->trial, &e->pages,
			       &e->lengths, &e->prefixes, &e->slots[0], &e->slots[1], &e->where, &e->entries, &e->indices };
	for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++)
		buf_free(bufs[i]);
	codec_ctx_free(e->codec);
	arena_free(&e->arena);
	arena_free(&e->brief);
}

size_t encoder_memory(const struct encoder *e)
{
	const struct buf *bufs[] = { &e->out, &e->column_indexes, &e->offset_indexes, &e->body, &e->packed, &e->convert, &e->trial, &e->pages,
				     &e->lengths, &e->prefixes, &e->slots[0], &e->slots[1], &e->where, &e->entries, &e->indices };
	size_t bytes = e->arena.bytes + e->brief.bytes;
	for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++)
		bytes += bufs[i]->cap;
	return bytes;
}

rc_t encoder_flush(struct encoder *e, size_t above, struct err *reterr)
{
	if (e->out.len <= above)
		return RC_OK;
	TRY(e->sink.write(e->sink.ctx, e->out.data, e->out.len, reterr));
	e->base += (int64_t)e->out.len;
	buf_reset(&e->out);
	return RC_OK;
}

rc_t encoder_rest(struct encoder *e, struct err *reterr)
{
	TRY(encoder_flush(e, 0, reterr));
	struct buf *bufs[] = { &e->out, &e->body, &e->packed, &e->convert, &e->trial, &e->pages,
			       &e->lengths, &e->prefixes, &e->slots[0], &e->slots[1], &e->where, &e->entries, &e->indices };
	for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++)
		buf_free(bufs[i]);
	arena_free(&e->brief);
	arena_init(&e->brief);
	codec_ctx_free(e->codec);
	e->codec = codec_ctx_new();
	return RC_OK;
}

/* ---- pages -------------------------------------------------------------------------------------------------------- */

/* Bytes that a page of those entries and values takes before compression, about. */
static double page_estimate(const struct plan *plan, const struct values *v, const struct level_frame *f, uint32_t entries,
			    uint32_t value_from, uint32_t values)
{
	double bytes = (double)values_plain_bytes(v, value_from, values) * plan->coded_per_plain;
	if (f->max_rep)
		bytes += (double)entries * (encode_width(f->max_def) + encode_width(f->max_rep)) / 8;
	return bytes;
}

static double page_try(const struct encoder *e, const struct plan *plan, const struct values *v, const struct level_frame *f,
		       uint32_t rows, struct page *p)
{
	p->entry_to = levels_skip_rows(f, p->entry_from, rows, &p->rows);
	p->value_to = p->entry_to == f->entries ? v->count : p->value_from + levels_count_values(f, p->entry_from, p->entry_to);
	return page_estimate(plan, v, f, p->entry_to - p->entry_from, p->value_from, p->value_to - p->value_from);
}

/* Sets the page's ends: so many rows as the limits on rows and bytes allow, one at least. *small: pages have been small so far. */
static void page_cut(const struct encoder *e, const struct plan *plan, const struct values *v, const struct level_frame *f, bool *small,
		     struct page *p)
{
	uint32_t rows = e->opts.page_rows;
	if (*small && !f->rep && rows < UINT32_MAX / SMALL_PAGE_ROWS) {
		if (page_try(e, plan, v, f, rows * SMALL_PAGE_ROWS, p) <= SMALL_PAGE)
			return;
		*small = false;
	}
	double bytes = page_try(e, plan, v, f, rows, p);
	while (bytes > (double)e->opts.page_bytes * 1.25 && p->rows > 1) {
		double share = (double)e->opts.page_bytes / bytes;
		rows = share < 0.5 ? p->rows / 2 : (uint32_t)((double)p->rows * share);
		bytes = page_try(e, plan, v, f, rows ? rows : 1, p);
	}
}

/* ---- statistics --------------------------------------------------------------------------------------------------- */

static struct slice keep(struct arena *a, const uint8_t *bytes, size_t len)
{
	return arena_copy(a, slice_of(bytes, len));
}

/* Fills in what can be said of the bounds; the slices are copied to the arena. */
static void chunk_bounds(struct arena *a, enum value_kind kind, const struct bounds *b, struct chunk *c)
{
	uint8_t out[STAT_BYTES + 4];
	size_t len;
	if (!b->has)
		return;
	if ((c->has_min = stats_cut_lower(kind, bounds_min(b), STAT_BYTES, 0, out, &len, &c->min_exact)))
		c->min = keep(a, out, len);
	if ((c->has_max = stats_cut_upper(kind, bounds_max(b), STAT_BYTES, 0, out, &len, &c->max_exact)))
		c->max = keep(a, out, len);
}

static void statistics_of(struct arena *a, enum value_kind kind, const struct page *p, struct meta_statistics *ret)
{
	struct chunk c = { 0 };
	chunk_bounds(a, kind, &p->bounds, &c);
	*ret = (struct meta_statistics){ .null_count = (int64_t)(p->entry_to - p->entry_from) - (p->value_to - p->value_from) };
	META_SET(ret, STATISTICS_NULL_COUNT);
	if (c.has_min && c.has_max) {
		ret->min_value = c.min;
		ret->max_value = c.max;
		ret->is_min_value_exact = c.min_exact;
		ret->is_max_value_exact = c.max_exact;
		META_SET(ret, STATISTICS_MIN_VALUE);
		META_SET(ret, STATISTICS_MAX_VALUE);
		META_SET(ret, STATISTICS_IS_MIN_VALUE_EXACT);
		META_SET(ret, STATISTICS_IS_MAX_VALUE_EXACT);
	}
}

/* A page's bounds for the column index: never absent there, so a maximum that cannot be cut stays whole. */
static bool index_bounds(struct arena *a, enum value_kind kind, const struct bounds *b, struct slice *ret_min, struct slice *ret_max)
{
	struct chunk c = { 0 };
	chunk_bounds(a, kind, b, &c);
	if (!c.has_min)
		return false;
	*ret_min = c.min;
	struct slice max = bounds_max(b);
	if (!c.has_max && max.len > INDEX_BYTES_MAX)
		return false;
	*ret_max = c.has_max ? c.max : arena_copy(a, max);
	return true;
}

static int32_t boundary_order(enum value_kind kind, const struct meta_column_index *index)
{
	bool up = true, down = true;
	const struct slice *min = NULL, *max = NULL;
	for (uint32_t i = 0; i < index->null_pages.count; i++) {
		if (index->null_pages.items[i])
			continue;
		if (min) {
			int a = stats_compare(kind, *min, index->min_values.items[i]), b = stats_compare(kind, *max, index->max_values.items[i]);
			up = up && a <= 0 && b <= 0;
			down = down && a >= 0 && b >= 0;
		}
		min = &index->min_values.items[i];
		max = &index->max_values.items[i];
	}
	return up ? BOUNDARY_ASCENDING : down ? BOUNDARY_DESCENDING : BOUNDARY_UNORDERED;
}

/* Nothing is written if a page with values has no bounds (only NaN): readers would take it for empty. */
static void column_index_write(struct encoder *e, enum value_kind kind, const struct page *pages, uint32_t count, struct chunk *c)
{
	struct arena *a = &e->brief;
	struct meta_column_index index = { 0 };
	index.null_pages.items = arena_alloc(a, count * sizeof(bool));
	index.min_values.items = arena_zalloc(a, count * sizeof(struct slice));
	index.max_values.items = arena_zalloc(a, count * sizeof(struct slice));
	index.null_counts.items = arena_alloc(a, count * sizeof(int64_t));
	index.null_pages.count = index.min_values.count = index.max_values.count = index.null_counts.count = count;
	for (uint32_t i = 0; i < count; i++) {
		const struct page *p = &pages[i];
		uint32_t values = p->value_to - p->value_from;
		index.null_pages.items[i] = values == 0;
		index.null_counts.items[i] = (int64_t)(p->entry_to - p->entry_from) - values;
		if (values && !(p->bounds.has && index_bounds(a, kind, &p->bounds, &index.min_values.items[i], &index.max_values.items[i])))
			return;
	}
	index.boundary_order = boundary_order(kind, &index);
	META_SET(&index, COLUMN_INDEX_NULL_COUNTS);
	c->column_index_at = e->column_indexes.len;
	meta_column_index_encode(&index, &e->column_indexes);
	c->column_index_len = (uint32_t)(e->column_indexes.len - c->column_index_at);
}

static void offset_index_write(struct encoder *e, const struct page *pages, uint32_t count, struct chunk *c)
{
	struct meta_offset_index index = { 0 };
	index.page_locations.items = arena_zalloc(&e->brief, count * sizeof(struct meta_page_location));
	index.page_locations.count = count;
	for (uint32_t i = 0; i < count; i++) {
		struct meta_page_location *l = &index.page_locations.items[i];
		l->offset = pages[i].offset;
		l->compressed_page_size = (int32_t)pages[i].stored;
		l->first_row_index = pages[i].first_row;
	}
	c->offset_index_at = e->offset_indexes.len;
	meta_offset_index_encode(&index, &e->offset_indexes);
	c->offset_index_len = (uint32_t)(e->offset_indexes.len - c->offset_index_at);
}

/* ---- the chunk ---------------------------------------------------------------------------------------------------- */

/* Levels are compressed together with the values: where they are the larger part, compression is about them. */
static void plan_for_levels(const struct encoder *e, const struct values *v, const struct level_frame *f, struct plan *plan)
{
	size_t plain = values_plain_bytes(v, 0, v->count), levels = 0;
	if (f->def_same < 0)
		levels += (size_t)f->entries * encode_width(f->max_def) / 8;
	if (f->rep)
		levels += (size_t)f->entries * encode_width(f->max_rep) / 8;
	if (plan->codec == PARQUET_UNCOMPRESSED && levels > 64 && levels > plain / 16)
		plan->codec = e->opts.codec;
	if (plain + levels < 32 && plan->encoding != ENCODING_RLE_DICTIONARY)
		plan->codec = PARQUET_UNCOMPRESSED;
}

static void page_bounds(struct encoder *e, const struct plan *plan, const struct values *v, struct page *p)
{
	uint32_t n = p->value_to - p->value_from;
	if (plan->encoding == ENCODING_RLE_DICTIONARY) {
		buf_reset(&e->trial);
		buf_reserve(&e->trial, e->dict.count);
		const uint32_t *indices = (const uint32_t *)(const void *)e->indices.data + p->value_from;
		if (stats_find_in_dictionary(v, &e->dict, indices, n, e->trial.data, &p->bounds))
			return;
	}
	stats_find(v, p->value_from, n, &p->bounds);
}

static rc_t data_pages(struct encoder *e, const struct plan *plan, const struct values *v, const struct level_frame *levels,
		       struct chunk *c, struct bounds *bounds, struct err *reterr)
{
	struct page p = { 0 };
	bool small = true;
	buf_reset(&e->pages);
	while (p.entry_from < levels->entries) {
		page_cut(e, plan, v, levels, &small, &p);
		page_bounds(e, plan, v, &p);
		stats_merge(v->kind, bounds, &p.bounds);
		struct meta_statistics stats;
		if (!e->opts.page_index)
			statistics_of(&e->brief, v->kind, &p, &stats);
		TRY(page_write_data(e, plan, v, levels, e->opts.page_index ? NULL : &stats, &p, c, reterr));
		TRY(encoder_flush(e, FLUSH_ABOVE, reterr));
		buf_append(&e->pages, &p, sizeof p);
		c->data_pages++;
		p = (struct page){ .entry_from = p.entry_to, .value_from = p.value_to, .first_row = p.first_row + p.rows };
	}
	return RC_OK;
}

rc_t chunk_write(struct encoder *e, const struct values *v, const struct level_frame *levels, struct chunk *ret, struct bounds *ret_bounds,
		 struct err *reterr)
{
	struct chunk c = { .written = true, .offset = encoder_position(e) };
	struct bounds bounds = { 0 };
	struct plan plan;
	arena_reset(&e->brief);
	choose_plan(e, v, &plan);
	plan_for_levels(e, v, levels, &plan);
	c.codec = (uint8_t)plan.codec;
	c.encoding = (uint8_t)plan.encoding;
	if (plan.encoding == ENCODING_RLE_DICTIONARY)
		TRY(page_write_dictionary(e, &plan, &c, reterr));
	c.data_offset = encoder_position(e);
	TRY(data_pages(e, &plan, v, levels, &c, &bounds, reterr));
	c.entries = levels->entries;
	c.nulls = c.entries - v->count;
	c.nans = bounds.nans;
	chunk_bounds(&e->arena, v->kind, &bounds, &c);
	if (e->opts.page_index) {
		const struct page *pages = (const struct page *)(const void *)e->pages.data;
		column_index_write(e, v->kind, pages, c.data_pages, &c);
		offset_index_write(e, pages, c.data_pages, &c);
	}
	if (e->opts.bloom_filters)
		bloom_write(e, &plan, v, &c);
	*ret = c;
	*ret_bounds = bounds;
	return RC_OK;
}
