/* POST /v1/collections/NAME/events. Runs on the HTTP loops up to the append; the answer is sent when the group's sync is done. */
#include <stdio.h>
#include <string.h>

#include "os/clock.h"
#include "server/server_internal.h"

#define META_MAX 8192 /* bytes of allow-listed headers an event keeps */

static enum frame_format format_of(const struct http_request *req)
{
	static const struct {
		const char *type;
		enum frame_format format;
	} types[] = {
		{ "application/json", FRAME_JSON },          { "application/x-ndjson", FRAME_NDJSON },
		{ "application/ndjson", FRAME_NDJSON },      { "application/jsonl", FRAME_NDJSON },
		{ "application/x-jsonlines", FRAME_NDJSON }, { "text/plain", FRAME_TEXT },
		{ "application/octet-stream", FRAME_RAW },
	};
	struct slice type;
	if (!http_request_header(req, "content-type", &type))
		return FRAME_AUTO;
	size_t n = 0;
	while (n < type.len && type.data[n] != ';' && type.data[n] != ' ')
		n++;
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (n == strlen(types[i].type) && strncasecmp((const char *)type.data, types[i].type, n) == 0)
			return types[i].format;
	return FRAME_AUTO; /* also application/x-www-form-urlencoded: what curl -d says of anything */
}

static void reply_body(const struct ingest_reply *r, struct buf *out)
{
	buf_printf(out, "{\"accepted\":%llu,\"quarantined\":%llu,\"position\":\"%s:%llu\",\"format\":\"%s\"", (unsigned long long)r->accepted,
		   (unsigned long long)r->quarantined, r->log, (unsigned long long)r->position, frame_format_name(r->format));
	if (r->deduplicated)
		buf_printf(out, ",\"deduplicated\":%llu", (unsigned long long)r->deduplicated);
	if (r->repeated)
		buf_append_str(out, ",\"repeated\":true");
	for (unsigned i = 0; i < r->error_count; i++)
		buf_printf(out, "%s{\"line\":%llu,\"column\":%llu,\"message\":\"%s\"}", i ? "," : ",\"errors\":[",
			   (unsigned long long)r->errors[i].line, (unsigned long long)r->errors[i].column, r->errors[i].message);
	buf_append_str(out, r->error_count ? "]}\n" : "}\n");
}

static void respond_accepted(struct server *s, struct http_request *req, const struct ingest_reply *r)
{
	if (r->repeated) {
		__atomic_add_fetch(&s->repeated_requests, 1, __ATOMIC_RELAXED);
	} else {
		__atomic_add_fetch(&s->accepted_events, r->accepted, __ATOMIC_RELAXED);
		__atomic_add_fetch(&s->quarantined_events, r->quarantined, __ATOMIC_RELAXED);
		__atomic_add_fetch(&s->deduplicated_events, r->deduplicated, __ATOMIC_RELAXED);
		__atomic_add_fetch(&s->accepted_bytes, http_request_body(req).len, __ATOMIC_RELAXED);
	}
	uint8_t space[4096];
	struct buf body = { .data = space, .cap = sizeof space, .max = sizeof space };
	reply_body(r, &body);
	http_respond(req, 200, "application/json", buf_slice(&body), NULL, 0);
}

void ingest_accepted(struct server *s, const struct waiting *w)
{
	respond_accepted(s, w->req, &w->reply);
}

/* ---- waiting for the sync ---- */

static void enqueue(struct server *s, const struct waiting *w)
{
	pthread_mutex_lock(&s->lock);
	if (s->queue_count == s->queue_cap) {
		size_t cap = s->queue_cap ? s->queue_cap * 2 : 1024;
		struct waiting *grown = mem_alloc(cap * sizeof *grown);
		for (size_t i = 0; i < s->queue_count; i++)
			grown[i] = s->queue[(s->queue_head + i) % s->queue_cap];
		free(s->queue);
		s->queue = grown;
		s->queue_cap = cap;
		s->queue_head = 0;
	}
	s->queue[(s->queue_head + s->queue_count++) % s->queue_cap] = *w;
	pthread_mutex_unlock(&s->lock);
}

