/* A row group on its own, for threads that encode side by side: a writer beside the file's writer, with a copy of its tree as it stood when
 * the group was reserved. Offsets in it count from the group's first byte; appending shifts them. */
#include "parquet/write_internal.h"

#define GROUPS_MAX INT16_MAX /* a row group's ordinal is 16 bits */

struct parquet_group {
	struct parquet_writer w; /* encoder, tree, outline; its sink is the group */
	struct row_group group;
	struct parquet_writer *file; /* the group is reserved in; NULL: it is not */
	struct parquet_group_options opts;
	struct buf bytes; /* encoded, not in the file yet */
	bool straight;    /* bytes go to the file's sink */
	int64_t start;    /* of the group in the file, once straight */
};

/* ---- bytes ---- */

static rc_t give(struct parquet_group *g, const void *data, size_t len, struct err *reterr)
{
	struct encoder *e = &g->file->enc;
	TRY(e->sink.write(e->sink.ctx, data, len, reterr));
	e->base += (int64_t)len;
	return RC_OK;
}

/* What waits goes to the file, and what comes from now on, too. */
static rc_t go_straight(struct parquet_group *g, struct err *reterr)
{
	TRY(encoder_flush(&g->file->enc, 0, reterr));
	g->straight = true;
	g->start = encoder_position(&g->file->enc);
	if (g->bytes.len)
		TRY(give(g, g->bytes.data, g->bytes.len, reterr));
	buf_reset(&g->bytes);
	return RC_OK;
}

static rc_t group_write(void *ctx, const void *data, size_t len, struct err *reterr)
{
	struct parquet_group *g = ctx;
	if (!g->straight && (g->bytes.len + len > g->opts.keep || (g->opts.ready && g->opts.ready(g->opts.ctx)))) {
		if (g->opts.turn)
			TRY(g->opts.turn(g->opts.ctx, reterr));
		TRY(go_straight(g, reterr));
	}
	if (g->straight)
		return give(g, data, len, reterr);
	buf_append(&g->bytes, data, len);
	return RC_OK;
}

/* ---- life ---- */

struct parquet_group *parquet_group_new(const struct parquet_writer *w, const struct parquet_group_options *opts)
{
	struct parquet_group *g = NEW(struct parquet_group);
	struct parquet_sink sink = { g, group_write };
	writer_init(&g->w, &sink, &w->enc.opts);
	buf_init(&g->bytes, SIZE_MAX / 2); /* bounded by opts.keep */
	g->opts = *opts;
	return g;
}

static void group_reset(struct parquet_group *g)
{
	free(g->group.chunks);
	free(g->group.outline);
	g->group = (struct row_group){ 0 };
	g->file = NULL;
	g->straight = false;
	struct encoder *e = &g->w.enc;
	e->base = 0;
	buf_reset(&e->out);
	buf_reset(&e->column_indexes);
	buf_reset(&e->offset_indexes);
	buf_reset(&g->bytes);
	arena_reset(&e->arena);
	arena_reset(&g->w.arena);
}

void parquet_group_free(struct parquet_group *g)
{
	if (!g)
		return;
	group_reset(g);
	writer_clear(&g->w);
	buf_free(&g->bytes);
	free(g);
}

size_t group_memory(const struct parquet_group *g)
{
	return g ? sizeof *g + parquet_writer_memory(&g->w) + g->bytes.cap : 0;
}

/* ---- reserve, encode ---- */

/* Recursion: to WRITE_DEPTH_MAX. */
static struct node *tree_copy(struct parquet_group *g, const struct node *from, struct node *parent)
{
	struct node *n = arena_alloc(&g->w.arena, sizeof *n);
	*n = *from;
	n->parent = parent;
	n->info = (struct parquet_leaf_info){ 0 };
	n->no_lower = n->no_upper = false;
	n->child_cap = from->child_count;
	n->children = arena_alloc(&g->w.arena, (from->child_count + 1) * sizeof *n->children);
	for (uint32_t i = 0; i < from->child_count; i++)
		n->children[i] = tree_copy(g, from->children[i], n);
	if (from == g->file->anchor)
		g->w.anchor = n;
	return n;
}

rc_t parquet_writer_reserve(struct parquet_writer *w, const struct batch *b, struct parquet_group *g, struct err *reterr)
{
	TRY(writer_usable(w, b->schema, reterr));
	rc_t rc = writer_mark(w, b, reterr);
	w->failed = rc != RC_OK;
	TRY(rc);
	group_reset(g);
	g->file = w;
	g->group.rows = b->rows;
	g->w.leaf_count = w->leaf_count;
	g->w.node_count = w->node_count;
	g->w.root = tree_copy(g, w->root, NULL);
	return RC_OK;
}

rc_t parquet_group_encode(struct parquet_group *g, const struct batch *b, struct err *reterr)
{
	TRY(tree_write(&g->w, b, &g->group, reterr));
	return encoder_flush(&g->w.enc, 0, reterr);
}

