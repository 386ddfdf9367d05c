/* The id of an event, where its collection declares one (id_field): found in the text at the moment of the ack, before anything is parsed. */
#include "json/scan.h"
#include "json/string.h"
#include "pipeline/pipeline_internal.h"

/* The text of a string, without its quotes; in `a` if it is another than what stands there. False: no text (a lone surrogate). */
static bool plain_text(const uint8_t *from, const uint8_t *to, uint32_t marks, struct arena *a, struct slice *ret)
{
	*ret = slice_of(from, (size_t)(to - from));
	if (!(marks & JSON_MARK_ESCAPE))
		return true;
	AUTO_BUF struct buf text;
	buf_init(&text, ret->len + 1);
	if (!json_string_unescape(*ret, &text))
		return false;
	*ret = arena_copy(a, buf_slice(&text));
	return true;
}

/* What is left of path behind this key: NULL, it does not lead on; "", here. */
static const char *behind(const char *path, struct slice key)
{
	size_t len = strlen(path); /* a key may hold NUL, and be longer */
	if (key.len > len || memcmp(path, key.data, key.len) != 0 || (path[key.len] && path[key.len] != '.'))
		return NULL;
	return path[key.len] ? path + key.len + 1 : path + key.len;
}

struct slice event_id(struct slice payload, const char *path, struct arena *a)
{
	const struct slice none = { 0 };
	const uint8_t *end = payload.data + payload.len, *p = json_space(payload.data, end);
	uint32_t marks;
	while (p < end && *p == '{') { /* one object deeper each time */
		const uint8_t *found = NULL;
		const char *rest = NULL;
		p = json_space(p + 1, end);
		while (p < end && *p == '"') {
			struct slice key;
			const uint8_t *from = p + 1, *to = json_string_end(from, end, &marks);
			bool text = plain_text(from, to, marks, a, &key);
			p = json_space(to + 1, end);
			p = json_space(p + 1, end);
			const char *then = text ? behind(path, key) : NULL;
			if (then && (!*then || *p == '{')) { /* of a key that is there twice the last one counts, as in the columns */
				found = p;
				rest = then;
			}
			p = json_space(json_value_end(p, end), end);
			if (p < end && *p == ',')
				p = json_space(p + 1, end);
		}
		if (!found)
			return none;
		p = found;
		path = rest;
		if (!*path)
			break;
	}
	if (*path || p >= end)
		return none;
	if (*p == '"') {
		struct slice id;
		const uint8_t *to = json_string_end(p + 1, end, &marks);
		return plain_text(p + 1, to, marks, a, &id) ? id : none;
	}
	return *p == '-' || (*p >= '0' && *p <= '9') ? slice_of(p, (size_t)(json_number_end(p, end) - p)) : none;
}
