/* Scalars: which column of its node a value fits, and whether its text comes back from there. */
#include <math.h>

#include "shred/parse_internal.h"
#include "json/number.h"
#include "json/scan.h"
#include "json/time.h"

static inline void put_eight(struct row *r, const struct bind *b, enum place place, const void *value)
{
	struct tape_entry *e = tape_push(r, OP_EIGHT, b->child[place]);
	memcpy(&e->value, value, 8);
	r->conflicts += b->siblings >> place & 1;
}

static enum outcome put_int(struct row *r, const struct bind *b, int64_t i)
{
	if (b->int_to_double && i >= -PARSE_EXACT_INT && i <= PARSE_EXACT_INT) {
		double d = (double)i;
		put_eight(r, b, PLACE_DOUBLE, &d);
		if (!(b->double_mask & NUM_FORMAT_SHORT) && !(b->double_mask & json_number_int_formats(i)))
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

bool parse_number_home(const struct bind *b, const struct json_number *n, enum place *ret_place, uint64_t *ret_value, bool *ret_exact)
{
	bool integer = n->kind == NUM_INT64 && !(b->int_to_double && n->i64 >= -PARSE_EXACT_INT && n->i64 <= PARSE_EXACT_INT);
	*ret_value = (uint64_t)n->i64;
	*ret_exact = true;
	if (integer || (n->kind == NUM_DECIMAL && b->child[PLACE_DECIMAL] != NO_CHILD && n->scale == b->scale)) {
		*ret_place = integer ? PLACE_INT : PLACE_DECIMAL;
	} else {
		if (n->kind == NUM_BIGINT || !isfinite(n->f64))
			return false;
		*ret_place = PLACE_DOUBLE;
		*ret_exact = n->formats & b->double_mask;
		memcpy(ret_value, &n->f64, 8);
	}
	return b->child[*ret_place] != NO_CHILD;
}

static enum outcome put_number_slow(struct row *r, const struct bind *b, struct slice text)
{
	struct json_number num = json_number_parse(text);
	__int128 wide;
	uint8_t scale;
	enum place place;
	uint64_t value;
	bool exact;
	if (num.kind == NUM_INT64)
		return put_int(r, b, num.i64);
	if (num.kind == NUM_BIGINT) {
		if (b->child[PLACE_BIGINT] == NO_CHILD || num.digits > 38 || !json_number_int128(text, &wide, &scale) || scale)
			return HOMELESS;
		tape_push(r, OP_WIDE, b->child[PLACE_BIGINT])->value = r->wide.len / sizeof wide;
		buf_append(&r->wide, &wide, sizeof wide);
		r->conflicts += b->siblings >> PLACE_BIGINT & 1;
		return HOME;
	}
	if (!parse_number_home(b, &num, &place, &value, &exact))
		return HOMELESS;
	put_eight(r, b, place, &value);
	if (!exact)
		r->raw |= RAW_NUMBER;
	return HOME;
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

struct slice parse_unescape(struct row *r, struct slice raw)
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
	parse_put_bytes(r, b, PLACE_STRING, marks & JSON_MARK_ESCAPE ? parse_unescape(r, raw) : raw);
	return HOME;
}

enum outcome parse_scalar(struct shredder *s, uint32_t node)
{
	struct row *r = &s->row;
	const struct bind *b = &s->binds[node];
	uint8_t c = *r->p;
	if (c == '"')
		return parse_string(r, b);
	if (c == 'n') {
		r->p += 4;
		r->nulls++;
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