/* ---- append ---- */

static void bound_merge(const struct node *n, bool lower, bool *has, uint8_t *len, uint8_t *into, bool from_has, uint8_t from_len,
			const uint8_t *from)
{
	int order = from_has && *has ? stats_compare(n->type.kind, slice_of(from, from_len), slice_of(into, *len)) : 0;
	if (!from_has || (*has && (lower ? order >= 0 : order <= 0)))
		return;
	memcpy(into, from, from_len);
	*len = from_len;
	*has = true;
}

/* Adds the group's counts and bounds to the file's. Recursion: to WRITE_DEPTH_MAX. */
static void tree_account(struct parquet_writer *w, const struct node *from)
{
	for (uint32_t i = 0; i < from->child_count; i++)
		tree_account(w, from->children[i]);
	if (!from->leaf || !from->active)
		return;
	struct node *n = w->leaves[from->leaf_index];
	struct parquet_leaf_info *to = &n->info;
	const struct parquet_leaf_info *f = &from->info;
	to->column_size += f->column_size;
	to->value_count += f->value_count;
	to->null_count += f->null_count;
	to->nan_count += f->nan_count;
	n->no_lower |= from->no_lower;
	n->no_upper |= from->no_upper;
	bound_merge(n, true, &to->has_lower, &to->lower_len, to->lower, f->has_lower, f->lower_len, f->lower);
	bound_merge(n, false, &to->has_upper, &to->upper_len, to->upper, f->has_upper, f->upper_len, f->upper);
}

/* An offset index holds places in the file: it is read again and written shifted. */
static rc_t shift_offsets(struct parquet_writer *w, const struct parquet_group *g, struct chunk *c, struct err *reterr)
{
	struct slice bytes = slice_of(g->w.enc.offset_indexes.data + c->offset_index_at, c->offset_index_len);
	struct meta_offset_index index;
	struct encoder *e = &w->enc;
	arena_reset(&e->brief);
	TRY(meta_offset_index_decode(bytes, &e->brief, SIZE_MAX, &index, reterr));
	for (uint32_t i = 0; i < index.page_locations.count; i++)
		index.page_locations.items[i].offset += g->start;
	c->offset_index_at = e->offset_indexes.len;
	meta_offset_index_encode(&index, &e->offset_indexes);
	c->offset_index_len = (uint32_t)(e->offset_indexes.len - c->offset_index_at);
	return RC_OK;
}

static rc_t adopt_chunk(struct parquet_writer *w, const struct parquet_group *g, struct chunk *c, struct err *reterr)
{
	struct encoder *e = &w->enc;
	c->offset += g->start;
	c->data_offset += g->start;
	c->min = arena_copy(&e->arena, c->min);
	c->max = arena_copy(&e->arena, c->max);
	if (c->column_index_len) {
		const uint8_t *bytes = g->w.enc.column_indexes.data + c->column_index_at;
		c->column_index_at = e->column_indexes.len;
		buf_append(&e->column_indexes, bytes, c->column_index_len);
	}
	return c->offset_index_len ? shift_offsets(w, g, c, reterr) : RC_OK;
}

static rc_t adopt_group(struct parquet_writer *w, struct parquet_group *g, struct err *reterr)
{
	struct row_group *from = &g->group;
	if (w->group_count >= GROUPS_MAX)
		return err_set(reterr, RC_LIMIT, "a Parquet file holds at most %d row groups: write larger ones", GROUPS_MAX);
	if (!g->straight)
		TRY(go_straight(g, reterr));
	from->start += g->start;
	for (uint32_t i = 0; i < from->chunk_count; i++)
		if (from->chunks[i].written)
			TRY(adopt_chunk(w, g, &from->chunks[i], reterr));
	for (uint32_t i = 0; i < from->outline_count; i++) {
		struct outline_entry *o = &from->outline[i];
		o->bits = o->bits.data ? arena_copy(&w->arena, o->bits) : o->bits;
		o->offsets = o->offsets.data ? arena_copy(&w->arena, o->offsets) : o->offsets;
	}
	tree_account(w, g->w.root);
	if (w->group_count == w->group_cap) {
		w->group_cap = w->group_cap ? 2 * w->group_cap : 8;
		w->groups = mem_realloc(w->groups, w->group_cap * sizeof *w->groups);
	}
	w->groups[w->group_count++] = *from;
	w->rows += from->rows;
	*from = (struct row_group){ 0 };
	group_reset(g);
	return RC_OK;
}

rc_t parquet_writer_append(struct parquet_writer *w, struct parquet_group *g, struct err *reterr)
{
	TRY(writer_usable(w, w->schema, reterr));
	rc_t rc = adopt_group(w, g, reterr);
	w->failed = rc != RC_OK;
	return rc;
}
