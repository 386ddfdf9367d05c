/* The cutter: finds the next event in a window of the input. Every mode leaves between pos and the payload exactly the framing. */
#include "json/frame_internal.h"
#include "json/scan_internal.h"

void cut_init(struct cutter *c, enum cut_mode mode, const struct frame_limits *limits)
{
	*c = (struct cutter){ .mode = mode, .line = 1 };
	if (limits)
		c->json = limits->json;
	c->event_max = limits && limits->event_max ? limits->event_max : FRAME_EVENT_MAX;
	c->gap_max = c->event_max;
}

/* Line and column of window[at]; at never goes back behind an earlier one. The column is in characters as far as the line is still in
 * the window, else in bytes. */
static void locate(struct cutter *c, struct slice window, size_t at, uint64_t *ret_line, uint64_t *ret_column)
{
	const uint8_t *p = window.data + (c->counted - c->base), *to = window.data + at;
	for (const uint8_t *lf; p < to && (lf = memchr(p, '\n', (size_t)(to - p))); p = lf + 1) {
		c->line++;
		c->line_at = c->base + (uint64_t)(lf + 1 - window.data);
	}
	if (c->base + at > c->counted)
		c->counted = c->base + at;
	*ret_line = c->line;
	if (!ret_column)
		return;
	*ret_column = 1;
	if (c->line_at < c->base)
		*ret_column += c->base + at - c->line_at;
	else
		for (size_t i = (size_t)(c->line_at - c->base); i < at; i++)
			*ret_column += (window.data[i] & 0xc0) != 0x80;
}

void cut_shift(struct cutter *c, struct slice window, size_t bytes)
{
	uint64_t line;
	if (c->base + bytes > c->counted) /* the line ends in what goes away */
		locate(c, window, bytes, &line, NULL);
	c->pos -= bytes;
	c->cursor -= bytes;
	c->scanned -= c->scanned < bytes ? c->scanned : bytes;
	c->need -= c->need < bytes ? c->need : bytes;
	c->separator -= c->separator < bytes ? c->separator : bytes;
	c->base += bytes;
}

/* The event [from, to); the next gap begins at `to`, the next event is looked for from `next` on. */
static rc_t take(struct cutter *c, struct slice window, size_t from, size_t to, size_t next, struct frame_event *ret, struct err *reterr)
{
	uint64_t line;
	locate(c, window, from, &line, NULL);
	if (to - from > c->event_max) {
		rc_t rc = err_set(reterr, RC_LIMIT, "the event that begins in line %llu has %zu bytes, more than the limit of %zu: split it",
		                  (unsigned long long)line, to - from, c->event_max);
		if (reterr)
			reterr->status = 413;
		return rc;
	}
	*ret = (struct frame_event){ .gap = slice_of(window.data + c->pos, from - c->pos), .payload = slice_of(window.data + from, to - from),
		                     .line = line, .offset = c->base + from };
	c->pos = to;
	c->cursor = c->scanned = next;
	c->need = 0;
	return RC_OK;
}

/* The same for bytes that are no event; fault: window position of what is wrong. */
static rc_t take_invalid(struct cutter *c, struct slice window, size_t from, size_t to, size_t next, size_t fault, const char *message,
                         struct frame_event *ret, struct err *reterr)
{
	TRY(take(c, window, from, to, next, ret, reterr));
	ret->kind = PAYLOAD_RAW;
	ret->invalid = true;
	ret->message = message;
	locate(c, window, fault, &ret->line, &ret->column);
	return RC_OK;
}

/* More input is needed to finish what begins at `from`: refused if that is over the limit already. */
static rc_t wait_for_more(struct cutter *c, struct slice window, size_t from, struct err *reterr)
{
	size_t gap = from - c->pos, have = window.len - from;
	uint64_t line;
	if (have <= c->event_max + 2 && gap <= c->gap_max) /* 2: a line end that is not there yet */
		return RC_AGAIN;
	locate(c, window, from, &line, NULL);
	rc_t rc = err_set(reterr, RC_LIMIT, "%s line %llu is longer than the limit of %zu bytes: %s",
	                  have > c->event_max ? "the event that begins in" : "the blank space before", (unsigned long long)line, c->event_max,
	                  have > c->event_max ? "split it, or check that the format is the right one" : "remove it");
	if (reterr)
		reterr->status = 413;
	return rc;
}

