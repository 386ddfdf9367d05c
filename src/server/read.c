#include "server/read.h"

#include <stdio.h>
#include <stdlib.h>

#include "json/json.h"
#include "os/clock.h"
#include "os/file.h"
#include "scan/scan.h"
#include "search/search.h"

#define OUT_FLUSH ((size_t)64 << 10)

/* ---- SQL ---- */

struct query_tables {
	struct pipeline *p;
	const struct read_query_options *opts;
	struct slice sql;
	struct sql_table *tables;
	struct view **views;
	size_t *fetched; /* a table: its first so many files are copies that the store holds */
	size_t count, cap;
	struct buf note;
};

static rc_t add_path(void *ctx, const struct data_file *f, struct err *reterr)
{
	struct sql_table *t = ctx;
	(void)reterr;
	/* doubling at powers of two: the array itself carries no capacity */
	if ((t->n & (t->n - 1)) == 0)
		t->files = mem_realloc((void *)t->files, (t->n ? t->n * 2 : 1) * sizeof *t->files);
	((const char **)t->files)[t->n++] = mem_strdup(f->path);
	return RC_OK;
}

struct wants {
	struct table *table;
	struct store_want *items;
	size_t count, cap;
};

static rc_t add_want(void *ctx, const struct data_file *f, struct err *reterr)
{
	struct wants *w = ctx;
	(void)reterr;
	if (w->count == w->cap) {
		w->cap = w->cap ? w->cap * 2 : 16;
		w->items = mem_realloc(w->items, w->cap * sizeof *w->items);
	}
	w->items[w->count++] = (struct store_want){ table_key(w->table, f->path), (uint64_t)f->file_size };
	return RC_OK;
}

/* The table's data files as whole local files: those of the days that are asked for. */
static rc_t fetch_files(struct sql_table *t, struct table *table, size_t *ret_fetched, struct err *reterr)
{
	struct wants w = { .table = table };
	bool all = !t->from && !t->to;
	rc_t rc = table_files(table, all || t->from == INT64_MIN ? INT32_MIN : time_day(t->from), all || t->to == INT64_MAX ? INT32_MAX : time_day(t->to - 1), add_want,
			      &w, reterr);
	char **paths = mem_zalloc(w.count + 1, sizeof *paths);
	if (rc == RC_OK)
		rc = store_fetch(table_store(table), w.items, w.count, paths, reterr);
	for (size_t i = 0; i < w.count; i++) {
		struct data_file file = { .path = paths[i] };
		if (rc == RC_OK)
			add_path(t, &file, reterr);
		if (rc == RC_OK)
			free(paths[i]); /* add_path keeps its own */
		free((void *)w.items[i].key);
	}
	*ret_fetched = t->n;
	free(w.items);
	free(paths);
	return rc;
}

/* Hot files follow the committed ones. */
static rc_t fill_table(struct sql_table *t, struct view *v, size_t *ret_fetched, struct err *reterr)
{
	t->schema = v->schema;
	if (v->table)
		TRY(fetch_files(t, v->table, ret_fetched, reterr));
	for (size_t i = 0; i < v->hot_count; i++) {
		struct data_file hot = { .path = v->hot[i] };
		TRY(add_path(t, &hot, reterr));
	}
	return RC_OK;
}

static rc_t add_collection(void *ctx, const char *collection, struct err *reterr)
{
	struct query_tables *q = ctx;
	if (q->count == q->cap) {
		q->cap = q->cap ? q->cap * 2 : 16;
		q->tables = mem_realloc(q->tables, q->cap * sizeof *q->tables);
		q->views = mem_realloc(q->views, q->cap * sizeof *q->views);
		q->fetched = mem_realloc(q->fetched, q->cap * sizeof *q->fetched);
	}
	struct sql_table *t = &q->tables[q->count];
	*t = (struct sql_table){ .name = mem_strdup(collection), .from = q->opts->from, .to = q->opts->to };
	q->fetched[q->count] = 0;
	q->views[q->count++] = NULL;
	if (!sql_mentions(q->sql, collection))
		return RC_OK;
	struct view *v;
	rc_t rc = view_open(q->p, collection, &v, reterr);
	if (rc == RC_NOT_FOUND) { /* dropped just now; or it has nothing but quarantined events */
		free((void *)q->tables[--q->count].name);
		return RC_OK;
	}
	TRY(rc);
	q->views[q->count - 1] = v;
	TRY(fill_table(t, v, &q->fetched[q->count - 1], reterr));
	buf_printf(&q->note, "%s%s: ", q->note.len ? "; " : "", collection);
	if (v->table && table_snapshot_id(v->table) >= 0)
		buf_printf(&q->note, "table version %lld", (long long)table_version(v->table));
	else
		buf_append_str(&q->note, "nothing committed yet");
	buf_printf(&q->note, ", %llu hot event%s", (unsigned long long)v->hot_events, v->hot_events == 1 ? "" : "s");
	return RC_OK;
}

