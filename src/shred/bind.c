/* Nodes -> what the parser needs to know of their columns. */
#include "shred/shred_internal.h"
#include "json/number.h"
#include "json/time.h"

static bool path_is(const struct shape_keys *keys, uint32_t node, const char *path)
{
	size_t len = strlen(path);
	for (uint32_t n = node; n != SHAPE_ROOT_NODE;) {
		const struct shape_node *at = shape_node_at(keys, n);
		if (at->element || at->key.len > len || !slice_eq(slice_of(path + len - at->key.len, at->key.len), at->key))
			return false;
		len -= at->key.len;
		n = at->parent;
		if (n != SHAPE_ROOT_NODE && (!len || path[--len] != '.'))
			return false;
	}
	return node != SHAPE_ROOT_NODE && !len;
}

/* No sibling to be counted, no event time to be noted. */
static uint8_t plain_of(const struct bind *b)
{
	if (b->siblings || b->event_time || !b->places)
		return 0;
	uint8_t time = b->child[PLACE_TIME] != NO_CHILD && b->time_len ? PLAIN_TIME : 0;
	return (uint8_t)(PLAIN_NULL | time | (b->child[PLACE_STRING] != NO_CHILD && b->child[PLACE_TIME] == NO_CHILD ? PLAIN_STRING : 0) |
			 (b->child[PLACE_INT] != NO_CHILD && !b->int_to_double ? PLAIN_INT : 0) |
			 (b->child[PLACE_DECIMAL] != NO_CHILD ? PLAIN_DECIMAL : 0) | (b->child[PLACE_BOOL] != NO_CHILD ? PLAIN_BOOL : 0));
}

static void bind_node(struct shredder *s, uint32_t n)
{
	const struct node_places *at = &s->places.nodes[n];
	struct bind *b = &s->binds[n];
	*b = (struct bind){ .uniform = SHAPE_NONE, .empty = SHAPE_NONE, .rest = { SHAPE_NONE, SHAPE_NONE } };
	memset(b->mixed, 0xff, sizeof b->mixed); /* SHAPE_NONE */
	for (int p = 0; p < PLACES; p++) {
		const struct field *f = at->field[p];
		b->child[p] = f && f->parent ? f->index : NO_CHILD;
		b->places |= (uint16_t)((b->child[p] != NO_CHILD) << p);
		if (f && (f->role == ROLE_SIBLING))
			b->siblings |= (uint16_t)(1u << p);
	}
	const struct field *dbl = at->field[PLACE_DOUBLE], *whole = at->field[PLACE_INT];
	b->int_to_double = dbl && (!whole || dbl->index < whole->index);
	if (dbl)
		b->double_mask = json_number_format_bit(dbl->format);
	if (at->field[PLACE_DECIMAL])
		b->scale = at->field[PLACE_DECIMAL]->scale;
	if (at->field[PLACE_TIME]) {
		b->time_format = at->field[PLACE_TIME]->format;
		b->time_len = (uint8_t)json_time_length(b->time_format);
	}
	b->element = shape_node_find(s->keys, n, true, SLICE_LIT(""));
	const struct shape_node *node = shape_node_at(s->keys, n);
	b->listed = node->element || (n != SHAPE_ROOT_NODE && s->binds[node->parent].listed); /* parents come first */
	b->deep = shape_node_at(s->keys, n)->depth >= s->opt.typed_depth;
	b->event_time = s->time_path && path_is(s->keys, n, s->time_path);
	b->plain = plain_of(b);
}

void shred_bind(struct shredder *s)
{
	places_update(&s->places, s->keys, s->schema);
	s->bind_count = s->places.count;
	if (s->bind_count > s->bind_cap) {
		s->bind_cap = s->places.cap;
		s->binds = mem_realloc(s->binds, s->bind_cap * sizeof *s->binds);
	}
	for (uint32_t n = 0; n < s->bind_count; n++)
		bind_node(s, n);
}
