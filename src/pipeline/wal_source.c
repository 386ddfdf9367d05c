/* The log as a source of events for a builder. A batch is what the cursor holds in memory, without a copy; where that is little (other collections'
 * records lie between), it is copied and gathered, because a record of a single-event post would make a batch of one. */
#include "pipeline/pipeline_internal.h"

#define FIRST_BATCH ((size_t)8 << 20) /* a good sample for the schema */
#define NEXT_BATCH ((size_t)512 << 10) /* about as much as the cursor reads at once */

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

static size_t take_record(struct wal_source *s, const struct wal_record *r)
{
	if (s->count + r->count > s->cap) {
		s->cap = (s->count + r->count) * 3 / 2;
		s->events = mem_realloc(s->events, s->cap * sizeof *s->events);
	}
	memcpy(s->events + s->count, r->events, r->count * sizeof *r->events);
	s->count += r->count;
	const struct slice *first = &r->events[0].payload, *last = &r->events[r->count - 1].payload;
	return (size_t)(last->data + last->len - first->data) + 64 * r->count; /* they lie one behind the other */
}

/* Copies what the cursor is about to forget. */
static void move_events(struct wal_source *s)
{
	size_t bytes = EVENT_PAD;
	for (size_t i = s->moved; i < s->count; i++)
		bytes += s->events[i].payload.len;
	uint8_t *to = arena_alloc(&s->arena, bytes);
	struct slice from = { 0 }, meta = { 0 };
	for (; s->moved < s->count; s->moved++) {
		struct event *e = &s->events[s->moved];
		e->payload.data = e->payload.len ? memcpy(to, e->payload.data, e->payload.len) : NULL;
		to += e->payload.len;
		if (e->meta.data != from.data) { /* one for a whole record */
			from = e->meta;
			meta = arena_copy(&s->arena, from);
		}
		e->meta = meta;
		e->id = arena_copy(&s->arena, e->id);
		e->key = arena_copy(&s->arena, e->key);
		e->reason = arena_copy(&s->arena, e->reason);
	}
}

rc_t wal_source_next(void *ctx, const struct event **ret_events, size_t *ret_n, struct err *reterr)
{
	struct wal_source *s = ctx;
	size_t want = s->big_first ? FIRST_BATCH : NEXT_BATCH, bytes = 0;
	s->big_first = false;
	s->count = s->moved = 0;
	arena_reset(&s->arena);
	wal_cursor_stay(s->cursor, false);
	while (bytes < want) {
		struct wal_record r;
		rc_t rc = wal_cursor_next(s->cursor, &r, reterr);
		if (rc == RC_AGAIN && bytes < want / 2) {
			move_events(s);
			wal_cursor_stay(s->cursor, false);
			continue;
		}
		if (rc == RC_EOF || rc == RC_AGAIN)
			break;
		if (rc != RC_OK)
			return rc;
		wal_cursor_stay(s->cursor, true);
		if (r.type == WAL_EVENTS)
			bytes += take_record(s, &r);
	}
	if (!s->count)
		return RC_EOF;
	*ret_events = s->events;
	*ret_n = s->count;
	return RC_OK;
}
