/* Arrays -> list entries on the tape, and their skeleton: once if all elements have the same, else one by one. */
#include "shred/parse_internal.h"
#include "json/scan.h"

/* An array under way. */
struct array {
	struct shredder *s;
	uint32_t node, element;
	bool list;		       /* it has a list column */
	bool mixed;		       /* elements are in the shape one by one */
	uint32_t count;		       /* elements so far */
	uint8_t class;		       /* of the first element */
	size_t body;		       /* where its part of the shape begins */
	size_t first_len;	       /* bytes of the first element's skeleton */
	struct slice open, sep, close; /* sep: between the first two */
};

static void emit_element(struct array *a, struct slice lit, uint8_t class)
{
	struct shredder *s = a->s;
	parse_emit(&s->row, shape_edge_add(s->keys, a->node, EDGE_ELEMENT, class, lit, 0, 0));
}

static void begin_mixed(struct array *a)
{
	struct shredder *s = a->s;
	a->mixed = true;
	parse_emit(&s->row, shape_edge_add(s->keys, a->node, EDGE_MIXED, CLASS_SCALAR, SLICE_LIT(""), 0, 0));
}

/* The newest element's skeleton (from shape offset `at`) differs from the first: write all of them out. */
static void turn_mixed(struct array *a, size_t at, struct slice lit, uint8_t class)
{
	struct row *r = &a->s->row;
	size_t last_len = r->shape.len - at;
	buf_reset(&r->scratch);
	buf_append(&r->scratch, r->shape.data + a->body, a->first_len);
	buf_append(&r->scratch, r->shape.data + at, last_len);
	r->shape.len = a->body;
	begin_mixed(a);
	for (uint32_t i = 0; i < a->count && !(r->raw & RAW_SHAPE); i++) {
		emit_element(a, i ? a->sep : a->open, a->class);
		buf_append(&r->shape, r->scratch.data, a->first_len);
	}
	emit_element(a, lit, class);
	buf_append(&r->shape, r->scratch.data + a->first_len, last_len);
	if (r->shape.overflow)
		r->raw |= RAW_SHAPE;
}

/* Behind element a->count, whose literal was lit and whose skeleton begins at shape offset `at`. */
static void element_done(struct array *a, size_t at, struct slice lit, uint8_t class)
{
	struct row *r = &a->s->row;
	if (a->mixed || r->raw & RAW_SHAPE) {
		a->count++;
		return;
	}
	if (!a->count) {
		a->class = class;
		a->first_len = r->shape.len - at;
	} else {
		if (a->count == 1)
			a->sep = lit;
		if (class == a->class && slice_eq(lit, a->sep) && r->shape.len - at == a->first_len &&
		    memcmp(r->shape.data + at, r->shape.data + a->body, a->first_len) == 0)
			r->shape.len = at;
		else
			turn_mixed(a, at, lit, class);
	}
	a->count++;
}

static bool edge_is(const struct shape_edge *e, const struct array *a)
{
	return e->class == a->class && slice_eq(slice_of(e->lit, e->len), a->open) &&
	       (a->count == 1 || slice_eq(slice_of(e->lit + e->len, e->sep), a->sep)) &&
	       slice_eq(slice_of(e->lit + e->len + e->sep, e->close), a->close);
}

/* The edge in front of the one skeleton that all elements share. */
static void emit_uniform(struct array *a)
{
	struct shredder *s = a->s;
	struct row *r = &s->row;
	struct bind *b = &s->binds[a->node];
	if (r->raw & RAW_SHAPE)
		return;
	uint32_t edge = b->uniform;
	if (edge == SHAPE_NONE || !edge_is(shape_edge_at(s->keys, edge), a)) {
		struct slice sep = a->count == 1 ? SLICE_LIT(",") : a->sep;
		buf_reset(&r->scratch);
		buf_append_slice(&r->scratch, a->open);
		buf_append_slice(&r->scratch, sep);
		buf_append_slice(&r->scratch, a->close);
		edge = shape_edge_add(s->keys, a->node, EDGE_UNIFORM, a->class, buf_slice(&r->scratch), sep.len, a->close.len);
		b->uniform = edge;
	}
	size_t end = r->shape.len;
	parse_emit(r, edge);
	if (r->raw & RAW_SHAPE)
		return;
	r->prev = edge;
	size_t id_len = r->shape.len - end;
	if (a->first_len) {
		uint8_t id[10];
		memcpy(id, r->shape.data + end, id_len);
		memmove(r->shape.data + a->body + id_len, r->shape.data + a->body, a->first_len);
		memcpy(r->shape.data + a->body, id, id_len);
	}
}