void ingest_durable(void *ctx, uint64_t settled)
{
	struct server *s = ctx;
	bool delays = pace_delays(s);
	for (;;) {
		struct waiting batch[64];
		size_t n = 0;
		pthread_mutex_lock(&s->lock);
		while (n < 64 && s->queue_count && s->queue[s->queue_head].ticket <= settled) {
			batch[n++] = s->queue[s->queue_head];
			s->queue_head = (s->queue_head + 1) % s->queue_cap;
			s->queue_count--;
		}
		pthread_mutex_unlock(&s->lock);
		for (size_t i = 0; i < n; i++) {
			struct err err;
			if (wal_ticket(s->wal, batch[i].ticket, &err) != RC_OK)
				respond_err(batch[i].req, &err);
			else if (delays)
				pace_ack(s, &batch[i]);
			else
				ingest_accepted(s, &batch[i]);
		}
		if (n < 64)
			return;
	}
}

/* ---- the request ---- */

static bool query_is(struct http_request *req, const char *name, const char *value)
{
	struct slice given;
	return http_request_query(req, name, &given) && slice_eq_str(given, value);
}

/* Allow-listed headers as "name\0value\0"…; Authorization and Cookie are never among them. */
static struct slice meta_of(const struct server *s, struct http_request *req)
{
	if (!s->opts.meta_headers)
		return (struct slice){ 0 };
	uint8_t *meta = http_request_alloc(req, META_MAX);
	struct buf out = { .data = meta, .cap = META_MAX, .max = META_MAX };
	for (const char *const *name = s->opts.meta_headers; *name; name++) {
		struct slice value;
		if (!http_request_header(req, *name, &value) || out.len + strlen(*name) + value.len + 2 > META_MAX)
			continue;
		buf_append(&out, *name, strlen(*name) + 1);
		buf_append_slice(&out, value);
		buf_byte(&out, 0);
	}
	return buf_slice(&out);
}

static rc_t ingest_once(struct server *s, struct http_request *req, struct ingest_reply *reply, struct err *err)
{
	struct ingest_request in = {
		.collection = http_request_segment(req, 2),
		.body = http_request_body(req),
		.format = format_of(req),
		.body_is_event = query_is(req, "body", "event"),
		.reject = query_is(req, "on_error", "reject"),
		.meta = meta_of(s, req),
	};
	http_request_header(req, "idempotency-key", &in.key);
	if (in.key.len > WAL_KEY_MAX)
		return err_set(err, RC_INVALID, "the Idempotency-Key has %zu bytes, at most %d are allowed", in.key.len, WAL_KEY_MAX);
	struct slice format;
	if (http_request_query(req, "format", &format) && !frame_format_parse(format, &in.format))
		return err_set(err, RC_INVALID, "format '%.*s' is not one of auto, ndjson, json, text, raw", SLICE_ARG(format));
	return pipeline_ingest(s->pipeline, &in, reply, err);
}

/* Answers with what ingest_once said: now, or when the sync is done. */
static void answer(struct server *s, struct waiting *w, rc_t rc, const struct err *err)
{
	if (rc != RC_OK) {
		respond_err(w->req, err);
		return;
	}
	if (!w->reply.ticket) {
		respond_accepted(s, w->req, &w->reply);
		return;
	}
	w->ticket = w->reply.ticket;
	enqueue(s, w);
	uint64_t settled = wal_durable(s->wal);
	if (settled >= w->ticket)
		ingest_durable(s, settled);
}

/* Answers with the result of the request that had the same key, or, if that was not kept, does its work. */
void ingest_again(struct server *s, struct http_request *req, uint64_t ticket)
{
	struct waiting w = { .req = req, .reply.ticket = ticket };
	struct err err;
	rc_t rc;
	do {
		wal_wait(s->wal, w.reply.ticket, NULL);
		rc = ingest_once(s, req, &w.reply, &err);
	} while (rc == RC_AGAIN);
	answer(s, &w, rc, &err);
}

void ingest_handle(struct server *s, struct http_request *req, struct slice collection)
{
	(void)collection;
	struct waiting w = { .req = req };
	struct err err;
	rc_t rc = ingest_once(s, req, &w.reply, &err);
	if (rc == RC_AGAIN)
		repeat_wait(s, req, w.reply.ticket);
	else
		answer(s, &w, rc, &err);
}
