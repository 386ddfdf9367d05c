#include "sql/render_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "os/clock.h"

bool view_is_null(const struct view *v, uint64_t row)
{
	return v->kind->type == DUCK_SQLNULL || !duck_valid(v->validity, row);
}

void render_json_string(struct buf *out, struct slice s)
{
	static const char hex[] = "0123456789abcdef";
	buf_byte(out, '"');
	size_t from = 0;
	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = s.data[i];
		if (c >= ' ' && c != '"' && c != '\\' && c != 0x7f)
			continue;
		buf_append(out, s.data + from, i - from);
		from = i + 1;
		const char *letter = strchr("\"\"\\\\\bb\ff\nn\rr\tt", c);
		if (c && letter && (letter[0] == '"' || letter[0] == '\\' || c < ' ')) {
			buf_byte(out, '\\');
			buf_byte(out, (uint8_t)letter[1]);
		} else {
			buf_append_str(out, "\\u00");
			buf_byte(out, (uint8_t)hex[c >> 4]);
			buf_byte(out, (uint8_t)hex[c & 15]);
		}
	}
	buf_append(out, s.data + from, s.len - from);
	buf_byte(out, '"');
}

/* The decimal digits of a magnitude, with a point before the last `scale` of them. */
static void put_digits(struct buf *out, bool negative, unsigned __int128 magnitude, unsigned scale)
{
	char digits[48];
	size_t n = 0;
	do {
		digits[n++] = (char)('0' + (int)(magnitude % 10));
		magnitude /= 10;
	} while (magnitude || n <= scale);
	if (negative)
		buf_byte(out, '-');
	while (n) {
		if (n == scale && scale)
			buf_byte(out, '.');
		buf_byte(out, (uint8_t)digits[--n]);
	}
}

static void put_signed(struct buf *out, __int128 v, unsigned scale)
{
	put_digits(out, v < 0, v < 0 ? -(unsigned __int128)v : (unsigned __int128)v, scale);
}

#define AT(type, v, row)                                                                    \
	({                                                                                  \
		type at_;                                                                   \
		memcpy(&at_, (v)->data + (size_t)(row) * sizeof(at_), sizeof(at_));         \
		at_;                                                                        \
	})

/* Any of the integer types, widened. */
static __int128 integer_at(const struct view *v, int type, uint64_t row)
{
	switch (type) {
	case DUCK_TINYINT:
		return AT(int8_t, v, row);
	case DUCK_SMALLINT:
		return AT(int16_t, v, row);
	case DUCK_INTEGER:
		return AT(int32_t, v, row);
	case DUCK_UTINYINT:
		return AT(uint8_t, v, row);
	case DUCK_USMALLINT:
		return AT(uint16_t, v, row);
	case DUCK_UINTEGER:
		return AT(uint32_t, v, row);
	case DUCK_UBIGINT:
		return AT(uint64_t, v, row);
	case DUCK_HUGEINT:
		return AT(__int128, v, row);
	default:
		return AT(int64_t, v, row);
	}
}

/* The shortest text that reads back as the same number. JSON has no word for what is no number: null. */
static void put_double(struct buf *out, double x, bool is_float, bool json)
{
	char text[40];
	if (!isfinite(x)) {
		buf_append_str(out, json ? "null" : isnan(x) ? "nan" : x < 0 ? "-inf" : "inf");
		return;
	}
	for (int digits = is_float ? 6 : 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, x);
		if (is_float ? strtof(text, NULL) == (float)x : strtod(text, NULL) == x)
			break;
	}
	buf_append_str(out, text);
	if (!strpbrk(text, ".e"))
		buf_append_str(out, ".0");
}

static void put_date(struct buf *out, int64_t days)
{
	int year, month, day;
	date_from_days(days, &year, &month, &day);
	buf_printf(out, "%04d-%02d-%02d", year, month, day);
}

/* HH:MM:SS and as many groups of three fraction digits as it takes; `fraction` of a second has `digits` digits. */
static void put_clock(struct buf *out, int64_t seconds, int64_t fraction, int digits)
{
	buf_printf(out, "%02d:%02d:%02d", (int)(seconds / 3600), (int)(seconds / 60 % 60), (int)(seconds % 60));
	if (!fraction)
		return;
	while (fraction % 1000 == 0) {
		fraction /= 1000;
		digits -= 3;
	}
	buf_printf(out, ".%0*lld", digits, (long long)fraction);
}

