#include "search/search_internal.h"

#include "json/json.h"

#define VALUE_MAX ((size_t)32 << 20) /* an event is at most so large */

/* ---- text ---- */

static bool word_byte(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;
}

static bool equal_lower(const uint8_t *p, struct slice lower)
{
	for (size_t i = 0; i < lower.len; i++)
		if (search_lower(p[i]) != lower.data[i])
			return false;
	return true;
}

static bool contains(const struct term *t, struct slice text)
{
	struct slice w = t->text;
	if (!w.len)
		return true;
	uint8_t first = w.data[0], upper = first >= 'a' && first <= 'z' ? (uint8_t)(first - 32) : first;
	for (size_t i = 0; i + w.len <= text.len; i++) {
		uint8_t c = text.data[i];
		if ((c != first && c != upper) || !equal_lower(text.data + i, w))
			continue;
		if (t->op == TERM_PHRASE)
			return true;
		bool starts = i == 0 || !word_byte(text.data[i - 1]) || !word_byte(text.data[i]);
		/* "\nword": the letter of an escape is no part of the word behind it */
		if (!starts && i >= 2 && text.data[i - 2] == '\\')
			starts = true;
		size_t end = i + w.len;
		bool ends = t->op == TERM_PREFIX || end == text.len || !word_byte(text.data[end]) || !word_byte(text.data[end - 1]);
		if (starts && ends)
			return true;
	}
	return false;
}

bool term_in_text(const struct term *t, struct slice text)
{
	if (contains(t, text))
		return true;
	/* The words may stand there escaped ("caf\u00e9", "a\/b"): look at the text once more without escapes. */
	if (!memchr(text.data, '\\', text.len))
		return false;
	AUTO_BUF struct buf plain;
	buf_init(&plain, VALUE_MAX * 2);
	json_string_unescape(text, &plain);
	return contains(t, buf_slice(&plain));
}

/* ---- JSON ---- */

static bool compare(enum term_op op, int c)
{
	switch (op) {
	case TERM_LESS:
		return c < 0;
	case TERM_LESS_EQ:
		return c <= 0;
	case TERM_MORE:
		return c > 0;
	case TERM_MORE_EQ:
		return c >= 0;
	default:
		return c == 0;
	}
}

static bool string_matches(const struct term *t, struct slice raw, uint32_t marks)
{
	AUTO_BUF struct buf plain;
	buf_init(&plain, VALUE_MAX * 2);
	if (marks & JSON_MARK_ESCAPE) {
		json_string_unescape(raw, &plain);
		raw = buf_slice(&plain);
	}
	if (t->op == TERM_PREFIX)
		return raw.len >= t->text.len && equal_lower(raw.data, t->text);
	if (t->op == TERM_EQUALS)
		return raw.len == t->text.len && equal_lower(raw.data, t->text);
	return !t->is_number && compare(t->op, slice_cmp(raw, t->text));
}

struct integer {
	bool negative;
	struct slice digits; /* without zeros before them; empty: 0 */
};

static bool integer_of(struct slice s, struct integer *ret)
{
	bool negative = s.len && s.data[0] == '-';
	s = slice_skip(s, negative);
	size_t zeros = 0;
	for (size_t i = 0; i < s.len; i++)
		if (s.data[i] < '0' || s.data[i] > '9')
			return false;
	while (zeros < s.len && s.data[zeros] == '0')
		zeros++;
	*ret = (struct integer){ negative && zeros < s.len, slice_skip(s, zeros) };
	return s.len > 0;
}

static int integer_cmp(struct integer a, struct integer b)
{
	if (a.negative != b.negative)
		return a.negative ? -1 : 1;
	int c = a.digits.len != b.digits.len ? (a.digits.len > b.digits.len) - (a.digits.len < b.digits.len) : slice_cmp(a.digits, b.digits);
	return a.negative ? -c : c;
}

