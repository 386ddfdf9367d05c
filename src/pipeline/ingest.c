/* The ingest loop's write half: body → frame + validate → wal.append. The other half, wal.sync → ack, is whoever waits for the ticket. */
#include <stdio.h>

#include "os/clock.h"
#include "pipeline/pipeline_internal.h"

#define CONFLICT_TRIES 16

#define REQUEST_EVENTS_MAX ((size_t)1 << 20) /* 112 bytes each, beside the body that is accounted for */

struct gather {
	struct ingest_reply *reply;
	const struct ingest_request *req;
	struct event *events;
	size_t count, cap;
	struct arena arena;
	bool unique; /* their ids count once */
	struct event *fresh; /* if so: those whose id is new */
	size_t fresh_count;
	struct wal_known known; /* by which the others were left out */
};

static rc_t gather_event(void *ctx, const struct frame_event *e, struct err *reterr)
{
	struct gather *g = ctx;
	if (g->count == REQUEST_EVENTS_MAX) {
		err_set(reterr, RC_LIMIT, "more than %zu events in one request; split it", REQUEST_EVENTS_MAX);
		if (reterr)
			reterr->status = 413;
		return RC_LIMIT;
	}
	if (g->count == g->cap) {
		g->cap = g->cap ? g->cap * 2 : 64;
		g->events = mem_realloc(g->events, g->cap * sizeof *g->events);
	}
	struct event *ev = &g->events[g->count++];
	*ev = (struct event){ .payload = e->payload, .kind = e->kind };
	if (g->req->body_is_event && e->kind == PAYLOAD_JSON)
		ev->payload = slice_skip(g->req->body, e->gap.len && e->gap.data[0] == 0xef ? 3 : 0); /* with the white space around it */
	if (!e->invalid)
		return RC_OK;
	ev->reason = slice_str(arena_printf(&g->arena, "%s (line %llu, column %llu)", e->message, (unsigned long long)e->line,
					    (unsigned long long)e->column));
	if (g->reply->error_count < INGEST_ERRORS_MAX) {
		struct ingest_error *error = &g->reply->errors[g->reply->error_count++];
		error->line = e->line;
		error->column = e->column;
		snprintf(error->message, sizeof error->message, "%s", e->message);
		for (char *c = error->message; *c; c++) /* so that it goes into a JSON string as it is */
			if (*c == '"' || *c == '\\')
				*c = '\'';
	}
	return RC_OK;
}

/* A remembered reply: the numbers that a repeated send is answered with. */
static void reply_encode(const struct ingest_reply *r, struct buf *out)
{
	buf_varint(out, r->accepted);
	buf_varint(out, r->quarantined);
	buf_varint(out, (uint64_t)r->format);
	buf_varint(out, r->deduplicated);
}

static rc_t reply_decode(const struct wal_key_found *found, struct ingest_reply *ret, struct err *reterr)
{
	uint64_t accepted, quarantined, format;
	size_t pos = 0;
	struct slice s = buf_slice(&found->reply);
	if (!slice_varint(s, &pos, &accepted) || !slice_varint(s, &pos, &quarantined) || !slice_varint(s, &pos, &format))
		return err_set(reterr, RC_CORRUPT, "the log's remembered answer to an Idempotency-Key cannot be read");
	ret->deduplicated = 0;
	slice_varint(s, &pos, &ret->deduplicated); /* older logs have none */
	ret->accepted = accepted;
	ret->quarantined = quarantined;
	ret->format = (enum frame_format)format;
	ret->position = found->first + found->count - 1;
	ret->repeated = true;
	ret->ticket = 0;
	return RC_OK;
}

/* RC_NOT_FOUND: the key is new. */
static rc_t look_up_key(struct pipeline *p, const struct ingest_request *req, struct hash128 body, struct ingest_reply *ret, struct err *reterr)
{
	struct wal_key_found found = { 0 };
	buf_init(&found.reply, WAL_REPLY_MAX);
	rc_t rc = wal_key_lookup(p->wal, req->collection, req->key, &found, reterr);
	if (rc == RC_AGAIN)
		ret->ticket = found.ticket;
	if (rc == RC_OK && (found.body_hash.lo != body.lo || found.body_hash.hi != body.hi)) {
		rc = err_set(reterr, RC_CONFLICT,
			     "Idempotency-Key '%.*s' was used with another body; send the same bytes again, or a new key", SLICE_ARG(req->key));
		if (reterr)
			reterr->status = 409;
	} else if (rc == RC_OK) {
		rc = reply_decode(&found, ret, reterr);
	}
	buf_free(&found.reply);
	return rc;
}

static rc_t invalid_body(const struct ingest_reply *r, size_t events, struct err *reterr)
{
	rc_t rc;
	if (!events)
		rc = err_set(reterr, RC_INVALID, "the body holds no event; nothing was kept");
	else
		rc = err_set(reterr, RC_INVALID, "line %llu, column %llu: %s; nothing was kept", (unsigned long long)r->errors[0].line,
			     (unsigned long long)r->errors[0].column, r->errors[0].message);
	if (reterr)
		reterr->status = 400;
	return rc;
}

