/* One column chunk of one read: where to start, its dictionary, its pages, and whether it agrees with the columns beside it. */
#include "parquet/reader_internal.h"

static void shadow_reset(struct column *c)
{
	if (c->present)
		memset(c->present, 0, ((size_t)c->slots + 63) / 64 * 8);
	if (c->offsets)
		c->offsets[0] = 0;
	c->slots = c->values = 0;
}

/* Fields that a column beside has filled are built again in a shadow, and must come out the same. */
static void sink_open(struct parquet_reader *r, const struct leaf *l, struct batch *b, struct level_sink *s)
{
	struct column *at = &b->root;
	for (uint32_t k = 0; k < l->path_len; k++) {
		at = &at->children[l->path[k].field->index];
		if (r->seen[l->path[k].ordinal]) {
			shadow_reset(&r->shadow[k]);
			s->columns[k] = &r->shadow[k];
		} else {
			s->columns[k] = at;
		}
	}
}

static bool same_structure(const struct column *a, const struct column *b, bool list)
{
	if (a->slots != b->slots || a->values != b->values)
		return false;
	size_t words = ((size_t)a->slots + 63) / 64;
	if (words && memcmp(a->present, b->present, words * 8) != 0)
		return false;
	return !list || !a->values || memcmp(a->offsets, b->offsets, ((size_t)a->values + 1) * sizeof *a->offsets) == 0;
}

static rc_t sink_close(struct parquet_reader *r, const struct leaf *l, struct batch *b, struct level_sink *s, struct err *reterr)
{
	struct column *at = &b->root;
	bool alike = alike_whole(s);
	if (!alike)
		TRY(alike_leave(r, s, reterr));
	for (uint32_t k = 0; k < l->path_len; k++) {
		at = &at->children[l->path[k].field->index];
		if (!alike && s->columns[k] != at && !same_structure(at, s->columns[k], l->path[k].list))
			return err_set(reterr, RC_CORRUPT, "its levels contradict those of the columns beside it at %.*s",
				       SLICE_ARG(l->path[k].field->name));
		r->seen[l->path[k].ordinal] = 1;
	}
	r->batch_left += s->lent;
	return RC_OK;
}

static rc_t dictionary_page(struct parquet_reader *r, const struct leaf *l, const struct page *p, bool first, struct err *reterr)
{
	if (!first || r->has_dict)
		return err_set(reterr, RC_CORRUPT, "a dictionary page stands behind data");
	return values_dictionary(r, l, p, reterr);
}

/* Moves to the page that holds row_from, past the dictionary, and limits reading ahead to the range. */
static rc_t chunk_seek(struct chunk *c, struct level_sink *s, uint32_t row_group, struct err *reterr)
{
	const struct meta_offset_index *index;
	TRY(reader_offset_index(c->r, row_group, c->leaf, &index, reterr));
	if (!index || !index->page_locations.count)
		return RC_OK;
	const struct meta_page_location *p = index->page_locations.items;
	uint32_t n = index->page_locations.count, from = 0, to;
	while (from + 1 < n && (uint64_t)p[from + 1].first_row_index <= s->row_from)
		from++;
	for (to = from; to < n && (uint64_t)p[to].first_row_index < s->row_to; to++)
		;
	/* Pages of an indexed chunk begin with rows, so the range ends where page `to` begins. */
	c->stop = to < n ? (uint64_t)p[to].offset : (uint64_t)p[n - 1].offset + 1;
	if (to < n)
		c->prefer_end = c->stop;
	if (from == 0)
		return RC_OK;
	if (c->pos < (uint64_t)p[0].offset) {
		struct page dict;
		uint64_t end = c->prefer_end;
		c->prefer_end = (uint64_t)p[0].offset;
		TRY(chunk_next_page(c, &dict, reterr));
		if (dict.header.type == PAGE_DICTIONARY)
			TRY(dictionary_page(c->r, c->leaf, &dict, true, reterr));
		c->prefer_end = end;
	}
	c->pos = (uint64_t)p[from].offset;
	s->row = (uint64_t)p[from].first_row_index;
	return RC_OK;
}

static rc_t read_pages(struct chunk *c, struct level_sink *s, struct err *reterr)
{
	struct parquet_reader *r = c->r;
	const struct leaf *l = c->leaf;
	struct column *out = s->columns[l->path_len - 1];
	uint64_t left = (uint64_t)c->meta->num_values;
	bool first = true;
	while (left && !s->done && c->pos < c->stop) {
		struct page p;
		rc_t rc = chunk_next_page(c, &p, reterr);
		if (rc == RC_EOF)
			return err_set(reterr, RC_CORRUPT, "the column chunk ends before all of its values");
		if (rc != RC_OK)
			return rc;
		if (p.header.type == PAGE_DICTIONARY) {
			TRY(dictionary_page(r, l, &p, first, reterr));
			continue;
		}
		first = false;
		if (p.entries > left)
			return err_set(reterr, RC_CORRUPT, "the column chunk has more values than its footer says");
		left -= p.entries;
		size_t skip, take, total;
		TRY(alike_apply(r, s, &p, &skip, &take, &total, reterr));
		TRY(values_append(r, l, &p, skip, take, total, out, reterr));
	}
	return RC_OK;
}

rc_t reader_column_read(struct parquet_reader *r, uint32_t row_group, const struct leaf *l, uint32_t row_from, uint32_t row_to,
			struct batch *ret, struct err *reterr)
{
	uint64_t rows = (uint64_t)r->meta.row_groups.items[row_group].num_rows;
	struct chunk c;
	struct level_sink s = { .leaf = l, .row_from = row_from, .row_to = row_to };
	if (l->refused)
		return err_set(reterr, RC_UNSUPPORTED, "%s: not supported; leave the column out", l->refused);
	TRY(chunk_open(r, row_group, l, &c, reterr));
	if (c.meta->num_values > INT32_MAX)
		return err_set(reterr, RC_LIMIT, "the column chunk has more than 2^31 values");
	r->has_dict = false;
	sink_open(r, l, ret, &s);
	if (row_from > 0 || row_to < rows)
		TRY(chunk_seek(&c, &s, row_group, reterr));
	TRY(read_pages(&c, &s, reterr));
	if (s.row < row_to || (row_to == rows && s.row != rows))
		return err_set(reterr, RC_CORRUPT, "the column chunk has %llu rows where the row group has %llu", (unsigned long long)s.row,
			       (unsigned long long)rows);
	return sink_close(r, l, ret, &s, reterr);
}
