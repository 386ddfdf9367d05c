/* The direct way's rare branches, and taking a row back. */
#include "shred/fast_internal.h"

#include "json/number.h"
#include "json/scan.h"
#include "json/time.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

const uint64_t fast_tens[9] = { 1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000 };

/* The newest value of c never was. */
static void column_unput(struct column *c)
{
	uint32_t slot = c->slots - 1;
	while (!(c->present[slot >> 6] >> (slot & 63) & 1))
		slot--; /* absent slots behind it: [1,null,2] has put two values into three */
	c->slots = slot;
	c->present[slot >> 6] &= ~((uint64_t)1 << (slot & 63));
	c->values--;
	if (c->field->type == TYPE_STRING || c->field->type == TYPE_BINARY)
		c->data.len = c->offsets[c->values];
	else if (!type_is_nested(c->field->type))
		c->data.len = (size_t)c->values * field_width(c->field);
}

void fast_undo(struct shredder *s)
{
	struct row *r = &s->row;
	while (r->touched_count)
		column_unput(r->touched[--r->touched_count]);
}

/* The closing quote of the key that begins at p, behind its quote; NULL if it is no legal string. */
static const uint8_t *key_end(const struct row *r, const uint8_t *p, uint32_t *ret_marks)
{
	size_t len;
	if (p >= r->end)
		return NULL;
#ifdef __SSE2__
	for (const uint8_t *q = p; q < r->end; q += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)q);
		__m128i hit = _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')), _mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
		hit = _mm_or_si128(hit, _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v));
		uint32_t m = (uint32_t)_mm_movemask_epi8(_mm_or_si128(hit, v)); /* v: bytes ≥ 0x80 */
		if (!m)
			continue;
		q += __builtin_ctz(m);
		*ret_marks = 0;
		if (*q == '"')
			return q < r->end ? q : NULL;
		break;
	}
#endif
	if (json_validate(slice_of(p - 1, (size_t)(r->end - p + 1)), NULL, &len, NULL) != RC_OK)
		return NULL;
	return json_string_end(p, r->end, ret_marks);
}

/* Behind the value at p, with `around` containers around it; NULL if it is none. */
static const uint8_t *value_end(const struct row *r, uint32_t around, const uint8_t *p)
{
	const struct json_limits limits = { .depth = JSON_DEPTH_DEFAULT - around };
	size_t len;
	if (around >= JSON_DEPTH_DEFAULT)
		return NULL;
	return json_validate(slice_of(p, (size_t)(r->end - p)), &limits, &len, NULL) == RC_OK ? p + len : NULL;
}

/* A step that was not foretold: found in the key table, which learns it as a successor. SHAPE_NONE: left to the tape. */
struct step fast_step(struct shredder *s, uint32_t node, bool first, const uint8_t *p)
{
	struct row *r = &s->row;
	const struct step none = { .edge = SHAPE_NONE, .to = SHAPE_NONE, .unknown = true };
	const uint8_t *from = p, *end = r->end;
	uint32_t marks;
	p = json_space(p, end);
	bool comma = p < end && *p == ',';
	if (p >= end || (first ? *p != '{' : !comma && *p != '}'))
		return none;
	if (first || comma)
		p = json_space(p + 1, end);
	if (p < end && *p == '}' && !comma) {
		r->p = p + 1;
		struct step st = parse_step_end(s, node, from);
		r->edges = shape_edges(s->keys);
		return st.edge == SHAPE_NONE ? none : st;
	}
	const uint8_t *key = p + 1, *close = p < end && *p == '"' ? key_end(r, key, &marks) : NULL;
	if (!close)
		return none;
	p = json_space(close + 1, end);
	if (p >= end || *p != ':')
		return none;
	p = json_space(p + 1, end);
	if (p >= end)
		return none;
	r->p = p;
	struct step st = parse_step_member(s, node, from, slice_of(key, (size_t)(close - key)), marks);
	r->edges = shape_edges(s->keys);
	if (st.edge != SHAPE_NONE)
		*fast_step_slot(s, node, from) = st.edge;
	if (st.to == SHAPE_NONE)
		st.edge = SHAPE_NONE;
	return st;
}

