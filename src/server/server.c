#include "server/server.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "os/clock.h"
#include "server/server_internal.h"

/* ---- answers ---- */

static const struct {
	rc_t rc;
	int status;
	const char *code;
} err_table[] = {
	{ RC_NOT_FOUND, 404, "not_found" }, { RC_CONFLICT, 409, "conflict" },        { RC_INVALID, 400, "invalid" },
	{ RC_CORRUPT, 500, "corrupt" },     { RC_LIMIT, 503, "limit" },              { RC_UNSUPPORTED, 501, "unsupported" },
	{ RC_CANCELLED, 499, "cancelled" }, { RC_AGAIN, 503, "busy" },               { RC_IO, 503, "unavailable" },
};

void respond_err(struct http_request *req, const struct err *err)
{
	int status = 500;
	const char *code = "internal";
	for (size_t i = 0; i < sizeof err_table / sizeof *err_table; i++) {
		if (err_table[i].rc == err->rc) {
			status = err_table[i].status;
			code = err_table[i].code;
		}
	}
	if (err->status && (err->rc != RC_IO || err->status >= 500)) /* what a bucket told us is not what we tell */
		status = err->status;
	if (status == 429)
		code = "log_full";
	else if (status == 413)
		code = "too_large";
	else if (status == 401 || status == 403)
		code = status == 401 ? "unauthorized" : "forbidden";
	int retry = status == 429 || status == 503 || status == 507 ? (status == 429 ? 5 : 1) : 0;
	http_respond_error(req, status, retry, code, "%s", err->text);
}

void respond_json(struct http_request *req, int status, json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENSURE_ASCII * 0);
	json_decref(value);
	AUTO_BUF struct buf body;
	buf_init(&body, BUF_MAX_DEFAULT);
	buf_append_str(&body, text ? text : "null");
	buf_byte(&body, '\n');
	free(text);
	http_respond(req, status, "application/json", buf_slice(&body), NULL, 0);
}

/* ---- workers ---- */

struct work {
	struct server *s;
	struct http_request *req;
	void (*run)(struct server *s, struct http_request *req);
};

static void *work_thread(void *arg)
{
	struct work *w = arg;
	struct server *s = w->s;
	w->run(s, w->req);
	free(w);
	pthread_mutex_lock(&s->workers_lock);
	s->workers--;
	pthread_cond_signal(&s->workers_idle);
	pthread_mutex_unlock(&s->workers_lock);
	return NULL;
}

void server_work(struct server *s, struct http_request *req, void (*run)(struct server *s, struct http_request *req))
{
	pthread_mutex_lock(&s->workers_lock);
	bool full = s->workers >= WORKERS_MAX;
	s->workers += !full;
	pthread_mutex_unlock(&s->workers_lock);
	if (full) {
		http_respond_error(req, 503, 1, "busy", "%d queries are running already; try again in a second", WORKERS_MAX);
		return;
	}
	struct work *w = NEW(struct work);
	*w = (struct work){ s, req, run };
	pthread_t thread;
	pthread_attr_t detached;
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	int failed = pthread_create(&thread, &detached, work_thread, w);
	pthread_attr_destroy(&detached);
	if (!failed)
		return;
	free(w);
	pthread_mutex_lock(&s->workers_lock);
	s->workers--;
	pthread_mutex_unlock(&s->workers_lock);
	http_respond_error(req, 503, 1, "busy", "no thread could be started: %s", strerror(failed));
}

/* ---- routing ---- */

static bool segment_is(const struct http_request *req, unsigned index, const char *want)
{
	return slice_eq_str(http_request_segment(req, index), want);
}

static void respond_method(struct http_request *req, const char *allow)
{
	struct http_field field = { "Allow", allow };
	AUTO_BUF struct buf body;
	buf_init(&body, 1024);
	AUTO_MEM char *text = mem_printf("this address takes %s", allow);
	http_error_body(&body, "method_not_allowed", text);
	http_respond(req, 405, "application/json", buf_slice(&body), &field, 1);
}

static bool ingest_target(const struct http_request *req)
{
	return http_request_segments(req) == 4 && segment_is(req, 0, "v1") && segment_is(req, 1, "collections") && segment_is(req, 3, "events");
}

/* Before a body is read: who may, and is there room for it? */
static void check(void *ctx, struct http_request *req)
{
	struct server *s = ctx;
	if (!authorize(s, req))
		return;
	if (!ingest_target(req)) {
		http_request_limit_body(req, JSON_BODY_MAX);
		return;
	}
	if (http_request_method(req) != HTTP_POST) {
		respond_method(req, "POST");
		return;
	}
	struct slice name = http_request_segment(req, 2);
	if (!collection_name_valid(name) || memmem(name.data, name.len, "__", 2)) {
		http_respond_error(req, 404, 0, "bad_name", "'%.*s' is no collection name: use [a-z][a-z0-9_]{0,62} without '__'", SLICE_ARG(name));
		return;
	}
	struct slice type;
	if (http_request_header(req, "content-type", &type) && type.len >= 10 && strncasecmp((const char *)type.data, "multipart/", 10) == 0) {
		http_respond_error(req, 415, 0, "unsupported_type", "multipart bodies (curl -F) are not taken apart: send the events themselves as the "
				   "body, as curl --data-binary @FILE does");
		return;
	}
	struct err err;
	int64_t length = http_request_content_length(req);
	if (wal_check(s->wal, name, length > 0 ? (uint64_t)length : 0, &err) != RC_OK)
		respond_err(req, &err);
}