static size_t trimmed_end(struct slice window, size_t from, size_t to)
{
	while (to > from && json_is_space(window.data[to - 1]))
		to--;
	return to;
}

/* A line [from, to) as one JSON value; lf: a line end stands at `to`. */
static rc_t take_ndjson(struct cutter *c, struct slice window, size_t from, size_t to, bool lf, struct frame_event *ret, struct err *reterr)
{
	const uint8_t *data = window.data;
	struct slice line = slice_of(data + from, to - from);
	size_t next = to + lf, behind;
	struct json_error e;
	if (c->unchecked && *line.data == '{') {
		size_t last = to - 1 - (lf && data[to - 1] == '\r');
		if (last > from && data[last] == '}') {
			TRY(take(c, window, from, last + 1, next, ret, reterr));
			ret->kind = PAYLOAD_JSON;
			ret->unchecked = true;
			c->counted = c->base + to;
			return RC_OK;
		}
	}
	rc_t rc = json_validate_within(line, lf ? data + window.len : data + to, &c->json, c->memo, &behind, &e);
	if (rc == RC_OK) {
		size_t rest = (size_t)(json_space(line.data + behind, data + to) - data);
		if (rest == to) {
			size_t start = (size_t)(json_space(line.data, data + to) - data);
			TRY(take(c, window, start, from + behind, next, ret, reterr));
			ret->kind = PAYLOAD_JSON;
			c->counted = c->base + to; /* no line end in a line */
			return RC_OK;
		}
		e = (struct json_error){ rest - from, "unexpected text behind the value", false };
	}
	if (lf && data[to - 1] == '\r')
		to--;
	size_t fault = from + e.offset;
	return take_invalid(c, window, from, to, next, fault < to ? fault : to, e.message, ret, reterr);
}

void frame_check(struct frame_event *e, const struct frame_limits *limits)
{
	struct json_error error;
	e->unchecked = false;
	if (json_validate_all(e->payload, limits ? &limits->json : NULL, NULL, &error) == RC_OK)
		return;
	e->kind = PAYLOAD_RAW;
	e->invalid = true;
	e->message = error.message;
	e->column = 1;
	for (size_t i = 0; i < error.offset && i < e->payload.len; i++)
		e->column += (e->payload.data[i] & 0xc0) != 0x80;
}

static rc_t take_text(struct cutter *c, struct slice window, size_t from, size_t to, bool lf, struct frame_event *ret, struct err *reterr)
{
	size_t next = to + lf, end = to;
	if (lf && window.data[to - 1] == '\r')
		to--;
	TRY(take(c, window, from, to, next, ret, reterr));
	ret->kind = json_utf8_valid(ret->payload, NULL) ? PAYLOAD_TEXT : PAYLOAD_RAW;
	c->counted = c->base + end;
	return RC_OK;
}

/* The next line that is not blank. */
static rc_t cut_lines(struct cutter *c, struct slice window, bool final, struct frame_event *ret, struct err *reterr)
{
	const uint8_t *data = window.data;
	for (;;) {
		size_t from = c->cursor;
		if (c->scanned < from)
			c->scanned = from;
		const uint8_t *lf = memchr(data + c->scanned, '\n', window.len - c->scanned);
		if (!lf && !final) {
			c->scanned = window.len;
			return wait_for_more(c, window, from, reterr);
		}
		size_t to = lf ? (size_t)(lf - data) : window.len;
		if (json_space(data + from, data + to) < data + to)
			return c->mode == CUT_TEXT ? take_text(c, window, from, to, lf != NULL, ret, reterr)
			                           : take_ndjson(c, window, from, to, lf != NULL, ret, reterr);
		if (!lf)
			return RC_EOF;
		c->cursor = c->scanned = to + 1;
	}
}

