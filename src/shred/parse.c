/* The hot path: one valid JSON payload -> tape and shape, by comparing the predicted next key literals. */
#include "shred/parse_internal.h"
#include "json/scan.h"

#define CLASS_SPACE 3

const uint8_t parse_classes[256] = { ['{'] = CLASS_OBJECT,  ['['] = CLASS_ARRAY,   [' '] = CLASS_SPACE,
				     ['\t'] = CLASS_SPACE, ['\n'] = CLASS_SPACE, ['\r'] = CLASS_SPACE };

struct tape_entry *tape_grow(struct row *r)
{
	if (r->tape_cap >= TAPE_MAX) {
		r->tape_full = true;
		r->tape_count = r->tape_cap - 1; /* written over and over, never read */
		return &r->tape[r->tape_count];
	}
	r->tape_cap = r->tape_cap ? r->tape_cap * 2 : 256;
	r->tape = mem_realloc(r->tape, r->tape_cap * sizeof *r->tape);
	return &r->tape[r->tape_count];
}

void parse_emit_slow(struct row *r, uint32_t edge)
{
	if (r->raw & RAW_SHAPE)
		return;
	if (edge == SHAPE_NONE) {
		r->raw |= RAW_SHAPE;
		return;
	}
	buf_varint(&r->shape, edge);
	if (r->shape.overflow)
		r->raw |= RAW_SHAPE;
}

bool parse_may_infer(const struct shredder *s, const struct field *parent, struct slice key)
{
	if (s->inferred || (key.len && s->quiet))
		return false;
	if (s->schema->leaf_count < s->opt.leaf_budget)
		return true;
	struct node_places known;
	return parent && places_of_key(&s->places, parent, key, &known);
}

/* ---- stepping along edges ---- */

static inline bool literal_is_next(const struct row *r, const struct shape_edge *e)
{
	size_t n = e->len, left = (size_t)(r->end - r->p);
	const uint8_t *a = r->p, *b = e->lit;
	if (__builtin_expect(n + 16 <= left, 1)) {
		/* Both sides are readable 16 bytes further than n. */
		for (size_t i = 0;; i += 8) {
			uint64_t x, y;
			memcpy(&x, a + i, 8);
			memcpy(&y, b + i, 8);
			if (n - i <= 8) {
				unsigned shift = (unsigned)(8 - (n - i)) * 8;
				return (x ^ y) << shift == 0;
			}
			if (x != y)
				return false;
		}
	}
	return n <= left && memcmp(a, b, n) == 0;
}

static void remember(struct shape_keys *keys, uint32_t prev, uint32_t edge)
{
	struct shape_edge *e = shape_edge_at(keys, prev);
	int at = 0;
	while (at < SHAPE_SUCCESSORS - 1 && e->next[at] != edge)
		at++;
	for (; at > 0; at--)
		e->next[at] = e->next[at - 1];
	e->next[0] = edge;
}

/* A step that was not predicted, and from now on is. */
static struct step step_learn(struct shredder *s, struct step st)
{
	if (st.edge != SHAPE_NONE) {
		remember(s->keys, s->row.prev, st.edge);
		s->row.prev = st.edge;
	}
	return st;
}

struct step parse_step_end(struct shredder *s, uint32_t node, const uint8_t *from)
{
	struct slice lit = slice_of(from, (size_t)(s->row.p - from));
	struct step st = { .to = SHAPE_NONE, .end = true };
	st.edge = shape_edge_add(s->keys, node, EDGE_END, CLASS_SCALAR, lit, 0, 0);
	return step_learn(s, st);
}

bool parse_step_unknown(const struct shredder *s, uint32_t node, struct slice key)
{
	return !(shred_is_map_like(s, node) && s->calls % MAP_LIKE_EVERY) && parse_may_infer(s, s->places.nodes[node].field[PLACE_OBJECT], key);
}

