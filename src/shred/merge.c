/* Forking a shredder, and bringing a fork's schema, key table and rows into the file's. */
#include "shred/merge.h"

#include <stdio.h>

#include "shred/evolve_internal.h"
#include "shred/shred_internal.h"

/* ---- forks ---- */

/* k: a new table. */
static void keys_copy(struct shape_keys *k, const struct shape_keys *from)
{
	uint32_t count = shape_edge_count(from);
	for (uint32_t i = shape_edge_count(k); i < count; i++) {
		const struct shape_edge *e = shape_edge_at(from, i);
		shape_edge_add(k, e->from, e->kind, e->class, slice_of(e->lit, (size_t)e->len + e->sep + e->close), e->sep, e->close);
	}
	for (uint32_t i = 0; i < count; i++) { /* hints, so that the fork predicts as well */
		const struct shape_edge *e = shape_edge_at(from, i);
		struct shape_edge *to = shape_edge_at(k, i);
		memcpy(to->next, e->next, sizeof to->next);
		to->twin = e->twin;
	}
}

struct shredder *shredder_fork(const struct shredder *from)
{
	struct shred_options opt = from->opt;
	opt.time_field = from->time_path;
	struct shredder *s;
	struct err err;
	if (shredder_new(&opt, from->schema, &s, &err) != RC_OK)
		abort(); /* the schema has been through shredder_new before */
	keys_copy(s->keys, from->keys);
	shred_bind(s);
	fold_copy(s, from);
	for (uint32_t i = 0; i < from->map_like_cap; i++)
		if (from->map_like[i])
			shred_map_like(s, i);
	s->row.seed = from->row.seed;
	return s;
}

void shred_edges_free(struct shred_edges *e)
{
	free(e->edges);
	*e = (struct shred_edges){ 0 };
}

/* ---- which field of the file is a fork's field ---- */

static bool is_payload(const struct field *f)
{
	return f->role == ROLE_PAYLOAD || f->role == ROLE_SIBLING;
}

/* Would their values stand in the same place of a document? */
static bool same_place(const struct field *a, const struct field *b)
{
	if (a->parent->type != TYPE_STRUCT)
		return a->index == b->index;
	if (is_payload(a))
		return is_payload(b) && place_of(a) == place_of(b) && slice_eq(a->key, b->key);
	return a->role == b->role && (a->role != ROLE_VALUE || place_of(a) == place_of(b));
}

static bool same_kind(const struct field *a, const struct field *b)
{
	return a->type == b->type && a->precision == b->precision && a->scale == b->scale && a->format == b->format &&
	       a->length == b->length && a->required == b->required;
}

/* The child of `parent` (of the file's schema) for f; NULL: there is none. */
static struct field *match(const struct field *parent, const struct field *f)
{
	if (f->index < parent->child_count && same_place(parent->children[f->index], f))
		return parent->children[f->index]; /* nearly always */
	for (uint32_t i = 0; i < parent->child_count; i++)
		if (same_place(parent->children[i], f))
			return parent->children[i];
	return NULL;
}

/* ---- schema ---- */

/* Counts the leaves that the file lacks. Recursion, here and below: by the depth of the schema, which typed_depth limits. */
static bool compatible(const struct field *to, const struct field *from, uint32_t *ret_new)
{
	for (uint32_t i = 0; i < from->child_count; i++) {
		const struct field *f = from->children[i], *have = to ? match(to, f) : NULL;
		if (have && !same_kind(have, f))
			return false;
		*ret_new += !have && !type_is_nested(f->type);
		if (!compatible(have, f, ret_new))
			return false;
	}
	return true;
}

static struct field *main_of(const struct field *parent, const struct field *f)
{
	for (uint32_t i = 0; i < parent->child_count; i++) {
		struct field *c = parent->children[i];
		if (f->role == ROLE_VALUE ? c->role == ROLE_VALUE && names_base(c).len == c->name.len
					  : c->role == ROLE_PAYLOAD && slice_eq(c->key, f->key))
			return c;
	}
	return NULL;
}

/* The base of the names of f's key in the file. */
static struct slice base_name(struct names *names, struct schema *schema, const struct field *parent, const struct field *f)
{
	for (uint32_t i = 0; i < parent->child_count; i++) {
		const struct field *c = parent->children[i];
		if (f->role == ROLE_VALUE ? c->role == ROLE_VALUE : is_payload(c) && slice_eq(c->key, f->key))
			return c->role == ROLE_PAYLOAD ? c->name : names_base(c);
	}
	return names_choose(names, schema, parent, f->role == ROLE_VALUE ? SLICE_LIT("value") : f->key);
}