/* A member whose key has no node: to __rest. from: where its literal begins; r->p: its value. */
const uint8_t *fast_rest(struct shredder *s, uint32_t node, const uint8_t *from, const struct step *st)
{
	struct row *r = &s->row;
	const uint8_t *value = r->p;
	if (st->unknown || st->to != SHAPE_NONE)
		return NULL;
	r->p = value_end(r, shape_node_at(s->keys, node)->depth + 1, value);
	if (!r->p)
		return NULL;
	parse_put_rest(s, node, from, value);
	r->edges = shape_edges(s->keys);
	return r->raw ? NULL : r->p;
}

/* Behind the number at p, RFC 8259 section 6; NULL if it is none. */
static const uint8_t *number_end(const uint8_t *p, const uint8_t *end)
{
	p += *p == '-';
	const uint8_t *from = p;
	while (p < end && (uint8_t)(*p - '0') < 10)
		p++;
	if (p == from || (*from == '0' && p - from > 1))
		return NULL;
	if (*p == '.') {
		from = ++p;
		while (p < end && (uint8_t)(*p - '0') < 10)
			p++;
		if (p == from)
			return NULL;
	}
	if ((*p | 0x20) == 'e') {
		p++;
		p += *p == '+' || *p == '-';
		from = p;
		while (p < end && (uint8_t)(*p - '0') < 10)
			p++;
		if (p == from)
			return NULL;
	}
	return p <= end ? p : NULL;
}

/* Behind the value at p, whose kind most values are of; NULL: value_end tells. */
static const uint8_t *plain_end(const struct row *r, const uint8_t *p)
{
	uint32_t marks;
	switch (*p) {
	case '"':
		p = key_end(r, p + 1, &marks);
		return p ? p + 1 : NULL;
	case 't':
		return memcmp(p, "true", 4) == 0 ? p + 4 : NULL;
	case 'f':
		return memcmp(p, "false", 5) == 0 ? p + 5 : NULL;
	case '{':
	case '[':
	case 'n':
		return NULL;
	default:
		return number_end(p, r->end);
	}
}

const uint8_t *fast_rest_again(struct shredder *s, uint32_t node, bool first, const uint8_t *p)
{
	struct row *r = &s->row;
	uint32_t edge = s->binds[node].rest[first], marks;
	if (edge == SHAPE_NONE || r->lists)
		return NULL;
	const struct shape_edge *e = &r->edges[edge];
	const struct shape_node *n = shape_node_at(s->keys, node);
	if (e->len + e->sep > 8 || memcmp(p, e->lit, e->len) != 0 || p[e->len] != '"')
		return NULL;
	const uint8_t *begin = p + e->len + 1, *close = key_end(r, begin, &marks);
	if (!close || marks & JSON_MARK_ESCAPE || memcmp(close + 1, e->lit + e->len, e->sep) != 0)
		return NULL;
	struct slice key = slice_of(begin, (size_t)(close - begin));
	const uint8_t *value = close + 1 + e->sep, *end;
	if (key.len > SHAPE_LITERAL_MAX || n->keys & shape_key_bit(key) || parse_step_unknown(s, node, key) || value >= r->end)
		return NULL;
	end = plain_end(r, value);
	if (!end && !(end = value_end(r, n->depth + 1, value)))
		return NULL;
	if (parse_classes[*value] == 3)
		return NULL;
	fast_emit(r, edge);
	parse_add_rest(s, node, key, slice_of(value, (size_t)(end - value)));
	return r->raw ? NULL : end;
}

