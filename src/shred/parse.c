/* The hot path: one valid JSON payload -> tape and shape, by comparing the predicted next key literals. */
#include <math.h>

#include "base/hash.h"
#include "json/number.h"
#include "json/scan.h"
#include "json/time.h"
#include "shred/shred_internal.h"

#define CLASS_SPACE 3
#define PATHS_FACTOR 4 /* paths of a row's __rest hold at most so many times the payload's bytes */
#define EXACT_INT ((int64_t)1 << 53)

static const uint8_t class_of_byte[256] = { ['{'] = CLASS_OBJECT, ['['] = CLASS_ARRAY, [' '] = CLASS_SPACE,
					    ['\t'] = CLASS_SPACE, ['\n'] = CLASS_SPACE, ['\r'] = CLASS_SPACE };

uint8_t parse_class(uint8_t first)
{
	return class_of_byte[first];
}

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
	if (s->inferred)
		return false;
	if (s->schema->leaf_count < s->opt.leaf_budget)
		return true;
	struct node_places known;
	return parent && places_of_key(&s->places, parent, key, &known);
}

/* ---- scalars ---- */

static inline void put_eight(struct row *r, const struct bind *b, enum place place, const void *value)
{
	struct tape_entry *e = tape_push(r, OP_EIGHT, b->child[place]);
	memcpy(&e->value, value, 8);
	r->conflicts += b->siblings >> place & 1;
}

static inline void put_bytes(struct row *r, const struct bind *b, enum place place, struct slice s)
{
	struct tape_entry *e = tape_push(r, OP_BYTES, b->child[place]);
	e->len = (uint32_t)s.len;
	e->value = (uintptr_t)s.data;
	r->conflicts += b->siblings >> place & 1;
}

static enum outcome put_int(struct row *r, const struct bind *b, int64_t i)
{
	if (b->int_to_double && i >= -EXACT_INT && i <= EXACT_INT) {
		double d = (double)i;
		put_eight(r, b, PLACE_DOUBLE, &d);
		if (!(b->double_mask & NUM_FORMAT_SHORT))
			r->raw |= RAW_NUMBER;
		return HOME;
	}
	if (b->child[PLACE_INT] != NO_CHILD) {
		put_eight(r, b, PLACE_INT, &i);
		return HOME;
	}
	if (b->child[PLACE_BIGINT] != NO_CHILD) {
		__int128 wide = i;
		struct tape_entry *e = tape_push(r, OP_WIDE, b->child[PLACE_BIGINT]);
		e->value = r->wide.len / sizeof wide;
		buf_append(&r->wide, &wide, sizeof wide);
		return HOME;
	}
	return HOMELESS;
}

static enum outcome put_double(struct row *r, const struct bind *b, const struct json_number *num)
{
	if (b->child[PLACE_DOUBLE] == NO_CHILD || !isfinite(num->f64))
		return HOMELESS;
	put_eight(r, b, PLACE_DOUBLE, &num->f64);
	if (!(num->formats & b->double_mask))
		r->raw |= RAW_NUMBER;
	return HOME;
}

static enum outcome put_number_slow(struct row *r, const struct bind *b, struct slice text)
{
	struct json_number num = json_number_parse(text);
	__int128 wide;
	uint8_t scale;
	switch (num.kind) {
	case NUM_INT64:
		return put_int(r, b, num.i64);
	case NUM_DECIMAL:
		if (b->child[PLACE_DECIMAL] != NO_CHILD && num.scale == b->scale) {
			put_eight(r, b, PLACE_DECIMAL, &num.i64);
			return HOME;
		}
		return put_double(r, b, &num);
	case NUM_BIGINT:
		if (b->child[PLACE_BIGINT] == NO_CHILD || num.digits > 38 || !json_number_int128(text, &wide, &scale) || scale)
			return HOMELESS;
		tape_push(r, OP_WIDE, b->child[PLACE_BIGINT])->value = r->wide.len / sizeof wide;
		buf_append(&r->wide, &wide, sizeof wide);
		r->conflicts += b->siblings >> PLACE_BIGINT & 1;
		return HOME;
	default:
		return put_double(r, b, &num);
	}
}

