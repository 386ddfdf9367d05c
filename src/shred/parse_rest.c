/* Values without a column: JSON text in x__json, or a key's entry in __rest. */
#include <math.h>

#include "base/hash.h"
#include "shred/parse_internal.h"
#include "json/number.h"
#include "json/scan.h"

#define REST_FEW     8 /* entries that are compared each with each */
#define PATHS_FACTOR 4 /* paths of a row's __rest hold at most so many times the payload's bytes */

/* The raw key in a member's literal. */
struct slice parse_literal_key(const uint8_t *from, const uint8_t *to, uint32_t *ret_marks)
{
	const uint8_t *open = memchr(from, '"', (size_t)(to - from));
	const uint8_t *close = json_string_end(open + 1, to, ret_marks);
	return slice_of(open + 1, (size_t)(close - open - 1));
}

static void path_append(const struct shape_keys *keys, uint32_t node, struct buf *out)
{
	if (node == SHAPE_ROOT_NODE)
		return;
	path_append(keys, shape_node_at(keys, node)->parent, out);
	buf_append_slice(out, shape_node_at(keys, node)->key);
	buf_byte(out, '.');
}

/* The edge of a member whose literal is `open` bytes at from, a key, and `sep` bytes in front of value. */
static uint32_t rest_edge(struct shredder *s, uint32_t node, const uint8_t *from, size_t open, const uint8_t *value, size_t sep)
{
	struct row *r = &s->row;
	uint32_t *last = &s->binds[node].rest[*from == '{'];
	if (*last != SHAPE_NONE) {
		const struct shape_edge *e = shape_edge_at(s->keys, *last);
		if (e->len == open && e->sep == sep && memcmp(e->lit, from, open) == 0 && memcmp(e->lit + open, value - sep, sep) == 0)
			return *last;
	}
	buf_reset(&r->scratch);
	buf_append(&r->scratch, from, open);
	buf_append(&r->scratch, value - sep, sep);
	*last = shape_edge_add(s->keys, node, EDGE_REST, CLASS_SCALAR, buf_slice(&r->scratch), sep, 0);
	return *last;
}

static uint64_t path_print(struct slice path)
{
	uint64_t a = 0, b = 0;
	if (path.len < 8) {
		for (size_t i = 0; i < path.len; i++)
			a = a << 8 | path.data[i];
		return a;
	}
	memcpy(&a, path.data + path.len - 8, 8);
	memcpy(&b, path.data + path.len / 2 - 4, 8);
	return a * 0x9e3779b97f4a7c15u + b;
}

void parse_add_rest(struct shredder *s, uint32_t node, struct slice key, struct slice text)
{
	struct row *r = &s->row;
	if (r->rest_count == r->rest_cap) {
		r->rest_cap = r->rest_cap ? r->rest_cap * 2 : 16;
		r->rest = mem_realloc(r->rest, r->rest_cap * sizeof *r->rest);
	}
	size_t at = r->paths.len;
	if (r->rest_node == node && r->rest_count && buf_reserve(&r->paths, r->rest_prefix)) {
		if (r->rest_prefix)
			memcpy(r->paths.data + at, r->paths.data + r->rest[r->rest_count - 1].path_at, r->rest_prefix);
		r->paths.len = at + r->rest_prefix;
	} else {
		path_append(s->keys, node, &r->paths);
		r->rest_node = node;
		r->rest_prefix = r->paths.len - at;
	}
	buf_append_slice(&r->paths, key);
	if (r->paths.len > PATHS_FACTOR * (size_t)(r->end - r->payload) + SHAPE_LITERAL_MAX) {
		r->raw |= RAW_OTHER; /* long paths times many keys: no more of them */
		r->paths.len = at;
		return;
	}
	r->rest[r->rest_count++] = (struct rest_entry){ .path_at = at,
							.path_len = r->paths.len - at,
							.print = path_print(slice_of(r->paths.data + at, r->paths.len - at)),
							.text = text };
}

