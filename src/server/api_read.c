/* POST /v1/query, /v1/search, /v1/replay: bodies are small JSON objects, answers are streamed. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "os/clock.h"
#include "server/read.h"
#include "server/server_internal.h"

#define WIDTH_MAX 10000 /* columns of a terminal */
#define SLOT_WAIT_US 15000000

struct answer {
	struct server *s;
	struct http_request *req;
	const char *asked; /* what a line in the log knows it by: the collection or the statement; may be NULL */
	const char *content_type;
	char note[512];
	char last_note[64]; /* what is known behind the last byte only */
	bool notes_last;    /* there may be such a note, and no other */
	bool begun;
	bool patient;
};

/* Search and replay may be read through a pager, or by a destination that is slow: these answers wait for an hour. SQL's do not, its children are
 * two. */
static void answer_patiently(struct answer *a)
{
	struct server *s = a->s;
	pthread_mutex_lock(&s->workers_lock);
	a->patient = s->patient < PATIENT_MAX && http_stream_patience(a->req, PATIENCE_US);
	s->patient += a->patient;
	pthread_mutex_unlock(&s->workers_lock);
}

static rc_t answer_write(void *ctx, struct slice bytes, struct err *reterr)
{
	struct answer *a = ctx;
	if (!a->begun) {
		const struct http_field note = { "X-Hydrant-Note", a->note }, later = { "Trailer", "X-Hydrant-Note" };
		http_stream_begin(a->req, 200, a->content_type, a->note[0] ? &note : &later, a->note[0] || a->notes_last ? 1 : 0);
		a->begun = true;
	}
	return http_stream_write(a->req, bytes, reterr);
}

static void answer_note(void *ctx, const char *text)
{
	struct answer *a = ctx;
	snprintf(a->note, sizeof a->note, "%s", text);
}

/* Status and first bytes are out: the client sees that the answer is cut, but why can only be said here. */
static void log_cut(const struct answer *a, const struct err *err)
{
	char asked[201];
	size_t n = 0;
	for (const char *p = a->asked ? a->asked : ""; *p && n < sizeof asked - 1; p++)
		asked[n++] = *p < ' ' && *p >= 0 ? ' ' : *p;
	asked[n] = 0;
	log_error("%.*s of %s: the answer was cut off: %s", SLICE_ARG(http_request_path(a->req)), asked, err->text);
}

static void answer_end(struct answer *a, rc_t rc, const struct err *err)
{
	pthread_mutex_lock(&a->s->workers_lock);
	a->s->patient -= a->patient;
	pthread_mutex_unlock(&a->s->workers_lock);
	if (rc != RC_OK && rc != RC_CANCELLED && a->begun) /* cancelled: nobody waits for it any more */
		log_cut(a, err);
	if (rc != RC_OK)
		__atomic_add_fetch(&a->s->query_errors, 1, __ATOMIC_RELAXED);
	const struct http_field last = { "X-Hydrant-Note", a->last_note };
	if (a->begun)
		http_stream_end(a->req, rc == RC_OK, a->last_note[0] ? &last : NULL);
	else if (rc == RC_OK)
		http_respond(a->req, 200, a->content_type, (struct slice){ 0 }, &last, a->last_note[0] ? 1 : 0);
	else
		respond_err(a->req, err);
}

json_t *body_object(struct http_request *req)
{
	struct slice body = http_request_body(req);
	json_error_t je;
	json_t *o = json_loadb((const char *)body.data, body.len, JSON_REJECT_DUPLICATES, &je);
	if (json_is_object(o))
		return o;
	if (o)
		http_respond_error(req, 400, 0, "invalid", "the body is no JSON object");
	else
		http_respond_error(req, 400, 0, "invalid", "the body is no JSON: line %d, column %d: %s", je.line, je.column, je.text);
	json_decref(o);
	return NULL;
}