static enum outcome parse_number(struct row *r, const struct bind *b)
{
	const uint8_t *p = r->p, *end = r->end;
	bool minus = *p == '-';
	const uint8_t *digits = p + minus, *q = digits;
	uint64_t u = 0;
	while (q < end && q - digits < 18 && (uint8_t)(*q - '0') < 10)
		u = u * 10 + (uint8_t)(*q++ - '0');
	/* Canonical and short: no fraction, no exponent, not "-0". */
	if (__builtin_expect(q == end || !((uint8_t)(*q - '0') < 10 || *q == '.' || (*q | 0x20) == 'e'), 1) && (u || !minus)) {
		r->p = q;
		return put_int(r, b, minus ? -(int64_t)u : (int64_t)u);
	}
	r->p = json_number_end(q, end);
	return put_number_slow(r, b, slice_of(p, (size_t)(r->p - p)));
}

static struct slice unescape(struct row *r, struct slice raw)
{
	size_t at = r->text.len;
	if (!json_string_unescape(raw, &r->text))
		r->raw |= RAW_STRING;
	return slice_of(r->text.data + at, r->text.len - at);
}

static enum outcome parse_string(struct row *r, const struct bind *b)
{
	uint32_t marks;
	const uint8_t *from = r->p + 1, *to = json_string_end(from, r->end, &marks);
	struct slice raw = slice_of(from, (size_t)(to - from));
	int64_t us;
	r->p = to + 1;
	r->marks |= marks;
	if (b->child[PLACE_TIME] != NO_CHILD && !marks && json_time_parse(raw, b->time_format, &us)) {
		put_eight(r, b, PLACE_TIME, &us);
		return HOME;
	}
	if (b->child[PLACE_STRING] == NO_CHILD)
		return HOMELESS;
	put_bytes(r, b, PLACE_STRING, marks & JSON_MARK_ESCAPE ? unescape(r, raw) : raw);
	return HOME;
}

static enum outcome parse_scalar(struct shredder *s, uint32_t node)
{
	struct row *r = &s->row;
	const struct bind *b = &s->binds[node];
	uint8_t c = *r->p;
	if (c == '"')
		return parse_string(r, b);
	if (c == 'n') {
		r->p += 4;
		return HOME;
	}
	if (c != 't' && c != 'f')
		return parse_number(r, b);
	if (b->child[PLACE_BOOL] == NO_CHILD)
		return HOMELESS;
	tape_push(r, OP_BOOL, b->child[PLACE_BOOL])->value = c == 't';
	r->conflicts += b->siblings >> PLACE_BOOL & 1;
	r->p += c == 't' ? 4 : 5;
	return HOME;
}

/* ---- stepping along edges ---- */

/* Where the step led. */
struct step {
	uint32_t edge;        /* SHAPE_NONE: unknown to the key table (a limit), or a rest key */
	uint32_t to;          /* node; SHAPE_NONE: no node, a key without columns */
	uint8_t class;
	bool end;             /* the object ended */
	bool unknown;         /* infer first */
	/* of a slow step: */
	const uint8_t *from;  /* start of the literal */
};

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

/* The raw key in a member's literal. */
static struct slice literal_key(const uint8_t *from, const uint8_t *to, uint32_t *ret_marks)
{
	const uint8_t *open = memchr(from, '"', (size_t)(to - from));
	const uint8_t *close = json_string_end(open + 1, to, ret_marks);
	return slice_of(open + 1, (size_t)(close - open - 1));
}