/* Try again when the window has doubled, so that all tries together stay linear. */
static rc_t wait_doubled(struct cutter *c, struct slice window, size_t from, struct err *reterr)
{
	size_t most = from + c->event_max + 3;
	TRY(wait_for_more(c, window, from, reterr) == RC_LIMIT ? RC_LIMIT : RC_OK);
	c->need = window.len + (window.len - from);
	if (c->need > most)
		c->need = most > window.len ? most : window.len + 1;
	return RC_AGAIN;
}

/* After a fault at `fault` in the value that begins at `from`: the next line (or the fault's own, if it begins there) that begins with
 * { or [ . False: there is none in the window. */
static bool find_restart(struct slice window, size_t from, size_t fault, size_t *ret)
{
	const uint8_t *data = window.data, *end = data + window.len, *p = data + fault;
	if (fault > from && fault < window.len && p[-1] == '\n' && (*p == '{' || *p == '[')) {
		*ret = fault;
		return true;
	}
	for (const uint8_t *lf; p < end && (lf = memchr(p, '\n', (size_t)(end - p))); p = lf + 1)
		if (lf + 1 < end && (lf[1] == '{' || lf[1] == '[')) {
			*ret = (size_t)(lf + 1 - data);
			return true;
		}
	return false;
}

static rc_t cut_values(struct cutter *c, struct slice window, bool final, struct frame_event *ret, struct err *reterr)
{
	const uint8_t *data = window.data, *end = data + window.len;
	size_t from = (size_t)(json_space(data + c->cursor, end) - data), behind, restart;
	c->cursor = from;
	if (from == window.len)
		return final ? RC_EOF : wait_for_more(c, window, from, reterr);
	struct json_error e;
	if (json_validate_within(slice_of(data + from, window.len - from), end, &c->json, c->memo, &behind, &e) == RC_OK) {
		uint8_t last = data[from + behind - 1];
		if (from + behind == window.len && !final && last != '}' && last != ']' && last != '"')
			return wait_doubled(c, window, from, reterr); /* a number may go on */
		TRY(take(c, window, from, from + behind, from + behind, ret, reterr));
		ret->kind = PAYLOAD_JSON;
		return RC_OK;
	}
	if (e.truncated && !final)
		return wait_doubled(c, window, from, reterr);
	if (!find_restart(window, from, from + e.offset, &restart)) {
		if (!final)
			return wait_doubled(c, window, from, reterr);
		restart = window.len;
	}
	return take_invalid(c, window, from, trimmed_end(window, from, restart), restart, from + e.offset, e.message, ret, reterr);
}

/* The rest of the input, from the element or separator at `from` on, is one invalid event. */
static rc_t array_fault(struct cutter *c, struct slice window, bool final, size_t from, size_t fault, const char *message,
                        struct frame_event *ret, struct err *reterr)
{
	if (!final)
		return wait_doubled(c, window, from, reterr);
	c->array = ARRAY_CLOSED;
	return take_invalid(c, window, from, trimmed_end(window, from, window.len), window.len, fault, message, ret, reterr);
}

/* An element at `from`: valid if , or ] follows, so that an unclosed array cannot pass for a whole one. */
static rc_t cut_element(struct cutter *c, struct slice window, bool final, size_t from, struct frame_event *ret, struct err *reterr)
{
	const uint8_t *data = window.data, *end = data + window.len;
	struct json_error e = { 0, "expected , or ] after an element", false };
	size_t behind;
	if (json_validate_within(slice_of(data + from, window.len - from), end, &c->json, c->memo, &behind, &e) == RC_OK) {
		const uint8_t *next = json_space(data + from + behind, end);
		e = (struct json_error){ (size_t)(next - data) - from, "expected , or ] after an element", false };
		if (next == end) {
			e.message = "the text ends inside an array";
			e.truncated = true;
		} else if (*next == ',' || *next == ']') {
			TRY(take(c, window, from, from + behind, from + behind, ret, reterr));
			ret->kind = PAYLOAD_JSON;
			c->array = ARRAY_AFTER;
			return RC_OK;
		}
	}
	if (e.truncated && !final)
		return wait_doubled(c, window, from, reterr);
	return array_fault(c, window, final, from, from + e.offset, e.message, ret, reterr);
}