struct step parse_step_member(struct shredder *s, uint32_t node, const uint8_t *from, struct slice key, uint32_t marks)
{
	struct row *r = &s->row;
	struct slice lit = slice_of(from, (size_t)(r->p - from));
	struct step st = { .edge = SHAPE_NONE, .to = SHAPE_NONE, .class = parse_classes[*r->p] };
	if (key.len > SHAPE_LITERAL_MAX)
		return st;
	/* Most keys that are foretold by nothing are ids: neither an edge nor a node to be looked for. */
	if (!(marks & JSON_MARK_ESCAPE) && !(shape_node_at(s->keys, node)->keys & shape_key_bit(key))) {
		st.unknown = parse_step_unknown(s, node, key);
		return st;
	}
	st.edge = shape_edge_find(s->keys, node, EDGE_MEMBER, st.class, lit, 0, 0);
	if (st.edge != SHAPE_NONE) {
		st.to = shape_edge_at(s->keys, st.edge)->to;
		return step_learn(s, st);
	}
	if (marks & JSON_MARK_ESCAPE)
		key = parse_unescape(r, key);
	st.to = shape_node_find(s->keys, node, false, key);
	if (st.to != SHAPE_NONE)
		st.edge = shape_edge_add(s->keys, node, EDGE_MEMBER, st.class, lit, 0, 0);
	else
		st.unknown = parse_step_unknown(s, node, key);
	return step_learn(s, st);
}

static struct step step_slow(struct shredder *s, uint32_t node)
{
	struct row *r = &s->row;
	const uint8_t *from = r->p, *p = json_space(from, r->end);
	uint32_t marks;
	if (*p != '}')
		p = json_space(p + 1, r->end);
	if (*p == '}') {
		r->p = p + 1;
		return parse_step_end(s, node, from);
	}
	const uint8_t *key = p + 1, *close = json_string_end(key, r->end, &marks);
	p = json_space(close + 1, r->end);
	r->p = json_space(p + 1, r->end);
	return parse_step_member(s, node, from, slice_of(key, (size_t)(close - key)), marks);
}

static inline struct step step_next(struct shredder *s, uint32_t node)
{
	struct row *r = &s->row;
	const struct shape_edge *prev = shape_edge_at(s->keys, r->prev);
	for (int i = 0; i < SHAPE_SUCCESSORS; i++) {
		uint32_t id = prev->next[i];
		if (id == SHAPE_NONE)
			break;
		const struct shape_edge *e = shape_edge_at(s->keys, id);
		if (e->from != node || !literal_is_next(r, e))
			continue;
		if (e->kind == EDGE_MEMBER) {
			if (parse_classes[r->p[e->len]] != e->class)
				continue;
		} else if (e->kind != EDGE_END) {
			continue;
		}
		r->p += e->len;
		r->prev = id;
		return (struct step){ .edge = id, .to = e->to, .class = e->class, .end = e->kind == EDGE_END };
	}
	return step_slow(s, node);
}

/* ---- objects ---- */

/* The key was in this object before: columns and __rest take the last value. */
static void blank_earlier(struct row *r, const struct bind *b)
{
	r->raw |= RAW_DUPLICATE;
	for (uint32_t i = b->rest_at; i < b->rest_end; i++)
		r->rest[i].text.len = 0; /* parse_rest_unique drops it */
	if (b->tape_end > b->tape_at) {
		r->tape[b->tape_at].op = OP_SKIP;
		r->tape[b->tape_at].len = b->tape_end;
	}
}

static enum outcome parse_object(struct shredder *s, uint32_t node)
{
	struct row *r = &s->row;
	uint64_t instance = ++s->instances;
	uint32_t own = node == SHAPE_ROOT_NODE ? NO_CHILD : s->binds[node].child[PLACE_OBJECT];
	if (own != NO_CHILD) {
		tape_push(r, OP_STRUCT, own);
		r->conflicts += s->binds[node].siblings >> PLACE_OBJECT & 1;
	}
	for (;;) {
		const uint8_t *from = r->p;
		struct step st = step_next(s, node);
		if (st.end) {
			parse_emit(r, st.edge);
			break;
		}
		struct mark m = mark_here(r);
		if (__builtin_expect(st.to == SHAPE_NONE, 0)) {
			if (st.unknown)
				return UNKNOWN;
			r->p = json_value_end(r->p, r->end);
			parse_put_rest(s, node, from, m.value);
			continue;
		}
		struct bind *b = &s->binds[st.to];
		if (__builtin_expect(b->stamp == instance, 0))
			blank_earlier(r, b);
		b->stamp = instance;
		b->tape_at = m.tape;
		b->rest_at = m.rest;
		m.raw = r->raw;
		parse_emit(r, st.edge);
		enum outcome out = st.class == CLASS_SCALAR ? parse_scalar(s, st.to) : parse_value(s, st.to, st.class);
		if (__builtin_expect(out != HOME, 0)) {
			if (out == HOMELESS)
				out = parse_settle(s, node, &st, &m, from);
			if (out != HOME)
				return out;
		}
		if (__builtin_expect((r->raw & ~m.raw) == RAW_NUMBER && !m.lists, 0))
			parse_keep_text(s, node, &m, from);
		if (__builtin_expect(b->event_time, 0))
			r->time = slice_of(m.value, (size_t)(r->p - m.value));
		b->tape_end = r->tape_count;
		b->rest_end = r->rest_count;
	}
	if (own != NO_CHILD)
		tape_push(r, OP_END, 0);
	return HOME;
}

