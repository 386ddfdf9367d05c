/* The writer's tree of nodes, one a field: which leaves are in the file, and the walk that turns a batch (or, for columns that came
 * late, a row group's outline) into column chunks. */
#include "parquet/write_internal.h"

#define ENTRIES_MAX ((uint64_t)INT32_MAX) /* of a chunk: pages count in 32 bits */

/* ---- nodes -------------------------------------------------------------------------------------------------------- */

struct node *node_new(struct parquet_writer *w, const struct field *f, struct node *parent)
{
	struct node *n = arena_zalloc(&w->arena, sizeof *n);
	bool map_key = parent && parent->field->type == TYPE_MAP && f->index == 0;
	n->field = f;
	n->parent = parent;
	n->ordinal = w->node_count++;
	n->leaf = leaf_type_of(f, &n->type);
	n->optional = parent && !f->required && !map_key;
	unsigned repeated = f->type == TYPE_LIST || f->type == TYPE_MAP;
	n->max_def = (uint8_t)((parent ? parent->max_def : 0) + n->optional + repeated);
	n->max_rep = (uint8_t)((parent ? parent->max_rep : 0) + repeated);
	n->leaf_index = UINT32_MAX;
	return n;
}

static unsigned node_depth(const struct node *n)
{
	unsigned depth = 0;
	for (; n->parent; n = n->parent)
		depth++;
	return depth;
}

static rc_t node_sync(struct parquet_writer *w, struct node *n, struct err *reterr)
{
	const struct field *f = n->field;
	if (n->leaf || n->child_count == f->child_count)
		return RC_OK;
	if (node_depth(n) >= WRITE_DEPTH_MAX)
		return err_set(reterr, RC_LIMIT, "column '%.*s' is nested more than %d deep: store it as text", SLICE_ARG(f->name), WRITE_DEPTH_MAX);
	if (f->child_count > n->child_cap) {
		uint32_t cap = n->child_cap ? 2 * n->child_cap : 4;
		while (cap < f->child_count)
			cap *= 2;
		struct node **children = arena_alloc(&w->arena, cap * sizeof *children);
		if (n->child_count)
			memcpy(children, n->children, n->child_count * sizeof *children);
		n->children = children;
		n->child_cap = cap;
	}
	for (; n->child_count < f->child_count; n->child_count++) {
		const struct field *child = f->children[n->child_count];
		if (child->type == TYPE_FIXED && (child->length == 0 || child->length > INT32_MAX))
			return err_set(reterr, RC_INVALID, "column '%.*s' has fixed values of %u bytes", SLICE_ARG(child->name), child->length);
		n->children[n->child_count] = node_new(w, child, n);
	}
	return RC_OK;
}

static void activate(struct parquet_writer *w, struct node *leaf)
{
	if (leaf->active)
		return;
	if (w->leaf_count == w->leaf_cap) {
		w->leaf_cap = w->leaf_cap ? 2 * w->leaf_cap : 64;
		w->leaves = mem_realloc(w->leaves, w->leaf_cap * sizeof *w->leaves);
	}
	leaf->leaf_index = w->leaf_count;
	w->leaves[w->leaf_count++] = leaf;
	for (struct node *n = leaf; n; n = n->parent)
		n->active = true;
}

bool node_activate_first(struct parquet_writer *w, struct node *n)
{
	if (n->leaf) {
		activate(w, n);
		return true;
	}
	for (uint32_t i = 0; i < n->child_count; i++)
		if (node_activate_first(w, n->children[i]))
			return true;
	return false;
}

static const struct column *child_column(const struct column *c, const struct node *child)
{
	return c && child->field->index < c->child_count ? &c->children[child->field->index] : NULL;
}

/* always: the ancestors and the node are required, so that every row has a value. */
static rc_t mark(struct parquet_writer *w, struct node *n, const struct column *c, bool always, struct err *reterr)
{
	if (n->leaf) {
		if ((c && c->values) || always)
			activate(w, n);
		return RC_OK;
	}
	TRY(node_sync(w, n, reterr));
	bool repeated = n->field->type != TYPE_STRUCT;
	for (uint32_t i = 0; i < n->child_count; i++) {
		struct node *child = n->children[i];
		TRY(mark(w, child, child_column(c, child), always && !repeated && !child->optional, reterr));
	}
	if (!repeated)
		return RC_OK;
	if (c && c->values)
		n->present = true;
	for (uint32_t i = 0; n->present && i < n->child_count; i++)
		if (!n->children[i]->active)
			node_activate_first(w, n->children[i]);
	return RC_OK;
}

rc_t tree_mark(struct parquet_writer *w, const struct batch *b, struct err *reterr)
{
	return mark(w, w->root, b ? &b->root : NULL, true, reterr);
}

struct node *node_child_in_order(const struct parquet_writer *w, const struct node *n, uint32_t i)
{
	const struct node *first = w->anchor;
	while (first && first->parent != n)
		first = first->parent;
	if (!first)
		return n->children[i];
	uint32_t at = first->field->index;
	return i == 0 ? n->children[at] : n->children[i <= at ? i - 1 : i];
}

