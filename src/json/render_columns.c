/* A row that another program wrote into our table: it has no text of its own to restore, so its columns are put together. */
#include "json/render_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "json/number.h"
#include "json/scan.h"

#define DAY_US ((int64_t)86400 * 1000000)
#define TIME_FORMAT(zone) (FORMAT_TIME_BASE + ((zone) * TIME_FRACTIONS + TIME_FRACTION_TRIM) * TIME_SEPARATORS)

/* Which value the slot has; false: it is null. Slots in increasing order: amortised a word each 64. */
static bool value_at(struct renderer *r, struct cursor *c, uint32_t slot, uint32_t *ret)
{
	if (c->turn != r->turn)
		cursor_bind(r, c);
	*ret = slot;
	if (slot >= c->slots || (c->present && !(c->present[slot >> 6] >> (slot & 63) & 1)))
		return false;
	if (c->present) {
		if (slot >> 6 < c->word)
			c->word = c->rank = 0;
		while (c->word < slot >> 6)
			c->rank += (uint32_t)__builtin_popcountll(c->present[c->word++]);
		*ret = c->rank + (uint32_t)__builtin_popcountll(c->present[c->word] & (((uint64_t)1 << (slot & 63)) - 1));
	}
	return *ret < c->values;
}

static void put_text(struct buf *out, struct slice utf8)
{
	buf_byte(out, '"');
	json_string_escape(utf8, JSON_DIALECT_MINIMAL, out);
	buf_byte(out, '"');
}

/* As DuckDB shows bytes: those that are no printable ASCII as \xNN. */
static void put_bytes(struct buf *out, struct slice bytes)
{
	buf_byte(out, '"');
	for (size_t i = 0; i < bytes.len && !out->overflow; i++) {
		uint8_t c = bytes.data[i];
		if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\' && c != '\'')
			buf_byte(out, c);
		else
			buf_printf(out, "\\\\x%02X", c);
	}
	buf_byte(out, '"');
}