static struct step step_slow(struct shredder *s, uint32_t node)
{
	struct row *r = &s->row;
	struct step st = { .edge = SHAPE_NONE, .to = SHAPE_NONE, .from = r->p };
	const uint8_t *p = json_space(r->p, r->end);
	uint32_t marks;
	if (*p != '}')
		p = json_space(p + 1, r->end);
	if (*p == '}') {
		r->p = p + 1;
		st.end = true;
		st.edge = shape_edge_add(s->keys, node, EDGE_END, CLASS_SCALAR, slice_of(st.from, (size_t)(r->p - st.from)), 0, 0);
		return st;
	}
	p = json_string_end(p + 1, r->end, &marks);
	p = json_space(p + 1, r->end);
	p = json_space(p + 1, r->end);
	r->p = p;
	st.class = class_of_byte[*p];
	struct slice lit = slice_of(st.from, (size_t)(p - st.from));
	st.edge = shape_edge_find(s->keys, node, EDGE_MEMBER, st.class, lit, 0, 0);
	if (st.edge != SHAPE_NONE) {
		st.to = shape_edge_at(s->keys, st.edge)->to;
		return st;
	}
	struct slice key = literal_key(st.from, p, &marks);
	if (key.len > SHAPE_LITERAL_MAX)
		return st;
	if (marks & JSON_MARK_ESCAPE)
		key = unescape(r, key);
	st.to = shape_node_find(s->keys, node, false, key);
	if (st.to != SHAPE_NONE)
		st.edge = shape_edge_add(s->keys, node, EDGE_MEMBER, st.class, lit, 0, 0);
	else
		st.unknown = parse_may_infer(s, s->places.nodes[node].field[PLACE_OBJECT], key);
	return st;
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
			if (class_of_byte[r->p[e->len]] != e->class)
				continue;
		} else if (e->kind != EDGE_END) {
			continue;
		}
		r->p += e->len;
		r->prev = id;
		return (struct step){ .edge = id, .to = e->to, .class = e->class, .end = e->kind == EDGE_END };
	}
	uint32_t before = r->prev;
	struct step st = step_slow(s, node);
	if (st.edge != SHAPE_NONE) {
		remember(s->keys, before, st.edge);
		r->prev = st.edge;
	}
	return st;
}

/* ---- values without a column ---- */

static void path_append(const struct shape_keys *keys, uint32_t node, struct buf *out)
{
	if (node == SHAPE_ROOT_NODE)
		return;
	path_append(keys, shape_node_at(keys, node)->parent, out);
	buf_append_slice(out, shape_node_at(keys, node)->key);
	buf_byte(out, '.');
}

/* The member whose literal is [from, value) and whose value is [value, r->p) goes to __rest. */
static void put_rest(struct shredder *s, uint32_t node, const uint8_t *from, const uint8_t *value)
{
	struct row *r = &s->row;
	uint32_t marks;
	struct slice key = literal_key(from, value, &marks);
	size_t open = (size_t)(key.data - 1 - from), sep = (size_t)(value - (key.data + key.len + 1));
	if (r->lists || marks & JSON_MARK_ESCAPE || key.len > SHAPE_LITERAL_MAX) {
		r->raw |= RAW_OTHER;
		return;
	}
	buf_reset(&r->scratch);
	buf_append(&r->scratch, from, open);
	buf_append(&r->scratch, value - sep, sep);
	parse_emit(r, shape_edge_add(s->keys, node, EDGE_REST, CLASS_SCALAR, buf_slice(&r->scratch), sep, 0));
	if (r->rest_count == r->rest_cap) {
		r->rest_cap = r->rest_cap ? r->rest_cap * 2 : 16;
		r->rest = mem_realloc(r->rest, r->rest_cap * sizeof *r->rest);
	}
	size_t at = r->paths.len;
	path_append(s->keys, node, &r->paths);
	buf_append_slice(&r->paths, key);
	if (r->paths.len > PATHS_FACTOR * (size_t)(r->end - r->payload) + SHAPE_LITERAL_MAX) {
		r->raw |= RAW_OTHER; /* long paths times many keys: no more of them */
		r->paths.len = at;
		return;
	}
	r->rest[r->rest_count++] = (struct rest_entry){ .path_at = at, .path_len = r->paths.len - at,
							.text = slice_of(value, (size_t)(r->p - value)) };
}