/* ---- the walk ----------------------------------------------------------------------------------------------------- */

struct walk {
	struct parquet_writer *w;
	struct row_group *group;
	const struct outline_entry **outline; /* by node ordinal; NULL: the batch is there */
	struct err *reterr;
};

static rc_t inconsistent(const struct walk *k, const struct node *n, const char *what)
{
	char path[256];
	field_path(n->field, path, sizeof path);
	return err_set(k->reterr, RC_INVALID, "column '%s' of the batch %s", path, what);
}

/* The column's arrays say what the writer is about to believe. */
static rc_t check_column(const struct walk *k, const struct node *n, const struct column *c, uint32_t slots)
{
	if (c->slots != slots || c->values > c->slots)
		return inconsistent(k, n, "is not sealed");
	if (c->data.overflow)
		return err_set(k->reterr, RC_LIMIT, "column '%.*s' is over 2 GiB: write smaller row groups", SLICE_ARG(n->field->name));
	bool offsets = n->leaf ? !n->type.width : n->field->type != TYPE_STRUCT;
	if (offsets && !c->offsets)
		return inconsistent(k, n, "has no offsets");
	if (n->leaf && c->data.len != (offsets ? c->offsets[c->values] : (size_t)c->values * field_width(n->field)))
		return inconsistent(k, n, "has more or fewer bytes than its values");
	return RC_OK;
}

static void values_of(const struct node *n, const struct column *c, struct values *ret)
{
	static const uint32_t none[1] = { 0 };
	*ret = (struct values){ .kind = n->type.kind, .width = n->type.width, .data = (const uint8_t *)"", .offsets = none };
	if (!c)
		return;
	ret->count = c->values;
	ret->offsets = c->offsets;
	if (c->data.data)
		ret->data = c->data.data;
}

/* Adds the chunk's counts and bounds to the leaf's. Bounds are kept in the stored form until finish. */
static void leaf_account(struct node *n, const struct chunk *c, const struct bounds *b)
{
	struct parquet_leaf_info *info = &n->info;
	info->column_size += c->compressed;
	info->value_count += c->entries;
	info->null_count += c->nulls;
	info->nan_count += c->nans;
	if (!b->has)
		return;
	uint8_t out[PARQUET_BOUND_MAX + 4];
	size_t len;
	bool exact;
	if (!stats_cut_lower(n->type.kind, bounds_min(b), PARQUET_BOUND_MAX, 16, out, &len, &exact) || len > PARQUET_BOUND_MAX) {
		n->no_lower = true;
	} else if (!info->has_lower || stats_compare(n->type.kind, slice_of(out, len), slice_of(info->lower, info->lower_len)) < 0) {
		memcpy(info->lower, out, len);
		info->lower_len = (uint8_t)len;
		info->has_lower = true;
	}
	if (!stats_cut_upper(n->type.kind, bounds_max(b), PARQUET_BOUND_MAX, 16, out, &len, &exact) || len > PARQUET_BOUND_MAX) {
		n->no_upper = true;
	} else if (!info->has_upper || stats_compare(n->type.kind, slice_of(out, len), slice_of(info->upper, info->upper_len)) > 0) {
		memcpy(info->upper, out, len);
		info->upper_len = (uint8_t)len;
		info->has_upper = true;
	}
}

/* Decimals over 18 digits are stored big-endian, as short as their precision allows. */
static rc_t convert_decimals(const struct walk *k, const struct node *n, struct values *v)
{
	struct buf *b = &k->w->enc.convert;
	buf_reset(b);
	buf_reserve(b, (size_t)v->count * v->width + 16);
	if (!encode_decimal(b->data, v->data, v->count, v->width))
		return inconsistent(k, n, "holds a decimal with more digits than its precision");
	v->data = b->data;
	return RC_OK;
}

static rc_t write_leaf(const struct walk *k, struct node *n, const struct column *c, const struct level_frame *frame)
{
	struct row_group *g = k->group;
	struct values v;
	struct bounds bounds;
	values_of(n, c, &v);
	if (v.kind == VALUE_DECIMAL && v.count)
		TRY(convert_decimals(k, n, &v));
	if (g->chunk_count <= n->leaf_index) {
		uint32_t count = k->w->leaf_count;
		g->chunks = mem_realloc(g->chunks, count * sizeof *g->chunks);
		memset(g->chunks + g->chunk_count, 0, (count - g->chunk_count) * sizeof *g->chunks);
		g->chunk_count = count;
	}
	struct chunk *chunk = &g->chunks[n->leaf_index];
	TRY(chunk_write(&k->w->enc, &v, frame, chunk, &bounds, k->reterr));
	leaf_account(n, chunk, &bounds);
	return RC_OK;
}

static rc_t walk_children(const struct walk *k, struct node *n, const struct column *c, uint32_t slots, const struct level_frame *frame,
			  unsigned depth);