/* What a body may hold; a member that is null is not there. */
enum member_type { MEMBER_TEXT, MEMBER_TIME, MEMBER_WHOLE, MEMBER_NUMBER, MEMBER_BOOL };
struct member {
	const char *name; /* NULL: the end */
	enum member_type type;
};
static const struct member query_members[] = {
	{ "sql", MEMBER_TEXT }, { "format", MEMBER_TEXT }, { "width", MEMBER_WHOLE }, { "from", MEMBER_TIME }, { "to", MEMBER_TIME }, { 0 }
};
static const struct member search_members[] = {
	{ "collection", MEMBER_TEXT }, { "query", MEMBER_TEXT },  { "from", MEMBER_TIME },
	{ "to", MEMBER_TIME },	       { "limit", MEMBER_WHOLE }, { "payloads_only", MEMBER_BOOL }, { 0 }
};
static const struct member replay_members[] = {
	{ "collection", MEMBER_TEXT }, { "where", MEMBER_TEXT },   { "from", MEMBER_TIME },    { "to", MEMBER_TIME },	 { "rate", MEMBER_NUMBER },
	{ "speed", MEMBER_NUMBER },    { "framing", MEMBER_TEXT }, { "to_url", MEMBER_TEXT }, { 0 }
};

static bool member_fits(const json_t *v, enum member_type type)
{
	switch (type) {
	case MEMBER_TEXT:
		return json_is_string(v);
	case MEMBER_WHOLE:
		return json_is_integer(v);
	case MEMBER_NUMBER:
		return json_is_number(v) && json_number_value(v) >= 0;
	case MEMBER_BOOL:
		return json_is_boolean(v);
	default:
		return true; /* time_of tells */
	}
}

/* A member that was passed over would give the answer to another question than the one that was meant. */
static rc_t body_check(json_t *o, const struct member *members, struct err *reterr)
{
	static const char *const wants[] = { [MEMBER_TEXT] = "a text", [MEMBER_WHOLE] = "a whole number",
					     [MEMBER_NUMBER] = "a number, 0 or more", [MEMBER_BOOL] = "true or false" };
	const char *key;
	json_t *value;
	json_object_foreach (o, key, value) {
		const struct member *m = members;
		while (m->name && strcmp(m->name, key) != 0)
			m++;
		if (m->name && (json_is_null(value) || member_fits(value, m->type)))
			continue;
		if (m->name)
			return err_set(reterr, RC_INVALID, "\"%s\" wants %s", key, wants[m->type]);
		char all[128] = "";
		for (m = members; m->name; m++)
			snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", all[0] ? ", " : "", m->name);
		return err_set(reterr, RC_INVALID, "there is no \"%.64s\" in such a body; there are %s", key, all);
	}
	return RC_OK;
}