static rc_t cut_array(struct cutter *c, struct slice window, bool final, struct frame_event *ret, struct err *reterr)
{
	const uint8_t *data = window.data, *end = data + window.len;
	for (;;) {
		size_t at = (size_t)(json_space(data + c->cursor, end) - data);
		c->cursor = at;
		if (at == window.len && !final)
			return wait_for_more(c, window, at, reterr);
		if (at == window.len) /* final: the fault needs at least one byte to show */
			return c->array == ARRAY_CLOSED ? RC_EOF : array_fault(c, window, final, c->separator, at, "the text ends inside an array", ret, reterr);
		switch (c->array) {
		case ARRAY_OPEN: /* the sniffer saw the [ */
		case ARRAY_AFTER: /* cut_element saw the , or ] */
			c->array = c->array == ARRAY_OPEN ? ARRAY_FIRST : data[at] == ',' ? ARRAY_ELEMENT : ARRAY_CLOSED;
			c->separator = at;
			c->cursor = at + 1;
			break;
		case ARRAY_FIRST:
			if (data[at] == ']') {
				c->array = ARRAY_CLOSED;
				c->cursor = at + 1;
				break;
			}
			return cut_element(c, window, final, at, ret, reterr);
		case ARRAY_ELEMENT:
			return cut_element(c, window, final, at, ret, reterr);
		case ARRAY_CLOSED:
			return array_fault(c, window, final, at, at, "unexpected text behind the array", ret, reterr);
		}
	}
}

/* All of the window is one event. */
static rc_t cut_whole(struct cutter *c, struct slice window, bool final, struct frame_event *ret, struct err *reterr)
{
	size_t from = c->cursor, behind;
	if (!final)
		return wait_for_more(c, window, from, reterr);
	if (from == window.len)
		return RC_EOF;
	if (c->mode == CUT_SINGLE) {
		const uint8_t *data = window.data, *end = data + window.len;
		struct json_error e;
		rc_t rc = json_validate_within(slice_of(data + from, window.len - from), end, &c->json, c->memo, &behind, &e);
		size_t rest = rc == RC_OK ? (size_t)(json_space(data + from + behind, end) - data) : 0;
		if (rc == RC_OK && rest < window.len) {
			e = (struct json_error){ rest - from, "unexpected text behind the value", false };
			rc = RC_INVALID;
		}
		if (rc != RC_OK)
			return take_invalid(c, window, from, window.len, window.len, from + e.offset, e.message, ret, reterr);
		/* whoever sends a body as one event wants these bytes back: the white space around the value is part of it */
		TRY(take(c, window, from, window.len, window.len, ret, reterr));
		ret->kind = PAYLOAD_JSON;
		return RC_OK;
	}
	TRY(take(c, window, from, window.len, window.len, ret, reterr));
	ret->kind = c->mode == CUT_WHOLE_TEXT && json_utf8_valid(ret->payload, NULL) ? PAYLOAD_TEXT : PAYLOAD_RAW;
	return RC_OK;
}

rc_t cut_next(struct cutter *c, struct slice window, bool final, struct frame_event *ret, struct err *reterr)
{
	static const uint8_t nothing[1];
	if (!window.data)
		window.data = nothing;
	if (!final && window.len < c->need)
		return RC_AGAIN;
	if (!c->started) {
		if (!final && window.len < 3)
			return RC_AGAIN;
		c->started = true;
		if (starts_with_bom(window) && c->mode != CUT_RAW)
			c->cursor = c->scanned = 3;
	}
	switch (c->mode) {
	case CUT_NDJSON:
	case CUT_TEXT:
		return cut_lines(c, window, final, ret, reterr);
	case CUT_VALUES:
		return cut_values(c, window, final, ret, reterr);
	case CUT_ARRAY:
		return cut_array(c, window, final, ret, reterr);
	default:
		return cut_whole(c, window, final, ret, reterr);
	}
}