static bool is_listed(const struct query_tables *q, const char *name)
{
	for (size_t i = 0; i < q->count; i++)
		if (!strcmp(q->tables[i].name, name))
			return true;
	return false;
}

static void query_tables_free(struct query_tables *q)
{
	for (size_t i = 0; i < q->count; i++) {
		for (size_t f = 0; f < q->tables[i].n; f++) {
			if (f < q->fetched[i])
				store_release(table_store(q->views[i]->table), (char *)q->tables[i].files[f]);
			else
				free((void *)q->tables[i].files[f]);
		}
		free((void *)q->tables[i].files);
		free((void *)q->tables[i].name);
		view_close(q->views[i]);
	}
	free(q->tables);
	free(q->views);
	free(q->fetched);
	buf_free(&q->note);
}

/* A quarantine has no name of its own in the log: it comes with its collection, and once more by itself if it has a table. */
static rc_t collect_names(void *ctx, const char *collection, struct err *reterr)
{
	struct query_tables *q = ctx;
	if (q->opts->visible && !q->opts->visible(q->opts->visible_ctx, collection))
		return RC_OK;
	bool is_quarantine = strstr(collection, QUARANTINE_SUFFIX) != NULL;
	if (is_quarantine && is_listed(q, collection))
		return RC_OK;
	TRY(add_collection(q, collection, reterr));
	AUTO_MEM char *quarantine = mem_printf("%s%s", collection, QUARANTINE_SUFFIX);
	return is_quarantine || !sql_mentions(q->sql, quarantine) ? RC_OK : add_collection(q, quarantine, reterr);
}

rc_t read_query(struct pipeline *p, const struct read_query_options *opts, struct err *reterr)
{
	if (opts->sql.len > SQL_TEXT_MAX)
		return err_set(reterr, RC_LIMIT, "the statement is longer than %zu bytes", (size_t)SQL_TEXT_MAX);
	struct query_tables q = { .p = p, .opts = opts, .sql = opts->sql };
	buf_init(&q.note, 1 << 20);
	rc_t rc = pipeline_collections(p, collect_names, &q, reterr);
	if (rc == RC_OK && opts->note)
		opts->note(opts->ctx, buf_cstr(&q.note));
	/* Its own folder for what it spills: others' may be of collections that it may not see. */
	AUTO_MEM char *folder = pipeline_spill_dir(p), *temp = mem_printf("%s/" SPILL_TEMPLATE, folder);
	if (rc == RC_OK && file_stat(pipeline_data_dir(p), NULL, NULL, NULL, NULL) == RC_OK)
		rc = dir_make(folder, reterr);
	bool spills = rc == RC_OK && mkdtemp(temp);
	int claim = -1;
	if (rc == RC_OK && (!spills || dir_claim(temp, &claim, NULL) == RC_OK))
		pipeline_let_go(p);
	struct sql_options so = {
		.memory_bytes = opts->memory_bytes,
		.temp_dir = spills ? temp : NULL,
		.cancel_fd = opts->cancel_fd,
		.format = opts->format,
		.width = opts->width,
	};
	if (rc == RC_OK)
		rc = sql_run(&so, q.tables, q.count, opts->sql, opts->write, opts->ctx, reterr);
	if (spills)
		dir_remove_tree(temp, NULL);
	file_close(claim);
	query_tables_free(&q);
	return rc;
}

/* ---- search ---- */

static void scan_of_view(struct view *v, int64_t from, int64_t to, struct scan_options *ret)
{
	*ret = (struct scan_options){
		.store = v->store,
		.table = v->table,
		.hot = v->hot,
		.hot_count = v->hot_count,
		.from = from,
		.to = to,
	};
}