static void handle_collections(struct server *s, struct http_request *req)
{
	unsigned n = http_request_segments(req);
	enum http_method m = http_request_method(req);
	bool get = m == HTTP_GET || m == HTTP_HEAD;
	if (n == 2)
		get ? server_work(s, req, api_collections) : respond_method(req, "GET");
	else if (n == 3 && m == HTTP_DELETE)
		server_work(s, req, api_collection_drop);
	else if (n == 3 && m == HTTP_PUT)
		server_work(s, req, api_collection_put);
	else if (n == 3)
		get ? server_work(s, req, api_collection) : respond_method(req, "GET, PUT, DELETE");
	else if (n == 4 && segment_is(req, 3, "schema"))
		get ? server_work(s, req, api_schema) : respond_method(req, "GET");
	else if (n == 4 && segment_is(req, 3, "flush"))
		m == HTTP_POST ? server_work(s, req, api_flush) : respond_method(req, "POST");
	else
		http_respond_error(req, 404, 0, "not_found", "nothing is at this address; events go to POST /v1/collections/NAME/events");
}

static void handle(void *ctx, struct http_request *req)
{
	struct server *s = ctx;
	if (ingest_target(req)) {
		ingest_handle(s, req, http_request_segment(req, 2));
		return;
	}
	unsigned n = http_request_segments(req);
	enum http_method m = http_request_method(req);
	bool get = m == HTTP_GET || m == HTTP_HEAD;
	if (n >= 2 && segment_is(req, 0, "v1") && segment_is(req, 1, "collections"))
		handle_collections(s, req);
	else if (n == 2 && segment_is(req, 0, "v1") && segment_is(req, 1, "query"))
		m == HTTP_POST ? server_work(s, req, api_query) : respond_method(req, "POST");
	else if (n == 2 && segment_is(req, 0, "v1") && segment_is(req, 1, "search"))
		m == HTTP_POST ? server_work(s, req, api_search) : respond_method(req, "POST");
	else if (n == 2 && segment_is(req, 0, "v1") && segment_is(req, 1, "replay"))
		m == HTTP_POST ? server_work(s, req, api_replay) : respond_method(req, "POST");
	else if (n == 1 && segment_is(req, 0, "healthz") && get)
		http_respond(req, 200, "text/plain", SLICE_LIT("ok\n"), NULL, 0);
	else if (n == 1 && segment_is(req, 0, "readyz") && get)
		ready_handle(s, req);
	else if (n == 1 && segment_is(req, 0, "metrics") && get)
		metrics_handle(s, req);
	else if (n == 0 && get)
		http_respond(req, 200, "text/plain",
			     SLICE_LIT("hydrant\n\nPOST /v1/collections/NAME/events  send events\nPOST /v1/query   {\"sql\": …}\nPOST /v1/search  "
				       "{\"collection\": …, \"query\": …}\nGET  /v1/collections\nGET  /healthz  /readyz  /metrics\n"),
			     NULL, 0);
	else
		http_respond_error(req, 404, 0, "not_found", "nothing is at this address; events go to POST /v1/collections/NAME/events");
}

/* ---- life ---- */

rc_t server_start(const struct server_options *opts, struct server **ret, struct err *reterr)
{
	AUTO(server) *s = NEW(struct server);
	s->opts = *opts;
	s->opts.token = NULL; /* the caller's, and known by its hash only from here on */
	s->opts.tokens = NULL;
	s->access = access_new(opts->token, opts->tokens, opts->token_count);
	s->pipeline = opts->pipeline;
	s->wal = pipeline_wal(opts->pipeline);
	s->started = clock_wall_us();
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->access_lock, NULL);
	pthread_mutex_init(&s->workers_lock, NULL);
	pthread_cond_init(&s->workers_idle, NULL);
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&s->sql_ended, &monotonic);
	pthread_cond_init(&s->watch_changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	TRY(watch_start(s, reterr));
	TRY(pace_start(s, reterr));
	TRY(repeat_start(s, reterr));
	TRY(wal_on_durable(s->wal, ingest_durable, s, reterr));
	struct http_server_options ho;
	http_server_options_init(&ho);
	ho.listen = opts->listen;
	ho.loops = opts->loops;
	ho.tls = opts->tls;
	if (opts->body_memory)
		ho.body_memory = opts->body_memory;
	ho.check = check;
	ho.handle = handle;
	ho.ctx = s;
	struct http_server *http = NULL;
	TRY(http_server_start(&ho, &http, reterr));
	__atomic_store_n(&s->http, http, __ATOMIC_RELEASE); /* requests may be in work already */
	*ret = s;
	s = NULL;
	return RC_OK;
}

const char *server_address(const struct server *s)
{
	return http_server_address(s->http);
}

void server_drain(struct server *s, int64_t deadline)
{
	__atomic_store_n(&s->draining, true, __ATOMIC_RELAXED);
	http_server_drain(s->http, deadline, NULL);
}

void server_free(struct server *s)
{
	if (!s)
		return;
	http_server_stop(s->http);
	watch_stop(s);
	pthread_mutex_lock(&s->workers_lock);
	while (s->workers)
		pthread_cond_wait(&s->workers_idle, &s->workers_lock);
	pthread_mutex_unlock(&s->workers_lock);
	repeat_stop(s);
	if (s->wal) {
		wal_flush(s->wal, NULL); /* whoever still waits is settled, and answered, here */
		ingest_durable(s, wal_durable(s->wal));
		wal_remove_on_durable(s->wal, ingest_durable, s);
	}
	pace_stop(s);
	http_server_free(s->http);
	free(s->queue);
	access_release(s->access);
	pthread_mutex_destroy(&s->access_lock);
	pthread_mutex_destroy(&s->lock);
	pthread_mutex_destroy(&s->workers_lock);
	pthread_cond_destroy(&s->workers_idle);
	pthread_cond_destroy(&s->sql_ended);
	pthread_cond_destroy(&s->watch_changed);
	free(s);
}