/* The same literal with class scalar: its value is JSON text. */
static uint32_t twin_of(struct shredder *s, uint32_t edge)
{
	if (edge == SHAPE_NONE)
		return SHAPE_NONE;
	struct shape_edge e = *shape_edge_at(s->keys, edge);
	if (e.class == CLASS_SCALAR)
		return edge;
	if (e.twin == SHAPE_NONE) {
		e.twin = shape_edge_add(s->keys, e.from, EDGE_MEMBER, CLASS_SCALAR, slice_of(e.lit, e.len), 0, 0);
		shape_edge_at(s->keys, edge)->twin = e.twin;
	}
	return e.twin;
}

/* What a member's value has put down so far, to be taken back. */
struct mark {
	uint32_t tape, rest, lists;
	size_t shape, wide, text, paths;
	uint8_t raw;
	uint64_t conflicts;
	const uint8_t *value;
};

static inline struct mark mark_here(const struct row *r)
{
	return (struct mark){ r->tape_count, r->rest_count, r->lists, r->shape.len, r->wide.len, r->text.len, r->paths.len, r->raw,
			      r->conflicts, r->p };
}

static void mark_restore(struct row *r, const struct mark *m)
{
	r->tape_count = m->tape;
	r->rest_count = m->rest;
	r->lists = m->lists;
	r->shape.len = m->shape;
	r->wide.len = m->wide;
	r->text.len = m->text;
	r->paths.len = m->paths;
	r->raw = m->raw;
	r->shape.overflow = m->raw & RAW_SHAPE;
	r->conflicts = m->conflicts;
}

/* Is JSON text the column for such a value, so that no inference would find it a better one? */
static bool json_takes(const struct bind *b, uint8_t class, struct slice text)
{
	if (b->child[PLACE_JSON] == NO_CHILD)
		return false;
	if (class != CLASS_SCALAR)
		return b->deep || class == CLASS_ARRAY;
	if (*text.data != '-' && (uint8_t)(*text.data - '0') > 9)
		return false;
	struct json_number num = json_number_parse(text);
	return !isfinite(num.f64) || (num.kind == NUM_BIGINT && num.digits > 38);
}

/* A member's value has no column: JSON text, or __rest. m was taken in front of the member's edge. */
static enum outcome settle_homeless(struct shredder *s, uint32_t node, const struct step *st, const struct mark *m, const uint8_t *from)
{
	struct row *r = &s->row;
	const struct bind *b = &s->binds[st->to];
	mark_restore(r, m);
	r->p = json_value_end(m->value, r->end);
	if (!json_takes(b, st->class, slice_of(m->value, (size_t)(r->p - m->value))) && parse_may_infer(s, NULL, SLICE_LIT("")))
		return UNKNOWN;
	r->prev = st->edge != SHAPE_NONE ? st->edge : r->prev;
	if (b->child[PLACE_JSON] == NO_CHILD) {
		put_rest(s, node, from, m->value);
		return HOME;
	}
	parse_emit(r, twin_of(s, st->edge));
	put_bytes(r, b, PLACE_JSON, slice_of(m->value, (size_t)(r->p - m->value)));
	return HOME;
}

/* ---- objects ---- */