const uint8_t *fast_json(struct shredder *s, uint32_t node, struct column *own, uint32_t slot, size_t at, const uint8_t *p)
{
	struct row *r = &s->row;
	const struct bind *b = &s->binds[node];
	const uint8_t *end = value_end(r, shape_node_at(s->keys, node)->depth, p);
	if (!end)
		return NULL;
	struct slice text = slice_of(p, (size_t)(end - p));
	uint32_t edge = r->prev;
	if (json_space(p + 1, end) == end - 1) /* an empty one is the shape's alone, white space or not */
		return NULL;
	if (!parse_json_takes(b, parse_classes[*p], text))
		return NULL;
	uint32_t twin = parse_twin(s, edge);
	r->edges = shape_edges(s->keys);
	struct column *c = &own->children[b->child[PLACE_JSON]];
	if (twin == SHAPE_NONE || !buf_reserve(&c->data, text.len))
		return NULL;
	r->shape.len = at;
	fast_emit(r, twin);
	fast_mark(r, c, slot);
	if ((size_t)c->values + 1 > c->offsets_cap)
		column_grow_offsets(c);
	buf_append_slice(&c->data, text);
	c->offsets[c->values] = (uint32_t)c->data.len;
	fast_count_conflict(r, b, PLACE_JSON);
	return end;
}

uint32_t fast_mixed_edge(struct shredder *s, uint32_t node, unsigned which, uint8_t class, struct slice lit)
{
	static const uint8_t kinds[] = { EDGE_MIXED, EDGE_ELEMENT, EDGE_ELEMENT, EDGE_END };
	uint32_t *last = &s->binds[node].mixed[which];
	if (*last != SHAPE_NONE) {
		const struct shape_edge *e = &s->row.edges[*last];
		if (e->class == class && slice_eq(slice_of(e->lit, e->len), lit))
			return *last;
	}
	*last = shape_edge_add(s->keys, node, kinds[which], class, lit, 0, 0);
	s->row.edges = shape_edges(s->keys);
	return *last;
}

bool fast_turn_mixed(struct shredder *s, uint32_t uniform, size_t start, size_t body, size_t at, uint32_t count)
{
	struct row *r = &s->row;
	const struct shape_edge e = r->edges[uniform];
	size_t first = at - body, last = r->shape.len - at; /* bytes */
	uint32_t mixed = fast_mixed_edge(s, e.from, MIXED_BEGIN, CLASS_SCALAR, SLICE_LIT(""));
	uint32_t open = fast_mixed_edge(s, e.from, MIXED_FIRST, e.class, slice_of(e.lit, e.len));
	uint32_t next = fast_mixed_edge(s, e.from, MIXED_NEXT, e.class, slice_of(e.lit + e.len, e.sep));
	if (mixed == SHAPE_NONE || open == SHAPE_NONE || next == SHAPE_NONE)
		return false;
	buf_reset(&r->scratch);
	buf_append(&r->scratch, r->shape.data + body, first + last);
	r->shape.len = start;
	buf_varint(&r->shape, mixed);
	for (uint32_t i = 0; i < count; i++) {
		buf_varint(&r->shape, i ? next : open);
		buf_append(&r->shape, r->scratch.data, first);
	}
	buf_varint(&r->shape, next);
	buf_append(&r->shape, r->scratch.data + first, last);
	return !r->shape.overflow && buf_reserve(&r->shape, FAST_PAYLOAD_MAX * 3);
}

/* A string with an escape or a control character. from: behind the quote. Returns its closing quote. */
const uint8_t *fast_escaped(struct row *r, struct buf *data, const uint8_t *from)
{
	uint32_t marks;
	size_t text;
	if (!r->trusted && json_validate(slice_of(from - 1, (size_t)(r->end - from + 1)), NULL, &text, NULL) != RC_OK)
		return NULL;
	const uint8_t *close = json_string_end(from, r->end, &marks);
	size_t len = data->len;
	r->marks |= marks;
	if (json_string_unescape(slice_of(from, (size_t)(close - from)), data))
		return close;
	data->len = len;
	return NULL;
}