static struct field *add_field(struct names *names, struct schema *schema, struct field *parent, const struct field *f)
{
	char name[NAME_MAX_BYTES + 64];
	bool sibling = f->role == ROLE_SIBLING || (f->role == ROLE_VALUE && names_base(f).len != f->name.len);
	if (parent->type != TYPE_STRUCT || !(is_payload(f) || f->role == ROLE_VALUE)) {
		struct slice plain = parent->type != TYPE_STRUCT ? f->name : names_choose(names, schema, parent, f->name);
		snprintf(name, sizeof name, "%.*s", SLICE_ARG(plain));
	} else {
		/* What was the fork's first kind for the key may be a second one here. */
		sibling |= main_of(parent, f) != NULL;
		struct slice base = base_name(names, schema, parent, f);
		snprintf(name, sizeof name, sibling ? "%.*s__%s" : "%.*s", SLICE_ARG(base), names_suffix(place_of(f)));
		size_t len = strlen(name);
		for (int i = 2; sibling && field_child(parent, slice_str(name)); i++)
			snprintf(name + len, sizeof name - len, "_%d", i);
	}
	struct field *made = schema_add(schema, parent, slice_str(name), f->type);
	field_copy_kind(schema, made, f);
	if (is_payload(f) && parent->type == TYPE_STRUCT)
		made->role = sibling ? ROLE_SIBLING : ROLE_PAYLOAD;
	return made;
}

static void add_fields(struct names *names, struct schema *schema, struct field *to, const struct field *from)
{
	for (uint32_t i = 0; i < from->child_count; i++) {
		const struct field *f = from->children[i];
		struct field *have = match(to, f);
		add_fields(names, schema, have ? have : add_field(names, schema, to, f), f);
	}
}

static rc_t merge_schema(struct shredder *into, const struct shredder *fork, bool again)
{
	uint32_t fresh = 0;
	if (!compatible(into->schema->root, fork->schema->root, &fresh))
		return RC_CONFLICT;
	if (!again && fresh && into->schema->leaf_count + fresh > into->opt.leaf_budget)
		return RC_CONFLICT;
	struct names names;
	names_init(&names, into->schema);
	add_fields(&names, into->schema, into->schema->root, fork->schema->root);
	names_free(&names);
	return RC_OK;
}

/* ---- key table ---- */

/* The numbers of members that an OPTIONS edge has, which stand in front of it. */
static struct slice renumber_options(struct slice numbers, const struct shred_edges *edges, struct buf *out)
{
	size_t pos = 0;
	uint64_t edge;
	buf_reset(out);
	while (slice_varint(numbers, &pos, &edge))
		buf_varint(out, edge < edges->first ? edge : edges->edges[edge - edges->first]);
	return buf_slice(out);
}

static rc_t merge_keys(struct shredder *into, const struct shredder *fork, uint32_t first, struct shred_edges *ret)
{
	uint32_t count = shape_edge_count(fork->keys), nodes = shape_node_count(fork->keys);
	struct shred_edges map = { .first = first, .count = count - first, .same = true };
	map.edges = mem_alloc((map.count + 1) * sizeof *map.edges);
	uint32_t *node = mem_alloc(nodes * sizeof *node); /* of the file, by the fork's number */
	for (uint32_t i = 0; i < nodes; i++)
		node[i] = i; /* those that the fork began with */
	bool full = false;
	AUTO_BUF struct buf numbers;
	buf_init(&numbers, SHAPE_LITERAL_MAX);
	for (uint32_t i = 0; i < map.count && !full; i++) {
		const struct shape_edge *e = shape_edge_at(fork->keys, first + i);
		struct slice lit = slice_of(e->lit, (size_t)e->len + e->sep + e->close);
		if (e->kind == EDGE_OPTIONS)
			lit = renumber_options(lit, &map, &numbers);
		uint32_t id = shape_edge_add(into->keys, node[e->from], e->kind, e->class, lit, e->sep, e->close);
		full = id == SHAPE_NONE;
		if (!full && e->to != SHAPE_NONE)
			node[e->to] = shape_edge_at(into->keys, id)->to;
		map.edges[i] = id;
		map.same &= id == first + i;
	}
	free(node);
	if (full) {
		free(map.edges);
		return RC_CONFLICT;
	}
	*ret = map;
	return RC_OK;
}

rc_t shredder_merge(struct shredder *into, const struct shredder *fork, uint32_t first_edge, bool again, struct shred_edges *ret)
{
	TRY(merge_schema(into, fork, again));
	return merge_keys(into, fork, first_edge, ret);
}

/* ---- rows ---- */

static void renumber_shape(struct slice shape, const struct shred_edges *edges, struct buf *out)
{
	const uint8_t *at = shape.data + 5, *end = shape.data + shape.len, *kept = shape.data; /* 5: key space and dialect */
	if (!buf_reserve(out, 5 + 3 * shape.len))
		return;
	uint8_t *to = out->data + out->len;
	while (at < end) {
		const uint8_t *from = at;
		uint32_t edge = shape_get_edge(&at);
		if (edge < edges->first)
			continue;
		memcpy(to, kept, (size_t)(from - kept));
		to = shape_put_edge(to + (from - kept), edges->edges[edge - edges->first]);
		kept = at;
	}
	memcpy(to, kept, (size_t)(end - kept));
	out->len = (size_t)(to + (end - kept) - out->data);
}