static enum outcome parse_empty(struct shredder *s, uint32_t node)
{
	struct row *r = &s->row;
	const struct bind *b = &s->binds[node];
	const uint8_t *from = r->p;
	r->p = json_space(r->p + 1, r->end) + 1;
	if (b->child[PLACE_LIST] != NO_CHILD) {
		tape_push(r, OP_LIST, b->child[PLACE_LIST]);
		tape_push(r, OP_END, 0);
	}
	uint32_t edge = shape_edge_add(s->keys, node, EDGE_END, CLASS_SCALAR, slice_of(from, (size_t)(r->p - from)), 0, 0);
	parse_emit(r, edge);
	if (edge != SHAPE_NONE) {
		r->prev = edge;
		if (r->p - from == 2)
			s->binds[node].empty = edge;
	}
	return HOME;
}

/* Behind the last element: `]` is next. */
static void array_end(struct array *a, const uint8_t *from)
{
	struct row *r = &a->s->row;
	a->close = slice_of(from, (size_t)(r->p - from));
	if (a->mixed) {
		uint32_t edge = shape_edge_add(a->s->keys, a->node, EDGE_END, CLASS_SCALAR, a->close, 0, 0);
		parse_emit(r, edge);
		if (edge != SHAPE_NONE)
			r->prev = edge;
	} else {
		emit_uniform(a);
	}
	if (a->list)
		tape_push(r, OP_END, 0);
	r->lists--;
}

/* Has a container at r->p, an element of a list column, a column there, or need of none? Without, readers would find null in its place. */
static bool element_has_home(const struct shredder *s, uint32_t element, uint8_t class)
{
	enum place place = class == CLASS_OBJECT ? PLACE_OBJECT : PLACE_LIST;
	return s->binds[element].child[place] != NO_CHILD || parse_is_empty(&s->row);
}

enum outcome parse_array(struct shredder *s, uint32_t node)
{
	struct row *r = &s->row;
	const struct bind *b = &s->binds[node];
	const uint8_t *from = r->p, *p = json_space(r->p + 1, r->end);
	if (*p == ']')
		return parse_empty(s, node);
	if (b->element == SHAPE_NONE)
		return parse_may_infer(s, NULL, SLICE_LIT("")) ? UNKNOWN : HOMELESS;
	struct array a = {
		.s = s, .node = node, .element = b->element, .list = b->child[PLACE_LIST] != NO_CHILD, .body = r->shape.len
	};
	uint32_t prev = b->uniform;
	r->lists++;
	r->conflicts += b->siblings >> PLACE_LIST & 1;
	if (a.list)
		tape_push(r, OP_LIST, b->child[PLACE_LIST]);
	else
		begin_mixed(&a); /* nothing else knows the number of elements */
	a.open = slice_of(from, (size_t)(p - from));
	for (;;) {
		struct slice lit = slice_of(from, (size_t)(p - from));
		uint8_t class = parse_classes[*p];
		size_t at = r->shape.len;
		uint32_t tape = r->tape_count;
		if (a.mixed)
			emit_element(&a, lit, class);
		if (prev != SHAPE_NONE)
			r->prev = prev;
		r->p = p;
		if (class != CLASS_SCALAR && a.list && !element_has_home(s, a.element, class))
			return HOMELESS;
		enum outcome out = parse_value(s, a.element, class);
		if (out != HOME)
			return out; /* the holder sets everything back */
		if (a.list && r->tape_count == tape)
			tape_push(r, OP_NULL, 0);
		element_done(&a, at, lit, class);
		from = r->p;
		p = json_space(r->p, r->end);
		if (*p == ']')
			break;
		p = json_space(p + 1, r->end);
	}
	r->p = p + 1;
	array_end(&a, from);
	return HOME;
}
