#include "json/frame_internal.h"
#include "json/scan_internal.h"

static const char *const format_names[] = { "auto", "ndjson", "json", "text", "raw" };

const char *frame_format_name(enum frame_format format)
{
	return (unsigned)format < sizeof format_names / sizeof *format_names ? format_names[format] : "auto";
}

bool frame_format_parse(struct slice name, enum frame_format *ret)
{
	for (unsigned i = 0; i < sizeof format_names / sizeof *format_names; i++)
		if (slice_eq_str(name, format_names[i])) {
			*ret = (enum frame_format)i;
			return true;
		}
	return false;
}

rc_t frame_body(struct slice body, enum frame_format format, bool body_is_event, const struct frame_limits *limits, frame_emit *emit,
                void *ctx, struct frame_counts *ret, struct err *reterr)
{
	struct cutter c;
	struct frame_counts counts = { 0 };
	enum cut_mode mode = sniff(body, true, false, format, body_is_event);
	cut_init(&c, mode, limits);
	c.gap_max = SIZE_MAX; /* it is in memory already */
	struct scan_memo memo;
	if (mode == CUT_NDJSON || mode == CUT_VALUES || mode == CUT_ARRAY) {
		scan_memo_init(&memo);
		c.memo = &memo;
	}
	counts.format = cut_format(mode);
	for (;;) {
		struct frame_event e;
		rc_t rc = cut_next(&c, body, true, &e, reterr);
		if (rc == RC_EOF)
			break;
		if (rc != RC_OK)
			return rc;
		counts.events++;
		counts.invalid += e.invalid;
		TRY(emit(ctx, &e, reterr));
	}
	if (body_is_event && counts.events == 0) { /* an empty body: there must be an event, so it is a bad one */
		struct frame_event e = { .gap = body, .kind = PAYLOAD_RAW, .invalid = true, .message = "the body is empty", .line = 1, .column = 1,
			                 .offset = body.len };
		e.payload = slice_of(body.data + body.len, 0);
		counts.events = counts.invalid = 1;
		c.pos = body.len;
		TRY(emit(ctx, &e, reterr));
	}
	counts.tail = slice_skip(body, c.pos);
	*ret = counts;
	return RC_OK;
}

struct framer {
	enum frame_format asked;
	struct frame_limits limits;
	struct cutter cutter;
	struct buf data;
	bool known, final, hurry, unchecked;
	uint64_t events, invalid;
};

struct framer *framer_new(enum frame_format format, const struct frame_limits *limits)
{
	struct framer *f = NEW(struct framer);
	f->asked = format;
	if (limits)
		f->limits = *limits;
	buf_init(&f->data, SIZE_MAX / 2); /* bounded by the cutter's limits, which stop the reading */
	cut_init(&f->cutter, CUT_UNKNOWN, limits);
	return f;
}

void framer_free(struct framer *f)
{
	if (!f)
		return;
	buf_free(&f->data);
	free(f);
}

uint8_t *framer_space(struct framer *f, size_t bytes)
{
	size_t used = f->cutter.pos;
	if (used) {
		cut_shift(&f->cutter, buf_slice(&f->data), used);
		memmove(f->data.data, f->data.data + used, f->data.len - used);
		f->data.len -= used;
	}
	buf_reserve(&f->data, bytes + EVENT_PAD);
	return f->data.data + f->data.len;
}

void framer_fed(struct framer *f, size_t bytes)
{
	f->data.len += bytes;
}

void framer_finish(struct framer *f)
{
	f->final = true;
}

void framer_unchecked(struct framer *f)
{
	f->unchecked = true;
}

void framer_hurry(struct framer *f)
{
	f->hurry = true;
}

rc_t framer_next(struct framer *f, struct frame_event *ret, struct err *reterr)
{
	struct slice window = buf_slice(&f->data);
	if (!f->known) {
		enum cut_mode mode = sniff(window, f->final, f->hurry, f->asked, false);
		if (mode == CUT_UNKNOWN)
			return RC_AGAIN;
		f->known = true;
		cut_init(&f->cutter, mode, &f->limits);
		f->cutter.unchecked = f->unchecked;
	}
	rc_t rc = cut_next(&f->cutter, window, f->final, ret, reterr);
	if (rc == RC_OK) {
		f->events++;
		f->invalid += ret->invalid;
	}
	return rc;
}

enum frame_format framer_detected(const struct framer *f)
{
	return f->known ? cut_format(f->cutter.mode) : FRAME_AUTO;
}

struct slice framer_tail(const struct framer *f)
{
	return slice_skip(buf_slice(&f->data), f->cutter.pos);
}

uint64_t framer_line(const struct framer *f)
{
	return f->cutter.line;
}

uint64_t framer_events(const struct framer *f)
{
	return f->events;
}

uint64_t framer_invalid(const struct framer *f)
{
	return f->invalid;
}