const uint8_t *fast_odd_number(struct row *r, const struct bind *b, struct column *parent, uint32_t slot, const uint8_t *p)
{
	const uint8_t *end = number_end(p, r->end);
	enum place place;
	uint64_t value;
	bool exact;
	if (!end)
		return NULL;
	struct json_number n = json_number_parse(slice_of(p, (size_t)(end - p)));
	if (!parse_number_home(b, &n, &place, &value, &exact) || !exact)
		return NULL;
	fast_put_eight(r, &parent->children[b->child[place]], slot, value);
	r->conflicts += b->siblings >> place & 1;
	return end;
}

const uint8_t *fast_keep_number(struct shredder *s, uint32_t node, const struct bind *b, struct column *own, uint32_t slot, size_t at,
				const uint8_t *from, const uint8_t *value)
{
	struct row *r = &s->row;
	const uint8_t *end = number_end(value, r->end);
	enum place place;
	uint64_t bits;
	bool exact;
	if (!end || r->lists)
		return NULL;
	struct json_number n = json_number_parse(slice_of(value, (size_t)(end - value)));
	if (!parse_number_home(b, &n, &place, &bits, &exact) || exact)
		return NULL;
	fast_put_eight(r, &own->children[b->child[PLACE_DOUBLE]], slot, bits);
	fast_count_conflict(r, b, PLACE_DOUBLE);
	r->shape.len = at;
	r->p = end;
	parse_put_rest(s, node, from, value);
	r->edges = shape_edges(s->keys);
	return r->raw ? NULL : end;
}

#define FAST_NAME(x) x##_portable
#define FAST_TARGET
#define FAST_AVX2 0
#include "shred/fast_kernel_internal.h"
#undef FAST_NAME
#undef FAST_TARGET
#undef FAST_AVX2

#if defined(__x86_64__)
#define EIGHT(c) 0x0101010101010101 * (c)
static const __m256i fast_stops[] = { { EIGHT('"'), EIGHT('"'), EIGHT('"'), EIGHT('"') },
				      { EIGHT('\\'), EIGHT('\\'), EIGHT('\\'), EIGHT('\\') },
				      { EIGHT(0x1f), EIGHT(0x1f), EIGHT(0x1f), EIGHT(0x1f) } };
#undef EIGHT
#define FAST_NAME(x) x##_avx2
#define FAST_TARGET __attribute__((target("avx2,bmi,bmi2")))
#define FAST_AVX2 1
#include "shred/fast_kernel_internal.h"
#else
bool fast_row_avx2(struct shredder *s, struct batch *b, struct slice payload)
{
	return fast_row_portable(s, b, payload);
}
#endif

bool fast_row(struct shredder *s, struct batch *b, struct slice payload, bool unchecked)
{
	struct row *r = &s->row;
	if (b->adopted != s->schema->field_count)
		batch_adopt_schema(b);
	if (payload.len > FAST_PAYLOAD_MAX)
		return false;
	row_begin(r, payload, s->opt.key_space);
	r->since = s->instances;
	r->edges = shape_edges(s->keys);
	buf_reserve(&r->shape, FAST_PAYLOAD_MAX * 3);
	if (!r->touched)
		r->touched = mem_alloc(FAST_PAYLOAD_MAX * sizeof *r->touched);
	r->trusted = !unchecked;
	r->prev = CLASS_OBJECT;
	parse_emit(r, CLASS_OBJECT);
	bool done = s->simd ? fast_row_avx2(s, b, payload) : fast_row_portable(s, b, payload);
	if (done && r->rest_count > 1)
		parse_rest_unique(r);
	if (done && r->marks & JSON_MARK_ESCAPE) {
		uint32_t dialects = json_text_dialects(payload);
		done = dialects != 0;
		if (done)
			r->shape.data[4] = (uint8_t)json_dialect_pick(dialects);
	}
	if (done && !r->raw && !r->shape.overflow)
		return true;
	fast_undo(s);
	return false;
}
