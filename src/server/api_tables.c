/* Collections, schemas, health, metrics. */
#include <stdio.h>
#include <string.h>

#include "os/clock.h"
#include "server/server_internal.h"
#include "server/tables.h"

static void segment_name(const struct http_request *req, char out[128])
{
	snprintf(out, 128, "%.*s", SLICE_ARG(http_request_segment(req, 2)));
}

void api_collections(struct server *s, struct http_request *req)
{
	json_t *list = NULL;
	struct err err = { 0 };
	struct grant grant;
	grant_take(s, req, &grant);
	rc_t rc = collections_json(s->pipeline, grant_reads, &grant, &list, &err);
	bool limited = grant_limited(&grant);
	grant_end(&grant);
	if (rc != RC_OK) {
		respond_err(req, &err);
		return;
	}
	json_t *o = json_pack("{s:o}", "collections", list), *problems = limited ? NULL : lake_problems_json(s->pipeline);
	if (json_array_size(problems))
		json_object_set(o, "problems", problems);
	json_decref(problems);
	respond_json(req, 200, o);
}

void api_collection(struct server *s, struct http_request *req)
{
	char name[128];
	json_t *one = NULL;
	struct err err = { 0 };
	segment_name(req, name);
	if (collection_json(s->pipeline, name, &one, &err) == RC_OK)
		respond_json(req, 200, one);
	else
		respond_err(req, &err);
}

/* One member of a declaration into the rule. */
static rc_t take_setting(struct collection_rule *rule, const char *key, json_t *value, struct err *reterr)
{
	const struct {
		const char *key;
		int64_t *target;
		double unit;
	} numbers[] = { { "commit_interval", &rule->commit_busy_us, 1e6 },
			{ "commit_interval_idle", &rule->commit_idle_us, 1e6 },
			{ "retention", &rule->retention_us, 1e6 },
			{ "file_size", (int64_t *)&rule->file_bytes, 1 } };
	const char **field = !strcmp(key, "time_field") ? &rule->time_field : !strcmp(key, "id_field") ? &rule->id_field : NULL;
	if (field) {
		*field = json_string_value(value);
		return *field && **field && strlen(*field) < 256
			       ? RC_OK
			       : err_set(reterr, RC_INVALID, "\"%s\" wants where it stands in an event, such as \"meta.%s\"", key,
					 field == &rule->time_field ? "ts" : "id");
	}
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		if (strcmp(key, numbers[i].key) != 0)
			continue;
		double v = json_number_value(value) * numbers[i].unit;
		if (!json_is_number(value) || !(v >= 1) || !(v < 9e15))
			return err_set(reterr, RC_INVALID, "\"%s\" wants a number of %s", key, numbers[i].unit == 1 ? "bytes" : "seconds");
		if (numbers[i].target == &rule->retention_us && v < 86400e6)
			return err_set(reterr, RC_INVALID, "\"retention\" wants at least a day: 86400 seconds");
		*numbers[i].target = (int64_t)v;
		return RC_OK;
	}
	if (!strcmp(key, "lake"))
		return err_set(reterr, RC_UNSUPPORTED, "\"lake\" cannot be set through the API: say it in the config file");
	return err_set(reterr, RC_INVALID, "\"%.64s\" is no setting: time_field, id_field, retention, file_size, commit_interval, commit_interval_idle are",
		       key);
}

/* PUT: all settings of the collection at once; what is not named is as for all. */
void api_collection_put(struct server *s, struct http_request *req)
{
	char name[128];
	struct err err = { 0 };
	json_t *o = body_object(req), *value;
	const char *key;
	if (!o)
		return;
	segment_name(req, name);
	struct collection_rule rule = { .pattern = name };
	rc_t rc = RC_OK;
	json_object_foreach(o, key, value)
	{
		if (rc == RC_OK)
			rc = take_setting(&rule, key, value, &err);
	}
	if (rc == RC_OK)
		rc = pipeline_declare(s->pipeline, &rule, &err);
	if (rc == RC_OK)
		respond_json(req, 200, json_pack("{s:s,s:O}", "name", name, "settings", o));
	else
		respond_err(req, &err);
	json_decref(o);
}