void shredder_renumber(const struct shredder *fork, struct batch *b, const struct shred_edges *edges)
{
	uint32_t at = fork->own.shape->index;
	if (edges->same || at >= b->root.child_count)
		return;
	struct column *c = &b->root.children[at];
	struct buf out;
	buf_init(&out, c->data.max);
	buf_reserve(&out, c->data.len + c->data.len / 16);
	uint32_t from = 0;
	for (uint32_t i = 0; i < c->values; i++) {
		uint32_t to = c->offsets[i + 1];
		renumber_shape(slice_of(c->data.data + from, to - from), edges, &out);
		c->offsets[i + 1] = (uint32_t)out.len;
		from = to;
	}
	buf_free(&c->data);
	c->data = out;
}

static void view_column(const struct column *c, const struct field *from, const struct field *to, struct column *ret)
{
	*ret = *c;
	ret->field = to;
	ret->child_count = to->child_count;
	ret->children = to->child_count ? mem_alloc(to->child_count * sizeof *ret->children) : NULL;
	for (uint32_t i = 0; i < to->child_count; i++)
		column_init(&ret->children[i], to->children[i]);
	for (uint32_t i = 0; i < c->child_count; i++) {
		const struct field *f = from->children[i], *have = match(to, f);
		view_column(&c->children[i], f, have, &ret->children[have->index]);
	}
}

void shredder_view(const struct shredder *into, const struct shredder *fork, const struct batch *b, struct batch *ret)
{
	*ret = (struct batch){ .schema = into->schema, .rows = b->rows, .adopted = into->schema->field_count };
	view_column(&b->root, fork->schema->root, into->schema->root, &ret->root);
}

static void view_column_free(struct column *c)
{
	for (uint32_t i = 0; i < c->child_count; i++)
		view_column_free(&c->children[i]);
	free(c->children);
}

void shredder_view_free(struct batch *view)
{
	view_column_free(&view->root);
	*view = (struct batch){ 0 };
}

static void adopt_column(struct column *c, const struct field *f)
{
	uint32_t keep = c->child_count < f->child_count ? c->child_count : f->child_count;
	for (uint32_t i = 0; i < c->child_count; i++) {
		struct column *child = &c->children[i];
		if (i < keep && child->field->type == f->children[i]->type) {
			adopt_column(child, f->children[i]);
			continue;
		}
		column_free(child);
		if (i < keep)
			column_init(child, f->children[i]);
	}
	c->field = f;
	c->child_count = keep;
}

void shredder_adopt_batch(const struct shredder *s, struct batch *b)
{
	adopt_column(&b->root, s->schema->root);
	b->schema = s->schema;
	batch_adopt_schema(b);
}

/* ---- accounts ---- */

static void add_shapes(struct shredder *into, const struct shredder *fork, const struct batch *b, bool same)
{
	uint32_t at = fork->own.shape->index;
	if (same) {
		for (size_t i = 0; fork->shapes && i < SHAPES_COUNTED * 2; i++)
			if (fork->shapes[i])
				shred_count_shape(into, fork->shapes[i]);
	} else if (at < b->root.child_count) {
		const struct column *c = &b->root.children[at];
		for (uint32_t i = 0; i < c->values; i++)
			shred_count_shape(into, shred_shape_hash(into, column_bytes_at(c, i)));
	}
}

void shredder_add_stats(struct shredder *into, const struct shredder *fork, const struct batch *b, bool same)
{
	struct shred_stats *to = &into->stats;
	const struct shred_stats *st = &fork->stats;
	to->rows += st->rows;
	to->direct += st->direct;
	to->raw_rows += st->raw_rows;
	to->rest_rows += st->rest_rows;
	to->quarantined += st->quarantined;
	to->inferences += st->inferences;
	to->checked += st->checked;
	to->check_ns += st->check_ns;
	to->mismatches += st->mismatches;
	to->conflicts += st->conflicts;
	to->late += st->late;
	for (size_t i = 0; i < sizeof to->dialects / sizeof *to->dialects; i++)
		to->dialects[i] += st->dialects[i];
	to->raw_number += st->raw_number;
	to->raw_string += st->raw_string;
	to->raw_duplicate += st->raw_duplicate;
	to->raw_shape += st->raw_shape;
	to->raw_other += st->raw_other;
	add_shapes(into, fork, b, same);
}

size_t shredder_weight(const struct shredder *s)
{
	/* An edge with its literal and its place in the map; a node with its key, place and bind; a field. */
	return (size_t)shape_edge_count(s->keys) * 240 + (size_t)shape_node_count(s->keys) * 400 + (size_t)s->schema->field_count * 200;
}