static const char *text_of(json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

/* "from", "to": RFC 3339, or a number of epoch s, ms, µs, or relative ("-15m"). */
static rc_t time_of(json_t *o, const char *key, int64_t otherwise, int64_t *ret, struct err *reterr)
{
	json_t *v = json_object_get(o, key);
	char number[32];
	const char *text = json_string_value(v);
	*ret = otherwise;
	if (json_is_integer(v)) {
		snprintf(number, sizeof number, "%lld", (long long)json_integer_value(v));
		text = number;
	}
	if ((v && !json_is_null(v)) && (!text || time_parse(text, ret) != 0))
		return err_set(reterr, RC_INVALID, "\"%s\" wants a time such as \"2026-11-22T10:00:00Z\" or \"-15m\"", key);
	return RC_OK;
}

/* SQL_SLOTS children share the memory that SQL has; further queries wait for one of them to end, but not for long: they keep a worker. */
static rc_t slot_take(struct server *s, const struct watch *w, struct err *reterr)
{
	int64_t until = clock_mono_us() + SLOT_WAIT_US;
	struct timespec ts = { until / 1000000, until % 1000000 * 1000 };
	rc_t rc = RC_OK;
	pthread_mutex_lock(&s->workers_lock);
	while (rc == RC_OK && s->sql_running == SQL_SLOTS) {
		if (__atomic_load_n(&w->cancel, __ATOMIC_RELAXED))
			rc = err_set(reterr, RC_CANCELLED, "the query was cancelled before it could begin");
		else if (clock_mono_us() >= until)
			rc = err_set(reterr, RC_AGAIN, "%d SQL queries are running, and none of them ended in %d s: try again later", SQL_SLOTS,
				     (int)(SLOT_WAIT_US / 1000000));
		else
			pthread_cond_timedwait(&s->sql_ended, &s->workers_lock, &ts);
	}
	s->sql_running += rc == RC_OK;
	pthread_mutex_unlock(&s->workers_lock);
	return rc;
}

static void slot_give(struct server *s)
{
	pthread_mutex_lock(&s->workers_lock);
	s->sql_running--;
	pthread_cond_signal(&s->sql_ended);
	pthread_mutex_unlock(&s->workers_lock);
}

/* The collection that a body names, and whether this request may have it. */
static rc_t body_collection(struct server *s, struct http_request *req, enum access_scope scope, const char *name, struct err *reterr)
{
	struct grant grant;
	if (!name)
		return err_set(reterr, RC_INVALID, "the body needs \"collection\": \"NAME\"");
	grant_take(s, req, &grant);
	rc_t rc = grant_check(&grant, scope, name, reterr);
	grant_end(&grant);
	return rc;
}

void api_query(struct server *s, struct http_request *req)
{
	__atomic_add_fetch(&s->queries, 1, __ATOMIC_RELAXED);
	json_t *o = body_object(req);
	if (!o)
		return;
	struct err err = { 0 };
	struct answer a = { .s = s, .req = req, .content_type = "application/json" };
	json_int_t width = json_integer_value(json_object_get(o, "width"));
	const char *sql = text_of(o, "sql"), *format = text_of(o, "format");
	struct read_query_options qo = {
		.format = SQL_JSON,
		.memory_bytes = s->opts.sql_memory_bytes / SQL_SLOTS,
		.width = width > 0 && width < WIDTH_MAX ? (unsigned)width : 0,
		.note = answer_note,
		.write = answer_write,
		.ctx = &a,
	};
	struct grant grant;
	grant_take(s, req, &grant);
	rc_t rc = grant_check(&grant, SCOPE_READ, NULL, &err);
	if (rc == RC_OK)
		rc = body_check(o, query_members, &err);
	if (grant_limited(&grant)) {
		qo.visible = grant_reads;
		qo.visible_ctx = &grant;
	}
	if (rc == RC_OK && !sql)
		rc = err_set(&err, RC_INVALID, "the body needs \"sql\": \"SELECT …\"");
	else if (rc == RC_OK && format)
		rc = sql_format_parse(format, &qo.format, &err);
	if (rc == RC_OK)
		rc = time_of(o, "from", INT64_MIN, &qo.from, &err);
	if (rc == RC_OK)
		rc = time_of(o, "to", INT64_MAX, &qo.to, &err);
	if (rc == RC_OK) {
		qo.sql = slice_str(sql);
		a.asked = sql;
		a.content_type = qo.format == SQL_CSV      ? "text/csv"
				 : qo.format == SQL_TABLE  ? "text/plain; charset=utf-8"
				 : qo.format == SQL_NDJSON ? "application/x-ndjson"
							   : "application/json";
		struct watch w;
		watch_begin(s, &w, req);
		qo.cancel_fd = w.fd;
		rc = slot_take(s, &w, &err);
		if (rc == RC_OK) {
			rc = read_query(s->pipeline, &qo, &err);
			slot_give(s);
		}
		watch_end(s, &w);
	}
	grant_end(&grant);
	answer_end(&a, rc, &err);
	json_decref(o);
}

void api_search(struct server *s, struct http_request *req)
{
	__atomic_add_fetch(&s->searches, 1, __ATOMIC_RELAXED);
	json_t *o = body_object(req);
	if (!o)
		return;
	struct err err = { 0 };
	struct answer a = { .s = s, .req = req, .content_type = "application/x-ndjson", .notes_last = true };
	const char *query = text_of(o, "query");
	json_t *limit = json_object_get(o, "limit");
	struct read_search_options so = {
		.collection = text_of(o, "collection"),
		.query = slice_str(query ? query : ""),
		.limit = json_is_integer(limit) ? json_integer_value(limit) : 100,
		.json = !json_is_true(json_object_get(o, "payloads_only")),
		.write = answer_write,
		.ctx = &a,
	};
	struct read_search_result result;
	a.asked = so.collection;
	rc_t rc = body_collection(s, req, SCOPE_READ, so.collection, &err);
	if (rc == RC_OK)
		rc = body_check(o, search_members, &err);
	if (rc == RC_OK)
		rc = time_of(o, "from", INT64_MIN, &so.from, &err);
	if (rc == RC_OK)
		rc = time_of(o, "to", INT64_MAX, &so.to, &err);
	if (rc == RC_OK) {
		struct watch w;
		watch_begin(s, &w, req);
		so.cancel = &w.cancel;
		answer_patiently(&a);
		rc = read_search(s->pipeline, &so, &result, &err);
		watch_end(s, &w);
	}
	if (rc == RC_OK && result.more)
		snprintf(a.last_note, sizeof a.last_note, "the first %lld hits; a larger limit shows more", (long long)so.limit);
	answer_end(&a, rc, &err);
	json_decref(o);
}

static rc_t framing_of(const char *name, enum sink_framing *ret, struct err *reterr)
{
	*ret = SINK_LINES;
	if (name && !strcmp(name, "length"))
		*ret = SINK_LENGTH;
	else if (name && !strcmp(name, "nul"))
		*ret = SINK_NUL;
	else if (name && !strcmp(name, "records"))
		*ret = SINK_RECORDS;
	else if (name && strcmp(name, "lines") != 0)
		return err_set(reterr, RC_INVALID, "framing '%.32s' is not one of lines, length, nul, records", name);
	return RC_OK;
}

/* Without "to_url" the payloads themselves are the answer, framed; else they are sent there and the answer counts them. */
void api_replay(struct server *s, struct http_request *req)
{
	json_t *o = body_object(req);
	if (!o)
		return;
	struct err err = { 0 };
	struct answer a = { .s = s, .req = req, .content_type = "application/octet-stream" };
	const char *where = text_of(o, "where");
	struct read_replay_options ro = {
		.collection = text_of(o, "collection"),
		.to = text_of(o, "to_url"),
		.where = slice_str(where ? where : ""),
		.rate = json_number_value(json_object_get(o, "rate")),
		.speed = json_number_value(json_object_get(o, "speed")),
		.write = answer_write,
		.ctx = &a,
	};
	struct replay_result result = { 0 };
	a.asked = ro.collection;
	rc_t rc = body_collection(s, req, SCOPE_REPLAY, ro.collection, &err);
	if (rc == RC_OK)
		rc = body_check(o, replay_members, &err);
	if (rc == RC_OK && ro.to && strncmp(ro.to, "http://", 7) && strncmp(ro.to, "https://", 8))
		rc = err_set(&err, RC_INVALID, "a server replays to http:// and https:// addresses only; `hydrant replay` writes files");
	if (rc == RC_OK)
		rc = time_of(o, "from", INT64_MIN, &ro.from, &err);
	if (rc == RC_OK)
		rc = time_of(o, "to", INT64_MAX, &ro.until, &err);
	if (rc == RC_OK)
		rc = framing_of(text_of(o, "framing"), &ro.framing, &err);
	if (rc == RC_OK) {
		struct watch w;
		watch_begin(s, &w, req);
		ro.cancel = &w.cancel;
		if (!ro.to)
			answer_patiently(&a);
		rc = read_replay(s->pipeline, &ro, &result, &err);
		watch_end(s, &w);
	}
	if (rc == RC_OK && ro.to)
		respond_json(req, 200, json_pack("{s:I,s:I,s:I,s:I}", "events", (json_int_t)result.events, "bytes", (json_int_t)result.bytes, "foreign",
						 (json_int_t)result.foreign, "files_of_others", (json_int_t)result.files_of_others));
	else
		answer_end(&a, rc, &err);
	json_decref(o);
}