void api_collection_drop(struct server *s, struct http_request *req)
{
	char name[128];
	struct err err = { 0 };
	struct slice purge;
	segment_name(req, name);
	bool all = http_request_query(req, "purge", &purge) && !slice_eq_str(purge, "false");
	if (!collection_name_valid(slice_str(name)) || strstr(name, "__"))
		http_respond_error(req, 404, 0, "bad_name", "'%s' is no collection name", name);
	else if (pipeline_drop(s->pipeline, name, all, &err) == RC_OK)
		respond_json(req, 200, json_pack("{s:s,s:b}", "deleted", name, "purged", all));
	else
		respond_err(req, &err);
}

void api_schema(struct server *s, struct http_request *req)
{
	char name[128], format[32] = "json";
	struct err err = { 0 };
	struct slice given;
	segment_name(req, name);
	if (http_request_query(req, "format", &given))
		snprintf(format, sizeof format, "%.*s", SLICE_ARG(given));
	AUTO_BUF struct buf text;
	buf_init(&text, BUF_MAX_DEFAULT);
	if (schema_text(s->pipeline, name, format, &text, &err) == RC_OK)
		http_respond(req, 200, !strcmp(format, "athena") || !strcmp(format, "parquet") ? "text/plain; charset=utf-8" : "application/json",
			     buf_slice(&text), NULL, 0);
	else
		respond_err(req, &err);
}

void api_flush(struct server *s, struct http_request *req)
{
	char name[128];
	struct err err = { 0 };
	segment_name(req, name);
	if (!collection_name_valid(slice_str(name)))
		http_respond_error(req, 404, 0, "bad_name", "'%s' is no collection name", name);
	else if (pipeline_flush(s->pipeline, name, &err) == RC_OK)
		respond_json(req, 200, json_pack("{s:s}", "committed", name));
	else
		respond_err(req, &err);
}

/* ---- health ---- */

struct ready {
	json_t *problems;
	struct buf metrics;
};

static rc_t ready_one(void *ctx, const struct pipeline_state *st)
{
	struct ready *r = ctx;
	if (st->error)
		json_array_append_new(r->problems, json_pack("{s:s,s:s,s:I,s:I}", "collection", st->collection, "error", st->error, "waiting_events",
							     (json_int_t)st->waiting_events, "waiting_bytes", (json_int_t)st->waiting_bytes));
	return RC_OK;
}

static void ready_lake(void *ctx, const struct lake_state *s)
{
	struct ready *r = ctx;
	for (int i = 0; i < STORE_RIGHTS; i++)
		if (s->missing[i])
			json_array_append_new(r->problems, json_pack("{s:s,s:s,s:s}", "lake", s->url, "missing", store_right_names[i], "error", s->missing[i]));
	if (s->error)
		json_array_append_new(r->problems, json_pack("{s:s,s:s}", "lake", s->url, "error", s->error));
}

/* 200 while events are accepted; what cannot be committed is told, but events are safe in the log. 503: draining, or the log refuses. */
void ready_handle(struct server *s, struct http_request *req)
{
	struct ready r = { .problems = json_array() };
	struct err err = { .text = "" };
	pipeline_lake_states(s->pipeline, ready_lake, &r);
	pipeline_states(s->pipeline, ready_one, &r);
	bool draining = __atomic_load_n(&s->draining, __ATOMIC_RELAXED);
	bool ok = wal_status(s->wal, &err) == RC_OK && !draining;
	json_t *o = json_pack("{s:b,s:o}", "ready", ok, "problems", r.problems);
	if (!ok)
		json_object_set_new(o, "reason", json_string(draining ? "draining" : err.text));
	respond_json(req, ok ? 200 : 503, o);
}

static void metric(struct buf *b, const char *name, const char *type, const char *help, double value)
{
	buf_printf(b, "# HELP hydrant_%s %s\n# TYPE hydrant_%s %s\nhydrant_%s %.17g\n", name, help, name, type, name, value);
}