void parse_put_rest(struct shredder *s, uint32_t node, const uint8_t *from, const uint8_t *value)
{
	struct row *r = &s->row;
	uint32_t marks;
	struct slice key = parse_literal_key(from, value, &marks);
	size_t open = (size_t)(key.data - 1 - from), sep = (size_t)(value - (key.data + key.len + 1));
	if (r->lists || key.len > SHAPE_LITERAL_MAX) {
		r->raw |= RAW_OTHER;
		return;
	}
	if (marks & JSON_MARK_ESCAPE) {
		r->raw |= RAW_OTHER; /* the shape has no place for how the key is written */
		buf_reset(&r->scratch); /* in row.text there is room for it once, and a step may have put it there */
		if (json_string_unescape(key, &r->scratch))
			parse_add_rest(s, node, buf_slice(&r->scratch), slice_of(value, (size_t)(r->p - value)));
		return;
	}
	parse_emit(r, rest_edge(s, node, from, open, value, sep));
	parse_add_rest(s, node, key, slice_of(value, (size_t)(r->p - value)));
}

void parse_keep_text(struct shredder *s, uint32_t node, const struct mark *m, const uint8_t *from)
{
	struct row *r = &s->row;
	r->shape.len = m->shape;
	r->rest_count = m->rest;
	r->rest_node = SHAPE_NONE;
	r->paths.len = m->paths;
	r->raw = m->raw;
	parse_put_rest(s, node, from, m->value);
}

uint32_t parse_twin(struct shredder *s, uint32_t edge)
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

void mark_restore(struct row *r, const struct mark *m)
{
	r->tape_count = m->tape;
	r->rest_count = m->rest;
	r->rest_node = SHAPE_NONE;
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
bool parse_json_takes(const struct bind *b, uint8_t class, struct slice text)
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
enum outcome parse_settle(struct shredder *s, uint32_t node, const struct step *st, const struct mark *m, const uint8_t *from)
{
	struct row *r = &s->row;
	const struct bind *b = &s->binds[st->to];
	mark_restore(r, m);
	r->p = json_value_end(m->value, r->end);
	if (!parse_json_takes(b, st->class, slice_of(m->value, (size_t)(r->p - m->value))) &&
	    parse_may_infer(s, NULL, SLICE_LIT("")))
		return UNKNOWN;
	r->prev = st->edge != SHAPE_NONE ? st->edge : r->prev;
	if (b->child[PLACE_JSON] == NO_CHILD) {
		parse_put_rest(s, node, from, m->value);
		return HOME;
	}
	parse_emit(r, parse_twin(s, st->edge));
	parse_put_bytes(r, b, PLACE_JSON, slice_of(m->value, (size_t)(r->p - m->value)));
	return HOME;
}

/* Is no path there twice, as far as their prints tell? */
static bool rest_differs(const struct row *r)
{
	uint64_t same = 0;
	for (uint32_t i = 1; i < r->rest_count; i++)
		for (uint32_t k = 0; k < i; k++)
			same |= r->rest[i].print == r->rest[k].print;
	return !same;
}

/* A path twice in __rest (a duplicate key, or "a.b" beside {"a":{"b":…}}): maps hold a key once, the last stays. Entries without text, which
 * a duplicate key has blanked, go as well. */
void parse_rest_unique(struct row *r)
{
	uint32_t cap = 4, kept = 0;
	if (!(r->raw & RAW_DUPLICATE) && r->rest_count <= REST_FEW && rest_differs(r))
		return;
	while (cap < r->rest_count * 2)
		cap *= 2;
	buf_reset(&r->scratch);
	buf_reserve(&r->scratch, cap * sizeof(uint32_t));
	uint32_t *slots = (uint32_t *)r->scratch.data;
	memset(slots, 0, cap * sizeof *slots);
	for (uint32_t i = r->rest_count; i-- > 0;) {
		struct rest_entry *e = &r->rest[i];
		if (!e->text.len)
			continue;
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