static void write_hit(struct buf *out, const struct scan_row *row, bool json)
{
	if (!json) {
		buf_append_slice(out, row->payload);
		buf_byte(out, '\n');
		return;
	}
	char time[32];
	time_format(row->time, time);
	buf_printf(out, "{\"time\":\"%s\",\"position\":\"%.*s:%lld\",", time, SLICE_ARG(row->source), (long long)row->pos);
	if (row->reason.len) {
		buf_append_str(out, "\"reason\":\"");
		json_string_escape(row->reason, 0, out);
		buf_append_str(out, "\",");
	}
	if (json_validate_all(row->payload, NULL, NULL, NULL) == RC_OK && !memchr(row->payload.data, '\n', row->payload.len)) {
		buf_append_str(out, "\"payload\":");
		buf_append_slice(out, row->payload);
	} else {
		buf_append_str(out, "\"text\":\"");
		if (json_utf8_valid(row->payload, NULL))
			json_string_escape(row->payload, 0, out);
		else
			buf_append_str(out, "(bytes that are not UTF-8; replay gives them)");
		buf_byte(out, '"');
	}
	buf_append_str(out, "}\n");
}

rc_t read_search(struct pipeline *p, const struct read_search_options *opts, struct read_search_result *ret, struct err *reterr)
{
	*ret = (struct read_search_result){ 0 };
	if (opts->limit < 0)
		return err_set(reterr, RC_INVALID, "the limit is %lld; it is a number of hits, 0 or more", (long long)opts->limit);
	AUTO(search_query) *query = NULL;
	TRY(search_parse(opts->query, &query, reterr));
	AUTO(view) *v = NULL;
	TRY(view_open(p, opts->collection, &v, reterr));
	pipeline_let_go(p);
	struct scan_options so;
	scan_of_view(v, opts->from, opts->to, &so);
	so.order = SCAN_NEWEST;
	so.cancel = opts->cancel;
	struct scan_term terms[SEARCH_TERMS_MAX];
	so.terms = terms;
	so.term_count = search_terms(query, terms);
	AUTO(scan) *scan = NULL;
	TRY(scan_open(&so, &scan, reterr));
	AUTO_BUF struct buf out;
	buf_init(&out, BUF_MAX_DEFAULT);
	struct scan_row row;
	rc_t rc;
	while ((rc = scan_next(scan, &row, reterr)) == RC_OK) {
		ret->scanned++;
		if (!search_match(query, row.payload))
			continue;
		if ((int64_t)ret->hits == opts->limit) {
			ret->more = true;
			break;
		}
		ret->hits++;
		write_hit(&out, &row, opts->json);
		if (out.len >= OUT_FLUSH) {
			TRY(opts->write(opts->ctx, buf_slice(&out), reterr));
			buf_reset(&out);
		}
	}
	if (rc != RC_OK && rc != RC_EOF)
		return rc;
	return out.len ? opts->write(opts->ctx, buf_slice(&out), reterr) : RC_OK;
}

/* ---- replay ---- */

struct replay_calls {
	struct search_query *query;
	const struct read_replay_options *opts;
};

static bool replay_wanted(void *ctx, struct slice payload)
{
	struct replay_calls *calls = ctx;
	return search_match(calls->query, payload);
}

static void replay_progress(void *ctx, uint64_t events, uint64_t bytes, int64_t time)
{
	struct replay_calls *calls = ctx;
	if (calls->opts->progress)
		calls->opts->progress(calls->opts->ctx, events, bytes, time);
}

const char *read_content_type(struct slice payload)
{
	if (json_validate_all(payload, NULL, NULL, NULL) == RC_OK)
		return "application/json";
	return json_utf8_valid(payload, NULL) ? "text/plain; charset=utf-8" : "application/octet-stream";
}

rc_t read_replay(struct pipeline *p, const struct read_replay_options *opts, struct replay_result *ret, struct err *reterr)
{
	AUTO(search_query) *query = NULL;
	TRY(search_parse(opts->where, &query, reterr));
	AUTO(view) *v = NULL;
	TRY(view_open(p, opts->collection, &v, reterr));
	pipeline_let_go(p);
	AUTO(sink) *sink = NULL;
	struct sink_options so = { .framing = opts->framing, .cancel = opts->cancel, .headers = opts->headers, .content_type = read_content_type };
	if (opts->to)
		TRY(sink_open(opts->to, &so, &sink, reterr));
	else
		sink = sink_to(opts->framing, opts->write, opts->ctx);
	struct replay_calls calls = { query, opts };
	struct replay_options ro = {
		.rate = opts->rate,
		.speed = opts->speed,
		.wanted = opts->where.len ? replay_wanted : NULL,
		.ctx = &calls,
		.progress = replay_progress,
		.cancel = opts->cancel,
	};
	scan_of_view(v, opts->from, opts->until, &ro.scan);
	return replay_run(&ro, sink, ret, reterr);
}