static uint64_t count_of(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static rc_t metrics_one(void *ctx, const struct pipeline_state *st)
{
	struct ready *r = ctx;
	struct buf *b = &r->metrics;
	const char *c = st->collection;
	double age = st->oldest ? (double)(clock_wall_us() - st->oldest) / 1e6 : 0;
	buf_printf(b, "hydrant_waiting_events{collection=\"%s\"} %llu\n", c, (unsigned long long)st->waiting_events);
	buf_printf(b, "hydrant_waiting_bytes{collection=\"%s\"} %llu\n", c, (unsigned long long)st->waiting_bytes);
	buf_printf(b, "hydrant_aside_bytes{collection=\"%s\"} %llu\n", c, (unsigned long long)st->aside_bytes);
	buf_printf(b, "hydrant_waiting_oldest_seconds{collection=\"%s\"} %.3f\n", c, age > 0 ? age : 0);
	buf_printf(b, "hydrant_commits_total{collection=\"%s\"} %llu\n", c, (unsigned long long)st->commits);
	buf_printf(b, "hydrant_committed_events_total{collection=\"%s\"} %llu\n", c, (unsigned long long)st->committed_events);
	buf_printf(b, "hydrant_committed_files_total{collection=\"%s\"} %llu\n", c, (unsigned long long)st->committed_files);
	buf_printf(b, "hydrant_committed_bytes_total{collection=\"%s\"} %llu\n", c, (unsigned long long)st->committed_bytes);
	buf_printf(b, "hydrant_raw_rows_total{collection=\"%s\"} %llu\n", c, (unsigned long long)st->raw_rows);
	buf_printf(b, "hydrant_restore_mismatches_total{collection=\"%s\"} %llu\n", c, (unsigned long long)st->mismatches);
	buf_printf(b, "hydrant_commit_failures_total{collection=\"%s\"} %llu\n", c, (unsigned long long)st->failures);
	buf_printf(b, "hydrant_commit_failing{collection=\"%s\"} %d\n", c, st->error != NULL);
	return RC_OK;
}

static void label(struct buf *b, const char *text)
{
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			buf_byte(b, '\\');
		buf_byte(b, (uint8_t)*text); /* a lake's URL has no control characters */
	}
}

static void metrics_lake(void *ctx, const struct lake_state *s)
{
	struct ready *r = ctx;
	struct buf *b = &r->metrics;
	buf_append_str(b, "hydrant_lake_answers{lake=\"");
	label(b, s->url);
	buf_printf(b, "\"} %d\n", s->looked && !s->error);
	for (int i = 0; i < STORE_RIGHTS; i++) {
		if (s->found[i] == STORE_UNKNOWN || !s->looked)
			continue;
		buf_append_str(b, "hydrant_lake_right{lake=\"");
		label(b, s->url);
		buf_printf(b, "\",right=\"%s\"} %d\n", store_right_names[i], s->found[i] == STORE_HAS);
	}
}

/* What the buckets were asked; a folder is asked nothing. */
static void store_metrics(struct buf *b, struct pipeline *p)
{
	struct store_stats st;
	pipeline_store_stats(p, &st);
	buf_append_str(b, "# HELP hydrant_store_requests_total requests to the object store\n# TYPE hydrant_store_requests_total counter\n");
	for (int i = 0; i < STORE_KINDS; i++)
		buf_printf(b, "hydrant_store_requests_total{kind=\"%s\"} %llu\n", store_kind_names[i], (unsigned long long)st.requests[i]);
	metric(b, "store_retries_total", "counter", "of them, tries after a failed one", (double)st.retries);
	metric(b, "store_errors_total", "counter", "requests given up or refused", (double)st.errors);
	metric(b, "store_sent_bytes_total", "counter", "to the object store", (double)st.bytes_up);
	metric(b, "store_received_bytes_total", "counter", "from the object store", (double)st.bytes_down);
	metric(b, "store_cache_hits_total", "counter", "reads answered by the local cache", (double)st.cache_hits);
	metric(b, "store_cache_misses_total", "counter", "reads that asked the object store", (double)st.cache_misses);
}