/* The group's column, from the batch or from the outline; NULL if it has no instance. */
static rc_t find_column(const struct walk *k, const struct node *n, const struct column *parent, unsigned depth, const struct column **ret)
{
	const struct column *c = NULL;
	if (!k->outline) {
		c = child_column(parent, n);
	} else if (!n->leaf && k->outline[n->ordinal]) {
		struct column *into = &k->w->loaded[depth];
		TRY(outline_load(k->outline[n->ordinal], &k->w->enc, into, k->reterr));
		c = into;
	}
	*ret = c && c->values ? c : NULL;
	return RC_OK;
}

/* n below `frame`, whose entries at max_def are the `slots` slots of n's column. */
static rc_t walk_node(const struct walk *k, struct node *n, const struct column *parent, uint32_t slots, const struct level_frame *frame,
		      unsigned depth)
{
	struct level_frame *mine = &k->w->frames[2 * depth];
	const struct column *c;
	TRY(find_column(k, n, parent, depth, &c));
	if (c)
		TRY(check_column(k, n, c, slots));
	uint32_t values = c ? c->values : 0;
	bool repeated = !n->leaf && n->field->type != TYPE_STRUCT;
	if (!n->optional && values != slots)
		return inconsistent(k, n, "is required but has rows without a value");
	if (!c)
		levels_absent(mine, frame, n->max_def, n->max_rep);
	else if (n->optional)
		levels_optional(mine, frame, c->present, slots, values, n->leaf);
	else
		levels_absent(mine, frame, frame->max_def, frame->max_rep); /* required: the parent's levels as they are */
	if (n->leaf)
		return write_leaf(k, n, c, mine);
	if (!c)
		return walk_children(k, n, NULL, 0, mine, depth + 1);
	if (!repeated)
		return walk_children(k, n, c, values, mine, depth + 1);
	if ((uint64_t)mine->entries + c->offsets[values] > ENTRIES_MAX)
		return err_set(k->reterr, RC_LIMIT, "the lists of column '%.*s' have over 2^31 elements: write smaller row groups",
			       SLICE_ARG(n->field->name));
	struct level_frame *elements = &k->w->frames[2 * depth + 1];
	levels_repeated(elements, mine, c->offsets, values);
	return walk_children(k, n, c, c->offsets[values], elements, depth + 1);
}

static rc_t walk_children(const struct walk *k, struct node *n, const struct column *c, uint32_t slots, const struct level_frame *frame,
			  unsigned depth)
{
	for (uint32_t i = 0; i < n->child_count; i++) {
		struct node *child = node_child_in_order(k->w, n, i);
		if (child->wanted)
			TRY(walk_node(k, child, c, slots, frame, depth));
	}
	return RC_OK;
}

/* Sets `wanted` on the active leaves that g has no chunk of, and above them; returns whether there is one. */
static bool want_missing(struct node *n, const struct row_group *g)
{
	n->wanted = false;
	if (!n->active)
		return false;
	if (n->leaf)
		return n->wanted = n->leaf_index >= g->chunk_count || !g->chunks[n->leaf_index].written;
	for (uint32_t i = 0; i < n->child_count; i++)
		n->wanted |= want_missing(n->children[i], g);
	return n->wanted;
}

static rc_t outline_tree(const struct walk *k, const struct node *n, const struct column *c)
{
	for (uint32_t i = 0; i < n->child_count; i++) {
		const struct node *child = n->children[i];
		const struct column *cc = child_column(c, child);
		if (child->leaf || !cc || !cc->values)
			continue;
		TRY(outline_add(k->group, &k->w->enc, &k->w->arena, child->ordinal, cc, k->reterr));
		TRY(outline_tree(k, child, cc));
	}
	return RC_OK;
}

static rc_t walk_root(const struct walk *k, const struct column *root)
{
	/* the rows are the root's slots; frames[0] is the root's, its children start at depth 1 */
	struct level_frame *frame = &k->w->frames[0];
	levels_root(frame, (uint32_t)k->group->rows);
	return walk_children(k, k->w->root, root, (uint32_t)k->group->rows, frame, 1);
}

rc_t tree_write(struct parquet_writer *w, const struct batch *b, struct row_group *g, struct err *reterr)
{
	struct walk k = { .w = w, .group = g, .reterr = reterr };
	want_missing(w->root, g);
	TRY(walk_root(&k, &b->root));
	return outline_tree(&k, w->root, &b->root);
}

rc_t tree_complete(struct parquet_writer *w, struct row_group *g, struct err *reterr)
{
	if (!want_missing(w->root, g))
		return RC_OK;
	const struct outline_entry **by_ordinal = mem_zalloc(w->node_count, sizeof *by_ordinal);
	for (uint32_t i = 0; i < g->outline_count; i++)
		by_ordinal[g->outline[i].ordinal] = &g->outline[i];
	struct walk k = { .w = w, .group = g, .outline = by_ordinal, .reterr = reterr };
	bool empty = g->chunk_count == 0;
	int64_t at = encoder_position(&w->enc);
	rc_t rc = walk_root(&k, NULL);
	if (empty)
		g->start = at;
	free(by_ordinal);
	return rc;
}
