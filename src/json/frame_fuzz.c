/* Any bytes in any format: nothing lost, the same events from the whole and from pieces, framing restores the input; and any bytes as framing. */
#include <stdlib.h>

#include "json/frame.h"

struct sum {
	struct buf all;    /* gaps and payloads */
	struct buf events; /* kinds, places, payload lengths */
	struct framing framing;
};

static rc_t add(void *ctx, const struct frame_event *e, struct err *reterr)
{
	struct sum *s = ctx;
	buf_append_slice(&s->all, e->gap);
	if (e->offset != s->all.len || (!e->invalid && e->kind == PAYLOAD_JSON && json_validate_all(e->payload, NULL, NULL, NULL) != RC_OK))
		abort();
	buf_append_slice(&s->all, e->payload);
	buf_printf(&s->events, "%d %d %llu:%llu %zu\n", e->kind, e->invalid, (unsigned long long)e->line, (unsigned long long)e->column, e->payload.len);
	return framing_add(&s->framing, e->gap, reterr);
}

static void sum_init(struct sum *s)
{
	buf_init(&s->all, BUF_MAX_DEFAULT);
	buf_init(&s->events, BUF_MAX_DEFAULT);
	framing_init(&s->framing);
}

static void sum_free(struct sum *s)
{
	buf_free(&s->all);
	buf_free(&s->events);
	framing_free(&s->framing);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct framing_reader r;
	struct err err;
	struct slice gap;
	if (framing_reader_open(slice_of(data, size), &r, &err) == RC_OK) {
		for (int i = 0; i < 10000 && framing_reader_next(&r, &gap) == RC_OK; i++)
			;
		framing_reader_close(&r);
	}
	if (size < 2)
		return 0;
	enum frame_format format = (enum frame_format)(data[0] % 5);
	size_t piece = 1 + data[1];
	struct slice body = slice_of(data + 2, size - 2);
	struct sum whole, pieces;
	struct frame_counts counts;
	sum_init(&whole);
	sum_init(&pieces);
	if (frame_body(body, format, false, NULL, add, &whole, &counts, &err) != RC_OK)
		abort();
	buf_append_slice(&whole.all, counts.tail);
	if (!slice_eq(buf_slice(&whole.all), body))
		abort();
	struct framer *f = framer_new(format, NULL);
	for (size_t at = 0;;) {
		struct frame_event e;
		rc_t rc = framer_next(f, &e, &err);
		if (rc == RC_OK) {
			add(&pieces, &e, &err);
		} else if (rc == RC_AGAIN) {
			size_t n = body.len - at < piece ? body.len - at : piece;
			uint8_t *space = framer_space(f, piece);
			memcpy(space, body.data + at, n);
			at += n;
			n ? framer_fed(f, n) : framer_finish(f);
		} else {
			if (rc != RC_EOF || framer_detected(f) != counts.format)
				abort();
			break;
		}
	}
	buf_append_slice(&pieces.all, framer_tail(f));
	/* columns may be in bytes once a long line's start is gone: compare the bytes, and the number of events */
	if (!slice_eq(buf_slice(&pieces.all), body) || framer_events(f) != counts.events || framer_invalid(f) != counts.invalid)
		abort();
	framer_free(f);
	sum_free(&whole);
	sum_free(&pieces);
	counts.events = 0;
	struct sum one;
	sum_init(&one);
	if (frame_body(body, format, true, NULL, add, &one, &counts, &err) != RC_OK || counts.events != 1)
		abort();
	sum_free(&one);
	return 0;
}
