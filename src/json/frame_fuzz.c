/* Any bytes in any format: nothing lost, the same events from the whole and from pieces, checked by the framer or afterwards; framing, also
 * joined from two parts, restores the input; and any bytes as framing. */
#include <stdlib.h>

#include "json/frame.h"

#define GAPS_MAX 300

struct sum {
	struct buf all;    /* gaps and payloads */
	struct buf events; /* kinds, places, payload lengths */
	struct framing framing;
	struct slice gaps[GAPS_MAX]; /* of the first events; they point into the body */
	size_t count;
};

static rc_t add(void *ctx, const struct frame_event *e, struct err *reterr)
{
	struct sum *s = ctx;
	buf_append_slice(&s->all, e->gap);
	if (e->offset != s->all.len || e->unchecked || (!e->invalid && e->kind == PAYLOAD_JSON && json_validate_all(e->payload, NULL, NULL, NULL) != RC_OK))
		abort();
	buf_append_slice(&s->all, e->payload);
	buf_printf(&s->events, "%d %d %llu:%llu %zu\n", e->kind, e->invalid, (unsigned long long)e->line, (unsigned long long)e->column, e->payload.len);
	if (s->count < GAPS_MAX)
		s->gaps[s->count] = e->gap;
	s->count++;
	return framing_add(&s->framing, e->gap, reterr);
}

static void sum_init(struct sum *s)
{
	buf_init(&s->all, BUF_MAX_DEFAULT);
	buf_init(&s->events, BUF_MAX_DEFAULT);
	framing_init(&s->framing);
	s->count = 0;
}

static void sum_free(struct sum *s)
{
	buf_free(&s->all);
	buf_free(&s->events);
	framing_free(&s->framing);
}

/* The encoded framing gives these gaps and this tail. */
static void check_framing(struct framing *g, const struct slice *gaps, size_t n, struct slice tail)
{
	struct framing_reader r;
	struct slice gap;
	struct err err;
	AUTO_BUF struct buf b;
	buf_init(&b, BUF_MAX_DEFAULT);
	framing_encode(g, &b);
	if (framing_reader_open(buf_slice(&b), &r, &err) != RC_OK || r.events != n || !slice_eq(r.tail, tail))
		abort();
	for (size_t i = 0; i < n; i++)
		if (framing_reader_next(&r, &gap) != RC_OK || !slice_eq(gap, gaps[i]))
			abort();
	if (framing_reader_next(&r, &gap) != RC_EOF)
		abort();
	framing_reader_close(&r);
}

/* Two parts, cut inside of a gap, joined. */
static void check_joined(const struct sum *s, struct slice tail, size_t cut)
{
	struct framing a, b;
	struct err err;
	size_t n = s->count, k = cut % (n + 1);
	framing_init(&a);
	framing_init(&b);
	struct slice between = k < n ? s->gaps[k] : tail;
	struct slice left = slice_of(between.data, between.len / 2), right = slice_skip(between, between.len / 2);
	for (size_t i = 0; i < k; i++)
		framing_add(&a, s->gaps[i], &err);
	for (size_t i = k; i < n; i++)
		framing_add(&b, i == k ? right : s->gaps[i], &err);
	if (framing_finish(&a, left, &err) != RC_OK || framing_finish(&b, k < n ? tail : right, &err) != RC_OK || framing_join(&a, &b, &err) != RC_OK)
		abort();
	check_framing(&a, s->gaps, n, tail);
	framing_free(&a);
	framing_free(&b);
}

static void check_gaps(struct sum *s, struct slice tail, size_t cut)
{
	struct err err;
	if (framing_finish(&s->framing, tail, &err) != RC_OK)
		abort();
	check_framing(&s->framing, s->gaps, s->count, tail);
	check_joined(s, tail, cut);
}

/* With a limit on events, in a hurry or not: what is handed out keeps to it, and what stopped it stays. */
static void check_limited(struct slice body, enum frame_format format, size_t piece, bool hurry)
{
	const struct frame_limits limits = { .event_max = 1 + piece % 40 };
	struct framer *f = framer_new(format, &limits);
	struct frame_event e;
	struct err err;
	enum frame_format named;
	rc_t rc;
	if (!frame_format_parse(slice_str(frame_format_name(format)), &named) || named != format)
		abort();
	for (size_t at = 0; (rc = framer_next(f, &e, &err)) == RC_OK || rc == RC_AGAIN;) {
		if (rc == RC_OK && e.payload.len > limits.event_max)
			abort();
		if (rc == RC_OK)
			continue;
		size_t n = body.len - at < piece ? body.len - at : piece;
		uint8_t *space = framer_space(f, piece);
		if (n)
			memcpy(space, body.data + at, n);
		at += n;
		n ? framer_fed(f, n) : framer_finish(f);
		if (hurry)
			framer_hurry(f);
	}
	if ((rc != RC_EOF && rc != RC_LIMIT) || framer_next(f, &e, &err) != rc)
		abort();
	framer_free(f);
	struct frame_counts counts;
	struct sum s;
	sum_init(&s);
	rc = frame_body(body, format, false, &limits, add, &s, &counts, &err);
	if (rc != RC_OK && rc != RC_LIMIT)
		abort();
	sum_free(&s);
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
	if (whole.count <= GAPS_MAX)
		check_gaps(&whole, counts.tail, piece);
	struct framer *f = framer_new(format, NULL);
	uint64_t found = 0; /* invalid events that the framer has not looked at */
	if (data[1] & 1)
		framer_unchecked(f);
	for (size_t at = 0;;) {
		struct frame_event e;
		rc_t rc = framer_next(f, &e, &err);
		if (rc == RC_OK) {
			if (e.unchecked) {
				frame_check(&e, NULL);
				e.unchecked = false;
				found += e.invalid;
			}
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
	if (!slice_eq(buf_slice(&pieces.all), body) || framer_events(f) != counts.events || framer_invalid(f) + found != counts.invalid)
		abort();
	framer_free(f);
	sum_free(&whole);
	sum_free(&pieces);
	if (data[1] & 2)
		check_limited(body, format, piece, data[1] & 4);
	counts.events = 0;
	struct sum one;
	sum_init(&one);
	if (frame_body(body, format, true, NULL, add, &one, &counts, &err) != RC_OK || counts.events != 1)
		abort();
	sum_free(&one);
	return 0;
}
