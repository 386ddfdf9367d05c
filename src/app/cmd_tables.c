/* collections, schema, verify, expire. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "app/app.h"
#include "scan/scan.h"
#include "server/tables.h"

/* ---- collections ---- */

static void print_collections(json_t *list)
{
	size_t i;
	json_t *one;
	printf("%-32s %14s %12s %8s %12s %8s\n", "collection", "events", "of them hot", "files", "size", "columns");
	json_array_foreach(list, i, one)
	{
		char events[32], hot[32], bytes[16];
		const char *error = json_string_value(json_object_get(one, "error"));
		if (error) {
			printf("%-32s cannot be read now: %s\n", json_string_value(json_object_get(one, "name")), error);
			continue;
		}
		format_count((uint64_t)json_integer_value(json_object_get(one, "events")), events);
		format_count((uint64_t)json_integer_value(json_object_get(one, "hot_events")), hot);
		format_bytes((uint64_t)json_integer_value(json_object_get(one, "bytes")), bytes);
		printf("%-32s %14s %12s %8lld %12s %8lld\n", json_string_value(json_object_get(one, "name")), events, hot,
		       (long long)json_integer_value(json_object_get(one, "files")), bytes,
		       (long long)json_integer_value(json_object_get(one, "columns")));
	}
	if (!json_array_size(list))
		printf("(none yet: send events to one, and it is there)\n");
}

static rc_t get_json(const char *server, const char *path, json_t **ret, struct err *reterr)
{
	AUTO_BUF struct buf body;
	buf_init(&body, BUF_MAX_DEFAULT);
	TRY(remote_call(server, "GET", path, (struct slice){ 0 }, &body, reterr));
	*ret = json_loadb((const char *)body.data, body.len, 0, NULL);
	return *ret ? RC_OK : err_set(reterr, RC_IO, "the server's answer is no JSON");
}

static rc_t list_collections(struct pipeline *p, const char *server, json_t **ret, struct err *reterr)
{
	if (!server)
		return collections_json(p, NULL, NULL, ret, reterr);
	json_t *o = NULL;
	TRY(get_json(server, "/v1/collections", &o, reterr));
	*ret = json_incref(json_object_get(o, "collections"));
	json_decref(o);
	return RC_OK;
}

