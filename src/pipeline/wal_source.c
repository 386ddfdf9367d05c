/* The log as a source of events for a builder: records are gathered into large batches, their bytes copied, because a cursor's slices last for
 * one call and a record of a single-event post would make a batch of one. */
#include "pipeline/pipeline_internal.h"

#define FIRST_BATCH ((size_t)8 << 20) /* a good sample for the schema */
#define NEXT_BATCH ((size_t)2 << 20)

void wal_source_init(struct wal_source *s, struct wal *wal, const char *collection, uint64_t after, uint64_t upto)
{
	*s = (struct wal_source){ .wal = wal, .collection = slice_str(collection), .after = after, .upto = upto };
	arena_init(&s->arena);
}

void wal_source_free(struct wal_source *s)
{
	wal_cursor_close(s->cursor);
	s->cursor = NULL;
	arena_free(&s->arena);
	free(s->events);
	s->events = NULL;
}

rc_t wal_source_rewind(void *ctx, struct err *reterr)
{
	struct wal_source *s = ctx;
	wal_cursor_close(s->cursor);
	s->cursor = NULL;
	s->big_first = !s->started;
	s->started = true;
	return wal_cursor_open(s->wal, s->collection, s->after, s->upto, &s->cursor, reterr);
}

/* The payloads of a record lie one behind the other: one copy for all. Returns about what the events weigh. */
static size_t take_record(struct wal_source *s, const struct wal_record *r)
{
	if (s->count + r->count > s->cap) {
		s->cap = (s->count + r->count) * 3 / 2;
		s->events = mem_realloc(s->events, s->cap * sizeof *s->events);
	}
	struct event *out = s->events + s->count;
	memcpy(out, r->events, r->count * sizeof *out);
	const uint8_t *from = out[0].payload.data;
	const struct slice *last = &out[r->count - 1].payload;
	struct slice payloads = arena_copy(&s->arena, slice_of(from, (size_t)(last->data + last->len - from)));
	struct slice meta = arena_copy(&s->arena, out[0].meta); /* one for the whole record */
	for (size_t i = 0; i < r->count; i++) {
		struct event *e = &out[i];
		e->payload.data = e->payload.len ? payloads.data + (e->payload.data - from) : NULL;
		e->meta = meta;
		if (e->id.len)
			e->id = arena_copy(&s->arena, e->id);
		if (e->key.len)
			e->key = arena_copy(&s->arena, e->key);
		if (e->reason.len)
			e->reason = arena_copy(&s->arena, e->reason);
	}
	s->count += r->count;
	return payloads.len + 64 * r->count;
}

rc_t wal_source_next(void *ctx, const struct event **ret_events, size_t *ret_n, struct err *reterr)
{
	struct wal_source *s = ctx;
	size_t want = s->big_first ? FIRST_BATCH : NEXT_BATCH, bytes = 0;
	s->big_first = false;
	s->count = 0;
	arena_reset(&s->arena);
	while (bytes < want) {
		struct wal_record r;
		rc_t rc = wal_cursor_next(s->cursor, &r, reterr);
		if (rc == RC_EOF)
			break;
		if (rc != RC_OK)
			return rc;
		if (r.type != WAL_EVENTS)
			continue;
		bytes += take_record(s, &r);
	}
	if (!s->count)
		return RC_EOF;
	*ret_events = s->events;
	*ret_n = s->count;
	return RC_OK;
}