static void find_ids(struct pipeline *p, struct gather *g)
{
	struct collection_settings settings;
	char name[64];
	if (!__atomic_load_n(&p->ids_declared, __ATOMIC_RELAXED) || !collection_name_valid(g->req->collection))
		return;
	snprintf(name, sizeof name, "%.*s", SLICE_ARG(g->req->collection));
	collection_settings_get(p, name, &settings);
	g->unique = settings.id_field != NULL;
	for (size_t i = 0; g->unique && i < g->count; i++)
		if (g->events[i].kind == PAYLOAD_JSON && !g->events[i].reason.len)
			g->events[i].id = event_id(g->events[i].payload, settings.id_field, &g->arena);
	collection_settings_clear(&settings);
}

/* What is to be kept of them: not those whose id the log holds, they were kept before. */
static void leave_known(struct pipeline *p, struct gather *g)
{
	AUTO_MEM bool *known = mem_alloc((g->count + 1) * sizeof *known);
	size_t n = wal_ids_known(p->wal, g->req->collection, g->events, g->count, known, &g->known);
	g->reply->ticket = g->known.ticket;
	g->reply->deduplicated = n;
	g->fresh_count = 0;
	free(g->fresh);
	g->fresh = mem_alloc((g->count - n + 1) * sizeof *g->fresh);
	for (size_t i = 0; i < g->count; i++)
		if (!known[i])
			g->fresh[g->fresh_count++] = g->events[i];
}

static rc_t append(struct pipeline *p, const struct ingest_request *req, struct gather *g, struct hash128 body, struct err *reterr)
{
	const struct event *events = g->unique ? g->fresh : g->events;
	size_t count = g->unique ? g->fresh_count : g->count;
	uint8_t space[32];
	struct buf reply = { .data = space, .cap = sizeof space, .max = sizeof space };
	reply_encode(g->reply, &reply);
	if (!count) { /* all of them are there: before this position */
		g->reply->position = wal_next_position(p->wal) - 1;
		return RC_OK;
	}
	struct wal_events record = {
		.collection = req->collection,
		.received = clock_wall_us(),
		.events = events,
		.count = count,
		.meta = req->meta,
		.request_key = req->key,
		.body_hash = body,
		.reply = req->key.len ? buf_slice(&reply) : (struct slice){ 0 },
		.unique_ids = g->unique,
		.known = g->known,
	};
	uint64_t first;
	TRY(wal_append(p->wal, &record, &first, &g->reply->ticket, reterr));
	g->reply->position = first + count - 1;
	return RC_OK;
}

static rc_t busy(struct err *reterr)
{
	rc_t rc = err_set(reterr, RC_LIMIT, "others send events with the same key or ids at this moment; send again");
	if (reterr) {
		reterr->status = 503;
		reterr->retryable = true;
	}
	return rc;
}

rc_t pipeline_ingest(struct pipeline *p, const struct ingest_request *req, struct ingest_reply *ret, struct err *reterr)
{
	memset(ret, 0, sizeof *ret);
	snprintf(ret->log, sizeof ret->log, "%s", wal_id(p->wal));
	struct hash128 body = { 0 };
	if (req->key.len) {
		body = hash128(req->body);
		rc_t rc = look_up_key(p, req, body, ret, reterr);
		if (rc != RC_NOT_FOUND)
			return rc;
	}
	struct gather g = { .reply = ret, .req = req };
	arena_init(&g.arena);
	struct frame_counts counts;
	rc_t rc = frame_body(req->body, req->format, req->body_is_event, NULL, gather_event, &g, &counts, reterr);
	if (rc == RC_OK) {
		ret->accepted = counts.events;
		ret->quarantined = counts.invalid;
		ret->format = counts.format;
		if (counts.invalid == counts.events || (counts.invalid && req->reject))
			rc = invalid_body(ret, g.count, reterr);
	}
	if (rc == RC_OK)
		find_ids(p, &g);
	for (int tries = 0; rc == RC_OK; tries++) {
		if (g.unique) /* of all of them in every try: what was known may have been taken back */
			leave_known(p, &g);
		rc = append(p, req, &g, body, reterr);
		if (rc != RC_CONFLICT)
			break;
		/* the same key, or an id, came in on another connection just now; RC_NOT_FOUND: and was not kept */
		rc = req->key.len ? look_up_key(p, req, body, ret, reterr) : RC_NOT_FOUND;
		if (rc != RC_NOT_FOUND)
			break;
		rc = tries < CONFLICT_TRIES ? RC_OK : busy(reterr);
	}
	arena_free(&g.arena);
	free(g.events);
	free(g.fresh);
	return rc;
}