/* `units` since the epoch, 10^digits of them a second. */
static void put_timestamp(struct buf *out, int64_t units, int digits, bool utc)
{
	if (units == INT64_MAX || units == -INT64_MAX) {
		buf_append_str(out, units < 0 ? "-infinity" : "infinity");
		return;
	}
	int64_t a_second = 1;
	for (int i = 0; i < digits; i++)
		a_second *= 10;
	int64_t seconds = units / a_second, fraction = units % a_second;
	if (fraction < 0) {
		fraction += a_second;
		seconds--;
	}
	int64_t days = seconds / 86400, of_day = seconds % 86400;
	if (of_day < 0) {
		of_day += 86400;
		days--;
	}
	put_date(out, days);
	buf_byte(out, 'T');
	put_clock(out, of_day, fraction, digits);
	if (utc)
		buf_byte(out, 'Z');
}

static void put_uuid(struct buf *out, const struct view *v, uint64_t row)
{
	unsigned __int128 u = AT(unsigned __int128, v, row) ^ ((unsigned __int128)1 << 127); /* stored so that it sorts */
	for (int i = 0; i < 16; i++)
		buf_printf(out, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", (unsigned)(u >> (120 - 8 * i)) & 255);
}

/* Printable ASCII as it is, everything else and the backslash as \xHH. */
static void put_blob(struct buf *out, struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.data[i] >= ' ' && s.data[i] < 0x7f && s.data[i] != '\\')
			buf_byte(out, s.data[i]);
		else
			buf_printf(out, "\\x%02X", s.data[i]);
	}
}

static struct slice string_at(const struct view *v, uint64_t row)
{
	const struct duck_string *s = (const struct duck_string *)(const void *)(v->data + row * sizeof(*s));
	return slice_of(duck_string_data(s), s->length);
}

static struct slice label_at(const struct view *v, uint64_t row)
{
	__int128 i = integer_at(v, v->kind->storage, row);
	return i >= 0 && i < v->kind->label_count ? slice_str(v->kind->labels[i]) : (struct slice){ 0 };
}

/* JSON text on one line: white space outside strings is the only place where a raw line end can be. */
static void put_json_text(struct buf *out, struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		buf_byte(out, s.data[i] == '\n' || s.data[i] == '\r' ? ' ' : s.data[i]);
}

/* Scalars whose JSON is a string of their text. */
static bool put_quoted_kinds(const struct view *v, uint64_t row, struct buf *out)
{
	switch (v->kind->type) {
	case DUCK_TIMESTAMP:
	case DUCK_TIMESTAMP_TZ:
		put_timestamp(out, AT(int64_t, v, row), 6, v->kind->type == DUCK_TIMESTAMP_TZ);
		return true;
	case DUCK_TIMESTAMP_S:
		put_timestamp(out, AT(int64_t, v, row), 0, false);
		return true;
	case DUCK_TIMESTAMP_MS:
		put_timestamp(out, AT(int64_t, v, row), 3, false);
		return true;
	case DUCK_TIMESTAMP_NS:
		put_timestamp(out, AT(int64_t, v, row), 9, false);
		return true;
	case DUCK_DATE: {
		int32_t days = AT(int32_t, v, row);
		if (days == INT32_MAX || days == -INT32_MAX)
			buf_append_str(out, days < 0 ? "-infinity" : "infinity");
		else
			put_date(out, days);
		return true;
	}
	case DUCK_TIME: {
		int64_t us = AT(int64_t, v, row);
		put_clock(out, us / 1000000, us % 1000000, 6);
		return true;
	}
	case DUCK_UUID:
		put_uuid(out, v, row);
		return true;
	case DUCK_BLOB:
		put_blob(out, string_at(v, row));
		return true;
	default:
		return false;
	}
}