static bool scalar_matches(const struct term *t, struct slice value)
{
	bool number = value.data[0] == '-' || (value.data[0] >= '0' && value.data[0] <= '9');
	if (t->op == TERM_PREFIX) /* of a number, too, as it is written */
		return value.len >= t->text.len && equal_lower(value.data, t->text);
	if (!number || !t->is_number)
		return t->op == TERM_EQUALS && value.len == t->text.len && equal_lower(value.data, t->text);
	if (t->op == TERM_EQUALS && slice_eq(value, t->text))
		return true;
	struct integer mine, wanted; /* doubles do not tell those beyond 2^53 apart */
	if (integer_of(value, &mine) && integer_of(t->text, &wanted))
		return compare(t->op, integer_cmp(mine, wanted));
	char copy[64];
	if (value.len >= sizeof copy)
		return false;
	memcpy(copy, value.data, value.len);
	copy[value.len] = 0;
	double v = strtod(copy, NULL);
	return compare(t->op, (v > t->number) - (v < t->number));
}

/* The value at p: matches itself, or (an array) one of its elements does. Depth is bounded by the validator. */
static bool value_matches(const struct term *t, const uint8_t *p, const uint8_t *end)
{
	if (t->op == TERM_EXISTS)
		return true;
	if (*p == '"') {
		uint32_t marks;
		const uint8_t *close = json_string_end(p + 1, end, &marks);
		return string_matches(t, slice_of(p + 1, (size_t)(close - p - 1)), marks);
	}
	if (*p == '{')
		return false;
	if (*p != '[')
		return scalar_matches(t, slice_of(p, (size_t)(json_value_end(p, end) - p)));
	for (p = json_space(p + 1, end); p < end && *p != ']';) {
		if (value_matches(t, p, end))
			return true;
		p = json_space(json_value_end(p, end), end);
		if (p < end && *p == ',')
			p = json_space(p + 1, end);
	}
	return false;
}

static bool key_equals(struct slice raw, uint32_t marks, struct slice want, bool *ret_prefix)
{
	AUTO_BUF struct buf plain;
	buf_init(&plain, VALUE_MAX * 2);
	if (marks & JSON_MARK_ESCAPE) {
		json_string_unescape(raw, &plain);
		raw = buf_slice(&plain);
	}
	*ret_prefix = want.len > raw.len && want.data[raw.len] == '.' && (raw.len == 0 || memcmp(want.data, raw.data, raw.len) == 0);
	return slice_eq(raw, want);
}

static size_t key_length(struct slice raw, uint32_t marks)
{
	if (!(marks & JSON_MARK_ESCAPE))
		return raw.len;
	AUTO_BUF struct buf plain;
	buf_init(&plain, VALUE_MAX * 2);
	json_string_unescape(raw, &plain);
	return plain.len;
}

/* Walks the containers at p for the dotted path: a key is either the whole rest of the path, or a part of it up to a dot. */
static bool path_matches(const struct term *t, struct slice path, const uint8_t *p, const uint8_t *end)
{
	if (*p == '[') {
		for (p = json_space(p + 1, end); p < end && *p != ']';) {
			if ((*p == '{' || *p == '[') && path_matches(t, path, p, end))
				return true;
			p = json_space(json_value_end(p, end), end);
			if (p < end && *p == ',')
				p = json_space(p + 1, end);
		}
		return false;
	}
	if (*p != '{')
		return false;
	for (p = json_space(p + 1, end); p < end && *p == '"';) {
		uint32_t marks;
		const uint8_t *close = json_string_end(p + 1, end, &marks);
		struct slice key = slice_of(p + 1, (size_t)(close - p - 1));
		p = json_space(json_space(close + 1, end) + 1, end); /* the colon */
		bool prefix;
		if (key_equals(key, marks, path, &prefix) && value_matches(t, p, end))
			return true;
		if (prefix && (*p == '{' || *p == '[') && path_matches(t, slice_skip(path, key_length(key, marks) + 1), p, end))
			return true;
		p = json_space(json_value_end(p, end), end);
		if (p < end && *p == ',')
			p = json_space(p + 1, end);
	}
	return false;
}

bool term_in_json(const struct term *t, struct slice json)
{
	const uint8_t *end = json.data + json.len, *p = json_space(json.data, end);
	return p < end && path_matches(t, t->field, p, end);
}