/* With `ack: store` only. */
static void ack_metrics(struct buf *b, struct pipeline *p)
{
	struct ack_state a;
	pipeline_ack_state(p, &a);
	if (!a.on)
		return;
	metric(b, "log_objects", "gauge", "objects of this server's log in the lake's store", (double)a.log.kept);
	metric(b, "log_objects_put_total", "counter", "put before their events were acked", (double)a.log.objects);
	metric(b, "log_objects_put_bytes_total", "counter", "their bytes", (double)a.log.bytes);
	metric(b, "log_objects_put_seconds_total", "counter", "time in these puts", (double)a.log.put_us / 1e6);
	metric(b, "log_objects_put_seconds_max", "gauge", "the longest", (double)a.log.put_us_max / 1e6);
	metric(b, "log_objects_failures_total", "counter", "puts given up: what waited was answered with 503", (double)a.log.failures);
	metric(b, "log_objects_removed_total", "counter", "removed: tables hold their events", (double)a.log.removed);
	metric(b, "log_fenced", "gauge", "1: another server took the log over", a.log.fenced);
	metric(b, "adopted_logs_total", "counter", "logs of dead servers, taken over", (double)a.adopted_logs);
	metric(b, "adopted_events_total", "counter", "their events that this server put into tables", (double)a.adopted_events);
	metric(b, "adoption_failures_total", "counter", "looks for dead servers' logs, or adoptions, that failed", (double)a.failures);
}

void metrics_handle(struct server *s, struct http_request *req)
{
	struct ready r = { 0 };
	struct buf *b = &r.metrics;
	struct wal_stats w;
	struct http_server_stats h = { 0 };
	buf_init(b, (size_t)64 << 20);
	wal_stats(s->wal, &w);
	struct http_server *http = __atomic_load_n(&s->http, __ATOMIC_ACQUIRE);
	if (http) /* not yet, in the first moment */
		http_server_get_stats(http, &h);
	metric(b, "uptime_seconds", "gauge", "since the start", (double)(clock_wall_us() - s->started) / 1e6);
	metric(b, "accepted_events_total", "counter", "events answered with 200, quarantined ones included", (double)count_of(&s->accepted_events));
	metric(b, "accepted_bytes_total", "counter", "their bodies, inflated", (double)count_of(&s->accepted_bytes));
	metric(b, "quarantined_events_total", "counter", "of them, in quarantine", (double)count_of(&s->quarantined_events));
	metric(b, "deduplicated_events_total", "counter", "of them, not kept again: their id was seen", (double)count_of(&s->deduplicated_events));
	metric(b, "repeated_requests_total", "counter", "requests whose Idempotency-Key was seen", (double)count_of(&s->repeated_requests));
	metric(b, "delayed_acks_total", "counter", "acks that waited because their collection's backlog is long", (double)s->delayed_acks);
	metric(b, "http_requests_total", "counter", "requests read", (double)h.requests);
	metric(b, "http_connections", "gauge", "open connections", (double)h.connections);
	for (int i = 2; i < 6; i++)
		buf_printf(b, "hydrant_http_responses_total{class=\"%dxx\"} %llu\n", i, (unsigned long long)h.responses[i]);
	metric(b, "http_body_memory_bytes", "gauge", "held by bodies being read", (double)h.body_memory);
	metric(b, "log_bytes", "gauge", "the log's segments", (double)w.bytes);
	metric(b, "log_pending_bytes", "gauge", "not in a table yet", (double)w.pending_bytes);
	metric(b, "log_aside_bytes", "gauge", "side files of collections whose commits fail, beside the segments", (double)w.side_bytes);
	metric(b, "log_aside_files", "gauge", "of them", (double)w.side_files);
	metric(b, "log_aside_failures_total", "counter", "tries to move events there that failed", (double)w.aside_failures);
	metric(b, "log_keys_forgotten_total", "counter", "ids and Idempotency-Keys forgotten before the window was over, as the log has no room", (double)w.keys_forgotten);
	metric(b, "log_syncs_total", "counter", "group commits", (double)w.syncs);
	metric(b, "log_sync_seconds_total", "counter", "time in them", (double)w.sync_us / 1e6);
	metric(b, "log_sync_failures_total", "counter", "failed syncs", (double)w.failures);
	metric(b, "queries_total", "counter", "SQL statements", (double)count_of(&s->queries));
	metric(b, "searches_total", "counter", "searches", (double)count_of(&s->searches));
	metric(b, "query_errors_total", "counter", "of queries, searches, replays", (double)count_of(&s->query_errors));
	store_metrics(b, s->pipeline);
	ack_metrics(b, s->pipeline);
	pipeline_lake_states(s->pipeline, metrics_lake, &r);
	pipeline_states(s->pipeline, metrics_one, &r);
	http_respond_buf(req, 200, "text/plain; version=0.0.4", b, NULL, 0);
	buf_free(b);
}