/* Scalars whose JSON is their text. */
static void put_plain_kinds(const struct view *v, uint64_t row, struct buf *out, bool json)
{
	switch (v->kind->type) {
	case DUCK_BOOLEAN:
		buf_append_str(out, AT(uint8_t, v, row) ? "true" : "false");
		break;
	case DUCK_FLOAT:
		put_double(out, AT(float, v, row), true, json);
		break;
	case DUCK_DOUBLE:
		put_double(out, AT(double, v, row), false, json);
		break;
	case DUCK_UHUGEINT:
		put_digits(out, false, AT(unsigned __int128, v, row), 0);
		break;
	case DUCK_DECIMAL:
		put_signed(out, integer_at(v, v->kind->storage, row), v->kind->scale);
		break;
	default:
		put_signed(out, integer_at(v, v->kind->type, row), 0);
	}
}

void render_text(const struct view *v, uint64_t row, struct buf *out)
{
	if (view_is_null(v, row))
		return;
	if (v->kind->child_count || v->kind->type == DUCK_STRUCT)
		render_json(v, row, out);
	else if (v->kind->type == DUCK_VARCHAR)
		buf_append_slice(out, string_at(v, row));
	else if (v->kind->type == DUCK_ENUM)
		buf_append_slice(out, label_at(v, row));
	else if (!put_quoted_kinds(v, row, out))
		put_plain_kinds(v, row, out, false);
}

static void put_json_map(const struct view *v, struct duck_list_entry e, struct buf *out)
{
	AUTO_BUF struct buf key;
	buf_init(&key, BUF_MAX_DEFAULT);
	buf_byte(out, '{');
	for (uint64_t i = 0; i < e.length; i++) {
		if (i)
			buf_byte(out, ',');
		buf_reset(&key);
		render_text(&v->children[0], e.offset + i, &key);
		render_json_string(out, buf_slice(&key));
		buf_byte(out, ':');
		render_json(&v->children[1], e.offset + i, out);
	}
	buf_byte(out, '}');
}

static void put_json_list(const struct view *v, struct duck_list_entry e, struct buf *out)
{
	buf_byte(out, '[');
	for (uint64_t i = 0; i < e.length; i++) {
		if (i)
			buf_byte(out, ',');
		render_json(&v->children[0], e.offset + i, out);
	}
	buf_byte(out, ']');
}

static void put_json_struct(const struct view *v, uint64_t row, struct buf *out)
{
	buf_byte(out, '{');
	for (uint32_t i = 0; i < v->kind->child_count; i++) {
		if (i)
			buf_byte(out, ',');
		render_json_string(out, slice_str(v->kind->labels[i]));
		buf_byte(out, ':');
		render_json(&v->children[i], row, out);
	}
	buf_byte(out, '}');
}

/* Recurses as deep as the type, which kind_resolve bounds. */
void render_json(const struct view *v, uint64_t row, struct buf *out)
{
	if (view_is_null(v, row)) {
		buf_append_str(out, "null");
		return;
	}
	switch (v->kind->type) {
	case DUCK_VARCHAR:
		if (v->kind->is_json)
			put_json_text(out, string_at(v, row));
		else
			render_json_string(out, string_at(v, row));
		return;
	case DUCK_ENUM:
		render_json_string(out, label_at(v, row));
		return;
	case DUCK_LIST:
		put_json_list(v, AT(struct duck_list_entry, v, row), out);
		return;
	case DUCK_ARRAY:
		put_json_list(v, (struct duck_list_entry){ row * v->kind->array_size, v->kind->array_size }, out);
		return;
	case DUCK_MAP:
		put_json_map(v, AT(struct duck_list_entry, v, row), out);
		return;
	case DUCK_STRUCT:
		put_json_struct(v, row, out);
		return;
	default:
		break;
	}
	size_t at = out->len;
	buf_byte(out, '"');
	if (put_quoted_kinds(v, row, out)) {
		/* none of these texts has a character to escape but a blob's backslash */
		if (v->kind->type == DUCK_BLOB) {
			AUTO_BUF struct buf text;
			buf_init(&text, BUF_MAX_DEFAULT);
			put_blob(&text, string_at(v, row));
			out->len = at;
			render_json_string(out, buf_slice(&text));
		} else {
			buf_byte(out, '"');
		}
	} else {
		out->len = at;
		put_plain_kinds(v, row, out, true);
	}
}