/* The key was in this object before: columns take the last value. */
static void blank_earlier(struct row *r, const struct bind *b)
{
	r->raw |= RAW_DUPLICATE;
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
			put_rest(s, node, from, m.value);
			continue;
		}
		struct bind *b = &s->binds[st.to];
		if (__builtin_expect(b->stamp == instance, 0))
			blank_earlier(r, b);
		b->stamp = instance;
		b->tape_at = m.tape;
		m.raw = r->raw;
		parse_emit(r, st.edge);
		enum outcome out = st.class == CLASS_SCALAR ? parse_scalar(s, st.to) : parse_value(s, st.to, st.class);
		if (__builtin_expect(out != HOME, 0)) {
			if (out == HOMELESS)
				out = settle_homeless(s, node, &st, &m, from);
			if (out != HOME)
				return out;
		}
		if (__builtin_expect(b->event_time, 0))
			r->time = slice_of(m.value, (size_t)(r->p - m.value));
		b->tape_end = r->tape_count;
	}
	if (own != NO_CHILD)
		tape_push(r, OP_END, 0);
	return HOME;
}

/* `{}` or `[]`, white space inside allowed. */
static bool container_empty(const struct row *r)
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
	if (!typed && (b->deep || b->child[PLACE_JSON] != NO_CHILD) && !container_empty(&s->row))
		return HOMELESS;
	return class == CLASS_OBJECT ? parse_object(s, node) : parse_array(s, node);
}

/* A path twice in __rest (a duplicate key, or "a.b" beside {"a":{"b":…}}): maps hold a key once, the last stays. */
static void rest_unique(struct row *r)
{
	uint32_t cap = 4, kept = 0;
	while (cap < r->rest_count * 2)
		cap *= 2;
	buf_reset(&r->scratch);
	buf_reserve(&r->scratch, cap * sizeof(uint32_t));
	uint32_t *slots = (uint32_t *)r->scratch.data;
	memset(slots, 0, cap * sizeof *slots);
	for (uint32_t i = r->rest_count; i-- > 0;) {
		struct rest_entry *e = &r->rest[i];
		struct slice path = slice_of(r->paths.data + e->path_at, e->path_len);
		uint32_t at = (uint32_t)hash64_seed(path, r->seed) & (cap - 1);
		for (; slots[at]; at = (at + 1) & (cap - 1)) {
			const struct rest_entry *other = &r->rest[slots[at] - 1];
			if (slice_eq(path, slice_of(r->paths.data + other->path_at, other->path_len)))
				break;
		}
		if (slots[at]) {
			r->raw |= RAW_DUPLICATE;
			e->text.len = 0; /* a JSON text is never empty: dropped below */
		} else {
			slots[at] = i + 1;
		}
	}
	for (uint32_t i = 0; i < r->rest_count; i++)
		if (r->rest[i].text.len)
			r->rest[kept++] = r->rest[i];
	r->rest_count = kept;
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

static void row_reset(struct row *r, struct slice payload, uint32_t space)
{
	row_trim(r, payload.len);
	r->tape_full = false;
	r->p = r->payload = payload.data;
	r->end = payload.data + payload.len;
	r->tape_count = r->rest_count = r->lists = r->marks = 0;
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
	row_reset(r, payload, s->opt.key_space);
	uint8_t class = class_of_byte[*r->p];
	struct mark m = mark_here(r);
	r->prev = class;
	parse_emit(r, class);
	enum outcome out = parse_value(s, SHAPE_ROOT_NODE, class);
	if (out == HOMELESS) {
		const struct bind *b = &s->binds[SHAPE_ROOT_NODE];
		if (!json_takes(b, class, payload) && parse_may_infer(s, NULL, SLICE_LIT("")))
			return UNKNOWN;
		mark_restore(r, &m);
		if (b->child[PLACE_JSON] == NO_CHILD) {
			r->raw |= RAW_OTHER;
		} else {
			parse_emit(r, CLASS_SCALAR);
			put_bytes(r, b, PLACE_JSON, payload);
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
	if (r->rest_count > 1)
		rest_unique(r);
	if (r->marks & JSON_MARK_ESCAPE) {
		uint32_t dialects = json_text_dialects(payload);
		if (!dialects)
			r->raw |= RAW_STRING;
		else
			r->shape.data[4] = (uint8_t)json_dialect_pick(dialects);
	}
	return HOME;
}