bool parse_is_empty(const struct row *r)
{
	const uint8_t *p = json_space(r->p + 1, r->end);
	return *p == '}' || *p == ']';
}

/* Recursion: containers at nodes deeper than typed_depth (at most 64) are HOMELESS or empty. */
enum outcome parse_value(struct shredder *s, uint32_t node, uint8_t class)
{
	const struct bind *b = &s->binds[node];
	if (class == CLASS_SCALAR)
		return parse_scalar(s, node);
	enum place place = class == CLASS_OBJECT ? PLACE_OBJECT : PLACE_LIST;
	bool typed = b->child[place] != NO_CHILD || (node == SHAPE_ROOT_NODE && class == CLASS_OBJECT);
	if (!typed && (b->deep || b->child[PLACE_JSON] != NO_CHILD) && !parse_is_empty(&s->row))
		return HOMELESS;
	return class == CLASS_OBJECT ? parse_object(s, node) : parse_array(s, node);
}

/* What a huge row has left behind. */
static void row_trim(struct row *r, size_t next)
{
	struct buf *bufs[] = { &r->text, &r->paths, &r->wide, &r->scratch };
	for (size_t i = 0; i < sizeof bufs / sizeof *bufs; i++) {
		if (bufs[i]->cap > KEEP_BYTES && next < KEEP_BYTES) {
			size_t max = bufs[i]->max;
			buf_free(bufs[i]);
			buf_init(bufs[i], max);
		}
	}
	if (r->tape_cap * sizeof *r->tape > KEEP_BYTES && next < KEEP_BYTES) {
		free(r->tape);
		r->tape = NULL;
		r->tape_cap = 0;
	}
}

void row_begin(struct row *r, struct slice payload, uint32_t space)
{
	row_trim(r, payload.len);
	r->tape_full = false;
	r->p = r->payload = payload.data;
	r->end = payload.data + payload.len;
	r->rest_node = SHAPE_NONE;
	r->tape_count = r->rest_count = r->lists = r->marks = r->nulls = r->touched_count = 0;
	r->conflicts = 0;
	r->raw = 0;
	r->time = SLICE_LIT("");
	buf_reset(&r->shape);
	buf_reset(&r->text);
	buf_reset(&r->wide);
	buf_reset(&r->paths);
	/* Unescaping never lengthens, a string or a key at a time: addresses in text stay. */
	buf_reserve(&r->text, payload.len);
	buf_u32(&r->shape, space);
	buf_byte(&r->shape, JSON_DIALECT_MINIMAL);
}

enum outcome parse_row(struct shredder *s, struct slice payload)
{
	struct row *r = &s->row;
	row_begin(r, payload, s->opt.key_space);
	r->since = s->instances;
	uint8_t class = parse_classes[*r->p];
	struct mark m = mark_here(r);
	r->prev = class;
	parse_emit(r, class);
	enum outcome out = parse_value(s, SHAPE_ROOT_NODE, class);
	if (out == HOMELESS) {
		const struct bind *b = &s->binds[SHAPE_ROOT_NODE];
		if (!parse_json_takes(b, class, payload) && parse_may_infer(s, NULL, SLICE_LIT("")))
			return UNKNOWN;
		mark_restore(r, &m);
		if (b->child[PLACE_JSON] == NO_CHILD) {
			r->raw |= RAW_OTHER;
		} else {
			parse_emit(r, CLASS_SCALAR);
			parse_put_bytes(r, b, PLACE_JSON, payload);
		}
		out = HOME;
	}
	if (out != HOME)
		return out;
	if (r->tape_full) {
		r->tape_count = r->rest_count = 0;
		r->raw |= RAW_OTHER;
		return HOME;
	}
	if (r->rest_count > 1 || r->raw & RAW_DUPLICATE)
		parse_rest_unique(r);
	if (r->marks & JSON_MARK_ESCAPE) {
		uint32_t dialects = json_text_dialects(payload);
		if (!dialects)
			r->raw |= RAW_STRING;
		else
			r->shape.data[4] = (uint8_t)json_dialect_pick(dialects);
	}
	return HOME;
}