static void put_uuid(struct buf *out, const uint8_t *u)
{
	buf_byte(out, '"');
	for (int i = 0; i < 16; i++)
		buf_printf(out, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", u[i]);
	buf_byte(out, '"');
}

/* A moment by its column's format, or by one that shows it; from .. to: the characters of it that are wanted. */
static void put_moment(struct buf *out, int64_t us, unsigned format, unsigned zone, size_t from, size_t to)
{
	char text[JSON_TIME_CHARS];
	size_t n = format ? json_time_format(us, format, text) : 0;
	if (!n)
		n = json_time_format(us, TIME_FORMAT(zone), text);
	to = to < n ? to : n;
	if (n)
		buf_printf(out, "\"%.*s\"", (int)(to - from), text + from);
	else
		buf_printf(out, "\"%lld\"", (long long)us); /* no year of four digits */
}

static void put_double(struct buf *out, double d, enum format format)
{
	char text[JSON_DOUBLE_CHARS];
	buf_append(out, text, json_number_format_double(d, format, text));
}

static void put_float(struct buf *out, float f)
{
	char text[32];
	for (int digits = 6; digits <= 9; digits++) {
		snprintf(text, sizeof text, "%.*g", digits, (double)f);
		if (strtof(text, NULL) == f)
			break;
	}
	buf_append_str(out, isfinite(f) ? text : "null");
}

static void put_decimal(struct buf *out, const struct field *f, const uint8_t *at)
{
	char text[JSON_DECIMAL_CHARS];
	__int128 wide;
	int64_t narrow;
	memcpy(&narrow, at, 8);
	if (f->precision > 18)
		memcpy(&wide, at, 16);
	else
		wide = narrow;
	buf_append(out, text, json_format_decimal(wide, f->scale, text));
}

static void put_fixed(struct buf *out, const struct field *f, const uint8_t *at)
{
	int64_t i = 0;
	int32_t small = 0;
	double d;
	float single;
	size_t width = field_width(f);
	if (width >= 8)
		memcpy(&i, at, 8);
	else if (width >= 4)
		memcpy(&small, at, 4);
	switch (f->type) {
	case TYPE_BOOL:
		buf_append_str(out, *at ? "true" : "false");
		return;
	case TYPE_INT32:
		buf_printf(out, "%d", small);
		return;
	case TYPE_INT64:
		buf_printf(out, "%lld", (long long)i);
		return;
	case TYPE_FLOAT:
		memcpy(&single, at, 4);
		put_float(out, single);
		return;
	case TYPE_DOUBLE:
		memcpy(&d, at, 8);
		put_double(out, d, (enum format)f->format);
		return;
	case TYPE_DECIMAL:
		put_decimal(out, f, at);
		return;
	case TYPE_DATE:
		put_moment(out, small * DAY_US, 0, TIME_ZONE_NONE, 0, 10);
		return;
	case TYPE_TIME:
		put_moment(out, i, 0, TIME_ZONE_NONE, 11, JSON_TIME_CHARS);
		return;
	case TYPE_TIMESTAMP:
	case TYPE_TIMESTAMPTZ:
		put_moment(out, i, f->format, f->type == TYPE_TIMESTAMP ? TIME_ZONE_NONE : TIME_ZONE_Z, 0, JSON_TIME_CHARS);
		return;
	case TYPE_UUID:
		put_uuid(out, at);
		return;
	default:
		put_bytes(out, slice_of(at, width));
	}
}

static void put_value(struct renderer *r, struct cursor *c, uint32_t value, struct buf *out);

/* The slot's value, or null. */
static void put_slot(struct renderer *r, const struct field *f, uint32_t slot, struct buf *out)
{
	struct cursor *c = renderer_cursor(r, f);
	uint32_t value;
	if (value_at(r, c, slot, &value))
		put_value(r, c, value, out);
	else
		buf_append_str(out, "null");
}

/* The members that have a value. At the top level hydrant's own columns are no members. */
static void put_members(struct renderer *r, const struct field *f, uint32_t slot, struct buf *out)
{
	bool first = true;
	buf_byte(out, '{');
	for (uint32_t i = 0; i < f->child_count && !out->overflow; i++) {
		const struct field *m = f->children[i];
		bool payload = m->role == ROLE_PAYLOAD || m->role == ROLE_SIBLING || m->role == ROLE_VALUE;
		struct cursor *c = renderer_cursor(r, m);
		uint32_t value;
		if (!payload || (!f->parent && slice_starts(m->name, SLICE_LIT("__"))) || !value_at(r, c, slot, &value))
			continue;
		if (!first)
			buf_byte(out, ',');
		first = false;
		put_text(out, m->key.len ? m->key : m->name);
		buf_byte(out, ':');
		put_value(r, c, value, out);
	}
	buf_byte(out, '}');
}

/* Keys that are no text in JSON get its quotes. */
static void put_key(struct renderer *r, const struct field *f, uint32_t slot, struct buf *out)
{
	bool bare = f->type <= TYPE_DECIMAL;
	if (bare)
		buf_byte(out, '"');
	if (type_is_nested(f->type))
		buf_append_str(out, "?");
	else
		put_slot(r, f, slot, out);
	if (bare)
		buf_byte(out, '"');
}

static void put_elements(struct renderer *r, const struct cursor *c, uint32_t value, struct buf *out)
{
	const struct field *f = c->field;
	uint32_t from = c->offsets[value], to = c->offsets[value + 1];
	bool map = f->type == TYPE_MAP && f->child_count == 2;
	buf_byte(out, map ? '{' : '[');
	for (uint32_t i = from; i < to && f->child_count && !out->overflow; i++) {
		if (i > from)
			buf_byte(out, ',');
		if (map) {
			put_key(r, f->children[0], i, out);
			buf_byte(out, ':');
		}
		put_slot(r, f->children[map], i, out);
	}
	buf_byte(out, map ? '}' : ']');
}

/* Recursion: by the depth of the schema, which is limited where it comes from. */
static void put_value(struct renderer *r, struct cursor *c, uint32_t value, struct buf *out)
{
	const struct field *f = c->field;
	struct slice text;
	switch (f->type) {
	case TYPE_STRUCT:
		put_members(r, f, value, out);
		return;
	case TYPE_LIST:
	case TYPE_MAP:
		put_elements(r, c, value, out);
		return;
	case TYPE_BINARY:
		put_bytes(out, column_bytes_at(c->col, value));
		return;
	case TYPE_STRING:
		text = column_bytes_at(c->col, value);
		if (f->format == FORMAT_JSON && json_validate_all(text, NULL, NULL, NULL) == RC_OK)
			buf_append_slice(out, text);
		else
			put_text(out, text);
		return;
	default:
		put_fixed(out, f, c->data + (size_t)value * field_width(f));
	}
}

rc_t renderer_columns(struct renderer *r, uint32_t row, struct buf *out, struct err *reterr)
{
	if (row >= r->rows)
		return err_set(reterr, RC_INVALID, "row %u: the batch has %u rows", row, r->rows);
	put_members(r, r->schema->root, row, out);
	return out->overflow ? err_set(reterr, RC_LIMIT, "row %u is longer than the %zu bytes of its buffer", row, out->max) : RC_OK;
}