static rc_t show_collection(struct pipeline *p, const char *server, const char *name, struct err *reterr)
{
	json_t *one = NULL;
	AUTO_MEM char *path = mem_printf("/v1/collections/%s", name);
	TRY(server ? get_json(server, path, &one, reterr) : collection_json(p, name, &one, reterr));
	char *text = json_dumps(one, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
	printf("%s\n", text);
	free(text);
	json_decref(one);
	return RC_OK;
}

static rc_t delete_collection(struct pipeline *p, const char *server, const char *name, bool purge, struct err *reterr)
{
	AUTO_MEM char *path = mem_printf("/v1/collections/%s%s", name, purge ? "?purge=true" : "");
	AUTO_BUF struct buf body;
	buf_init(&body, 1 << 20);
	TRY(server ? remote_call(server, "DELETE", path, (struct slice){ 0 }, &body, reterr) : pipeline_drop(p, name, purge, reterr));
	fprintf(stderr, "%s is deleted%s\n", name, purge ? ", its files too" : "; its data files stay in the lake's folder (--purge removes them)");
	return RC_OK;
}

int cmd_collections(int argc, char **argv)
{
	int code;
	bool purge = false, json = false;
	const struct option_def defs[] = {
		{ "--purge", OPTION_FLAG, &purge, "delete: the data files, too", NULL },
		{ "--json", OPTION_FLAG, &json, "list: as JSON", NULL },
		{ 0 },
	};
	if (!options_parse(command_find("collections"), &argc, argv, defs, 0, 2, &code))
		return code;
	const char *verb = argc > 1 ? argv[1] : "list", *name = argc > 2 ? argv[2] : NULL;
	bool list = !strcmp(verb, "list"), show = !strcmp(verb, "show"), drop = !strcmp(verb, "delete");
	if ((!list && !show && !drop) || (list ? name != NULL : name == NULL))
		return usage_error("collections", "usage: hydrant collections [list|show NAME|delete NAME [--purge]]");
	char *server = NULL;
	struct err err;
	AUTO(pipeline) *p = NULL;
	rc_t rc = lake_open(!drop, &p, &server, &err);
	json_t *all = NULL;
	if (rc == RC_OK && list)
		rc = list_collections(p, server, &all, &err);
	else if (rc == RC_OK && show)
		rc = show_collection(p, server, name, &err);
	else if (rc == RC_OK)
		rc = delete_collection(p, server, name, purge, &err);
	if (rc == RC_OK && list && json)
		json_dumpf(all, stdout, JSON_INDENT(2));
	else if (rc == RC_OK && list)
		print_collections(all);
	json_decref(all);
	free(server);
	return rc == RC_OK ? EXIT_DONE : fail(&err);
}

/* ---- schema ---- */

static bool describe_field(const struct field *f, unsigned depth)
{
	char type[32];
	type_name(f, type);
	printf("%*s%.*s: %s\n", (int)depth * 2, "", SLICE_ARG(f->name), type);
	for (uint32_t i = 0; i < f->child_count; i++)
		describe_field(f->children[i], depth + 1);
	return true;
}

static rc_t print_schema_plain(struct pipeline *p, const char *name, struct err *reterr)
{
	AUTO(view) *v = NULL;
	TRY(view_open(p, name, &v, reterr));
	for (uint32_t i = 0; i < v->schema->root->child_count; i++)
		describe_field(v->schema->root->children[i], 0);
	return RC_OK;
}

int cmd_schema(int argc, char **argv)
{
	int code;
	const char *format = NULL;
	const struct option_def defs[] = {
		{ "--format", OPTION_TEXT, &format, "athena, glue, iceberg, parquet, json; default: names and types", "F" },
		{ 0 },
	};
	if (!options_parse(command_find("schema"), &argc, argv, defs, 1, 1, &code))
		return code;
	char *server = NULL;
	struct err err;
	AUTO(pipeline) *p = NULL;
	AUTO_BUF struct buf text;
	buf_init(&text, BUF_MAX_DEFAULT);
	rc_t rc = lake_open(true, &p, &server, &err);
	AUTO_MEM char *path = mem_printf("/v1/collections/%s/schema?format=%s", argv[1], format ? format : "parquet");
	if (rc == RC_OK && server)
		rc = remote_call(server, "GET", path, (struct slice){ 0 }, &text, &err);
	else if (rc == RC_OK && format)
		rc = schema_text(p, argv[1], format, &text, &err);
	else if (rc == RC_OK)
		rc = print_schema_plain(p, argv[1], &err);
	if (text.len)
		fwrite(text.data, 1, text.len, stdout);
	free(server);
	return rc == RC_OK ? EXIT_DONE : fail(&err);
}

/* ---- verify ---- */

struct verify {
	struct store *store;
	struct table *table;
	const char *collection;
	uint64_t files, rows, bytes, problems;
	uint64_t left, left_bytes; /* by commits that were not finished */
	uint64_t foreign;          /* rows of other programs, without an event's bytes */
	struct hash128 hash;
	struct progress bar;
	uint64_t total_bytes;
};

static void problem(struct verify *v, const char *what, const char *file)
{
	progress_end(&v->bar);
	printf("%s: %s: %s\n", v->collection, file, what);
	v->problems++;
}

/* What another program wrote through a catalog is in order, but nobody can tell whether its events are those that came. */
static void tell_of_others(struct verify *v, const struct scan_count *c, const char *file)
{
	if (!c->of_others && !c->foreign)
		return;
	progress_end(&v->bar);
	if (!c->foreign)
		printf("%s: %s: rewritten by another program: its events are as that program wrote them\n", v->collection, file);
	else if (c->foreign == c->rows)
		printf("%s: %s: written by another program: its rows hold no event's bytes; query and search show them, replay passes over them\n", v->collection,
		       file);
	else
		printf("%s: %s: rewritten by another program: %llu of its %llu rows hold no event's bytes, replay passes over them; the other events are as that "
		       "program wrote them\n", v->collection, file, (unsigned long long)c->foreign, (unsigned long long)c->rows);
}

static rc_t verify_file(void *ctx, const struct data_file *f, struct err *reterr)
{
	struct verify *v = ctx;
	struct err err;
	uint64_t size = 0;
	AUTO_MEM char *key = table_key(v->table, f->path);
	(void)reterr;
	v->files++;
	if (store_size(v->store, key, &size, NULL, &err) != RC_OK) {
		problem(v, err.rc == RC_NOT_FOUND ? "the file is missing" : err.text, f->path);
		return RC_OK;
	}
	if ((int64_t)size != f->file_size)
		problem(v, "its size is not what the table says: it was changed or cut", f->path);
	struct scan_count count;
	if (scan_count_file(v->store, v->table, key, &count, &err) != RC_OK) {
		problem(v, err.text, f->path);
		return RC_OK;
	}
	if ((int64_t)count.rows != f->record_count)
		problem(v, "it does not hold as many rows as the table says", f->path);
	if (count.claimed && (count.claimed_rows != count.rows || count.claimed_hash.lo != count.hash.lo || count.claimed_hash.hi != count.hash.hi))
		problem(v, "its payloads are not those that were written (count or hash differs)", f->path);
	tell_of_others(v, &count, f->path);
	v->foreign += count.foreign;
	v->rows += count.rows;
	v->bytes += size;
	hash128_add(&v->hash, count.hash);
	progress_update(&v->bar, v->bytes, v->total_bytes, v->rows);
	return RC_OK;
}

static rc_t verify_stray(void *ctx, const struct table_stray *s, struct err *reterr)
{
	struct verify *v = ctx;
	(void)reterr;
	if (s->foreign)
		problem(v, "the file is foreign: no snapshot names it, and hydrant gives no such name; no query reads it, but whoever reads the folder does", s->path);
	v->left += !s->foreign;
	v->left_bytes += s->foreign ? 0 : s->size;
	return RC_OK;
}

static rc_t verify_collection(struct pipeline *p, const char *collection, uint64_t *problems, struct err *reterr)
{
	struct verify v = { .collection = collection };
	AUTO(view) *view = NULL;
	TRY(view_open(p, collection, &view, reterr));
	v.store = view->store;
	v.table = view->table;
	int64_t records = 0, bytes = 0;
	progress_begin(&v.bar, collection);
	rc_t rc = v.table ? table_totals(v.table, &records, NULL, &bytes, reterr) : RC_OK;
	v.total_bytes = (uint64_t)bytes;
	if (rc == RC_OK && v.table)
		rc = table_files(v.table, INT32_MIN, INT32_MAX, verify_file, &v, reterr);
	struct err err;
	if (rc == RC_OK && v.table && table_strays(v.table, verify_stray, &v, &err) != RC_OK)
		problem(&v, err.text, "table");
	progress_end(&v.bar);
	TRY(rc);
	if ((uint64_t)records != v.rows)
		problem(&v, "the files hold another number of rows than the snapshot says", "table");
	bool log = pipeline_wal(p) != NULL;
	char rows[32], hot_text[32], size[16], hex[33], foreign[64] = "";
	format_count(v.rows - v.foreign, rows);
	if (v.foreign)
		snprintf(foreign, sizeof foreign, " and %llu %s of other programs", (unsigned long long)v.foreign, v.foreign == 1 ? "row" : "rows");
	format_count(view->hot_events, hot_text);
	format_bytes(v.bytes, size);
	hash128_hex(v.hash, hex);
	printf("%s: %s %s%s in %llu %s (%s)%s%s%s, hash %s: %s\n", collection, rows, v.rows - v.foreign == 1 ? "event" : "events", foreign,
	       (unsigned long long)v.files, v.files == 1 ? "file" : "files", size, log ? ", " : "",
	       log ? hot_text : "", log ? " in the log" : "", hex, v.problems ? "NOT in order" : "in order");
	if (v.left) {
		format_bytes(v.left_bytes, size);
		fprintf(stderr, "hydrant: %s: %llu %s (%s) that no snapshot names, of commits that were not finished, are not yet, or have expired; no query reads "
				"them\n", collection, (unsigned long long)v.left, v.left == 1 ? "file" : "files", size);
	}
	*problems += v.problems;
	return RC_OK;
}

struct verify_all {
	struct pipeline *p;
	uint64_t problems, collections;
};

/* What cannot be looked at is a problem of its own, and no reason not to look at the others. */
static rc_t verify_each(void *ctx, const char *collection, struct err *reterr)
{
	struct verify_all *a = ctx;
	struct err err;
	rc_t rc = verify_collection(a->p, collection, &a->problems, &err);
	(void)reterr;
	if (rc == RC_NOT_FOUND) /* named by the settings only; or nothing but quarantined events */
		return RC_OK;
	a->collections++;
	if (rc != RC_OK) {
		printf("%s: cannot be verified: %s\n", collection, err.text);
		a->problems++;
	}
	return RC_OK;
}

/* While a server holds the log, the lakes are read beside it. */
static rc_t open_lakes_only(struct pipeline **ret, struct err *reterr)
{
	struct pipeline_options po;
	pipeline_options_from_settings(&po);
	po.read_only = po.lake_only = true;
	return pipeline_open(&po, ret, reterr);
}

int cmd_verify(int argc, char **argv)
{
	int code;
	struct command c = *command_find("verify");
	c.help = "Restores every row of every file, recounts, and compares with what was counted and hashed when it was written. Names each file that is\n"
		 "missing or changed, and each in the collections' folders that is nobody's; and, as no problem, each that another program wrote: what was\n"
		 "counted and hashed does not stand in it.\n"
		 "Files are read directly, also while a server runs; the log is counted when no server holds it.";
	const struct option_def defs[] = { { 0 } };
	if (!options_parse(&c, &argc, argv, defs, 0, -1, &code))
		return code;
	char *server = NULL;
	struct err err;
	AUTO(pipeline) *p = NULL;
	rc_t rc = lake_open(true, &p, &server, &err);
	if (rc == RC_OK && server)
		rc = open_lakes_only(&p, &err);
	struct verify_all all = { .p = p };
	if (rc == RC_OK && argc > 1)
		for (int i = 1; i < argc && rc == RC_OK; i++)
			rc = verify_collection(p, argv[i], &all.problems, &err);
	else if (rc == RC_OK)
		rc = pipeline_collections(p, verify_each, &all, &err);
	all.collections += argc > 1;
	const bool served = server != NULL;
	free(server);
	if (rc != RC_OK)
		return fail(&err);
	if (served)
		fprintf(stderr, "hydrant: %s; what is still in the log is counted when no server holds it\n",
			all.collections ? "committed files were checked" : "nothing is committed to a table yet");
	else if (!all.collections)
		fprintf(stderr, "hydrant: the lake at %s is empty\n", settings.lake);
	if (all.problems)
		fprintf(stderr, "hydrant: %llu problems; see the lines above\n", (unsigned long long)all.problems);
	return all.problems ? EXIT_FAILED : EXIT_DONE;
}

/* ---- expire ---- */

static rc_t expire_each(void *ctx, const char *collection, struct err *reterr)
{
	struct expiry e;
	rc_t rc = pipeline_expire(ctx, collection, true, &e, reterr);
	if (rc == RC_NOT_FOUND) /* in the log only, or a quarantine, which goes with its collection */
		return RC_OK;
	TRY(rc);
	char events[32], size[16];
	format_count(e.events, events);
	format_bytes(e.bytes, size);
	printf("%s: %s %s in %llu %s (%s) over and taken out, %llu %s deleted\n", collection, events, e.events == 1 ? "event" : "events",
	       (unsigned long long)e.files, e.files == 1 ? "file" : "files", size, (unsigned long long)e.removed, e.removed == 1 ? "file" : "files");
	return RC_OK;
}

int cmd_expire(int argc, char **argv)
{
	int code;
	struct command c = *command_find("expire");
	c.help = "What a server does by itself, now: days that are over for longer than the collection's `retention` leave the table, in one commit; snapshots\n"
		 "older than a day go, and files that none names any more. What was taken out can be read through the earlier snapshot for a day.\n"
		 "Also while servers run.";
	const struct option_def defs[] = { { 0 } };
	if (!options_parse(&c, &argc, argv, defs, 0, -1, &code))
		return code;
	struct err err;
	AUTO(pipeline) *p = NULL;
	rc_t rc = open_lakes_only(&p, &err);
	for (int i = 1; i < argc && rc == RC_OK; i++) {
		AUTO(view) *v = NULL;
		rc = view_open(p, argv[i], &v, &err); /* says what there is, if there is none of that name */
		if (rc == RC_OK)
			rc = expire_each(p, argv[i], &err);
	}
	if (rc == RC_OK && argc == 1)
		rc = pipeline_collections(p, expire_each, p, &err);
	return rc == RC_OK ? EXIT_DONE : fail(&err);
}
