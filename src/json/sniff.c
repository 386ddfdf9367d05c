/* What is it? The rule is written in frame.h; the order of the questions here is the order there. */
#include "json/frame_internal.h"

static struct slice from_to(const uint8_t *from, const uint8_t *to)
{
	return slice_of(from, (size_t)(to - from));
}

static bool is_value(struct slice s)
{
	return json_validate_all(s, NULL, NULL, NULL) == RC_OK;
}

/* Behind the value is nothing, or what only a slip of JSON would put there (not "] Linux version"). */
static bool json_goes_on(const uint8_t *p, const uint8_t *end)
{
	const uint8_t *lf = memchr(p, '\n', (size_t)(end - p));
	p = json_space(p, lf ? lf : end);
	return p == (lf ? lf : end) || memchr(",]}{[\"", *p, 6);
}

/* Is the input one line whose first bracket is closed by its last byte? */
static bool is_bracketed_line(const uint8_t *p, const uint8_t *end)
{
	int depth = 0;
	while (end > p && json_is_space(end[-1]))
		end--;
	for (; p < end; p++) {
		if (*p == '\n')
			return false;
		depth += *p == '[' ? 1 : *p == ']' ? -1 : 0;
		if (depth == 0)
			return p + 1 == end;
	}
	return false;
}

/* p: a [ . Is it meant as JSON, or is it "[main] INFO"? */
static bool array_is_meant(const uint8_t *p, const uint8_t *end, bool whole)
{
	struct json_error e = { 0 };
	size_t behind;
	rc_t rc = json_validate(from_to(p, end), NULL, &behind, &e);
	if (rc == RC_OK)
		return json_goes_on(p + behind, end);
	if (rc == RC_LIMIT || e.truncated) /* nobody opens so many brackets by chance */
		return true;
	const uint8_t *first = json_space(p + 1, end);
	if (*first == '{') { /* objects with a slip in one of them */
		const uint8_t *key = json_space(first + 1, end);
		return key == end || *key == '"' || *key == '}';
	}
	if (json_validate(from_to(first, end), NULL, &behind, &e) == RC_OK) {
		const uint8_t *next = json_space(first + behind, end);
		if (next == end || *next == ',')
			return true;
	} else if (e.truncated) {
		return true;
	}
	return whole && is_bracketed_line(p, end);
}

/* Does any line that begins with { hold a whole object? */
static bool has_object_line(const uint8_t *p, const uint8_t *end)
{
	for (const uint8_t *lf; p < end && (lf = memchr(p, '\n', (size_t)(end - p))); p = lf + 1)
		if (*p == '{' && is_value(from_to(p, lf)))
			return true;
	return p < end && *p == '{' && is_value(from_to(p, end));
}

/* Is every line that ends in here one value, or blank? */
static bool all_value_lines(const uint8_t *p, const uint8_t *end, bool whole)
{
	while (p < end) {
		const uint8_t *lf = memchr(p, '\n', (size_t)(end - p)), *stop = lf ? lf : end;
		if ((lf || whole) && json_space(p, stop) < stop && !is_value(from_to(p, stop)))
			return false;
		p = lf ? lf + 1 : end;
	}
	return true;
}

/* p: the first byte that is not white space. The kind of JSON it is, or CUT_UNKNOWN for none. meant: the caller says it is JSON. */
static enum cut_mode sniff_json(const uint8_t *p, const uint8_t *end, bool whole, bool meant)
{
	const uint8_t *lf = memchr(p, '\n', (size_t)(end - p)), *rest = lf ? json_space(lf, end) : end;
	const uint8_t *near = (size_t)(end - p) > SNIFF_LINES ? p + SNIFF_LINES : end;
	const uint8_t *far = (size_t)(end - p) > SNIFF_MAX ? p + SNIFF_MAX : end;
	bool near_whole = whole && near == end, far_whole = whole && far == end;
	bool container = *p == '{' || *p == '[';
	if (!container && !memchr("\"-0123456789tfn", *p, 15))
		return meant ? CUT_VALUES : CUT_UNKNOWN;
	bool first_line = rest < end && is_value(from_to(p, lf));
	if (first_line && (container || meant || all_value_lines(p, near, near_whole)))
		return CUT_NDJSON;
	if (*p == '[')
		return meant || array_is_meant(p, far, far_whole) ? CUT_ARRAY : CUT_UNKNOWN;
	if (*p == '{') {
		size_t behind;
		struct json_error e = { 0 };
		bool value = json_validate(from_to(p, far), NULL, &behind, &e) == RC_OK;
		return !value && !e.truncated && rest < end && has_object_line(lf + 1, near > lf ? near : lf + 1) ? CUT_NDJSON : CUT_VALUES;
	}
	return meant || (whole && rest == end && is_value(from_to(p, end))) ? CUT_VALUES : CUT_UNKNOWN;
}

static bool is_text(struct slice s, bool whole)
{
	if (s.len > SNIFF_MAX) {
		s.len = SNIFF_MAX;
		whole = false;
	}
	size_t valid;
	if (memchr(s.data, 0, s.len))
		return false;
	return json_utf8_valid(s, &valid) || (!whole && s.len - valid < 4); /* the cut may go through a character */
}

static enum cut_mode sniff_auto(struct slice window, bool whole, bool hurry, bool meant, bool body_is_event)
{
	const uint8_t *end = window.data + window.len, *p = json_space(window.data + (starts_with_bom(window) ? 3 : 0), end);
	bool enough = whole || window.len >= SNIFF_MAX;
	if (p == end)
		return !enough ? CUT_UNKNOWN : meant || body_is_event ? CUT_VALUES : CUT_TEXT; /* blank is no text event */
	if (!enough) { /* in a hurry: the first line must be whole and something follow */
		const uint8_t *lf = memchr(p, '\n', (size_t)(end - p));
		if (!hurry || !lf || json_space(lf, end) == end)
			return CUT_UNKNOWN;
	}
	enum cut_mode mode = sniff_json(p, end, whole, meant);
	if (mode != CUT_UNKNOWN)
		return mode;
	return is_text(window, whole) ? CUT_TEXT : CUT_RAW;
}

enum cut_mode sniff(struct slice window, bool whole, bool hurry, enum frame_format asked, bool body_is_event)
{
	static const uint8_t nothing[1];
	enum cut_mode mode = CUT_RAW;
	if (!window.data)
		window.data = nothing;
	switch (asked) {
	case FRAME_NDJSON:
		mode = CUT_NDJSON;
		break;
	case FRAME_TEXT:
		mode = CUT_TEXT;
		break;
	case FRAME_RAW:
		break;
	case FRAME_JSON:
	case FRAME_AUTO:
		mode = asked == FRAME_JSON && body_is_event ? CUT_SINGLE : sniff_auto(window, whole, hurry, asked == FRAME_JSON, body_is_event);
		break;
	}
	if (!body_is_event || mode == CUT_RAW)
		return mode;
	return mode == CUT_TEXT ? CUT_WHOLE_TEXT : CUT_SINGLE;
}

enum frame_format cut_format(enum cut_mode mode)
{
	switch (mode) {
	case CUT_NDJSON:
		return FRAME_NDJSON;
	case CUT_VALUES:
	case CUT_ARRAY:
	case CUT_SINGLE:
		return FRAME_JSON;
	case CUT_TEXT:
	case CUT_WHOLE_TEXT:
		return FRAME_TEXT;
	case CUT_RAW:
		return FRAME_RAW;
	case CUT_UNKNOWN:
		break;
	}
	return FRAME_AUTO;
}
