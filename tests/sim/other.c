/* Writers that are no node of ours: another engine's commits of properties, rows and files, and its expiry of all snapshots. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "pipeline/build.h"
#include "sim.h"

unsigned other_commits, other_expiries;
struct other_row_state other_rows[NUMBERS_MAX - FOREIGN_FIRST];
static uint64_t next_row;
static struct other_file {
	char *key;
	uint64_t hash;
} files[64];
static size_t file_count;

static rc_t open_lake(struct store **ret, struct err *err)
{
	if (sim_folder)
		return store_open(sim_lake(), NULL, ret, err);
	*ret = bucket_open();
	return RC_OK;
}

struct rows {
	struct event event[4];
	size_t count;
	bool given;
};

static rc_t rows_rewind(void *ctx, struct err *err)
{
	(void)err;
	((struct rows *)ctx)->given = false;
	return RC_OK;
}

static rc_t rows_next(void *ctx, const struct event **ret, size_t *ret_n, struct err *err)
{
	struct rows *r = ctx;
	(void)err;
	if (r->given)
		return RC_EOF;
	r->given = true;
	*ret = r->event;
	*ret_n = r->count;
	return RC_OK;
}

/* Rows that no log of ours knows. */
static rc_t append_rows(struct store *store, struct table *t, int collection, struct err *err)
{
	struct rows *r = NEW(struct rows);
	uint64_t first = next_row;
	char stem[32];
	r->count = 1 + chance_below(CHANCE_PLAN, 4);
	next_row += r->count;
	for (size_t i = 0; i < r->count; i++) {
		r->event[i] = (struct event){ .payload = slice_str(event_text(FOREIGN_FIRST + first + i)), .kind = PAYLOAD_JSON, .pos = first + i + 1,
					      .received = (int64_t)1790000000 * 1000000 + sim_now() };
		other_rows[first + i] = (struct other_row_state){ .sent = true, .collection = collection };
	}
	snprintf(stem, sizeof stem, "other-%llu", (unsigned long long)first);
	struct build_options o = { .store = store, .collection = collection_name(collection), .source = "other", .codec = PARQUET_UNCOMPRESSED,
				   .file_bytes = 1 << 20, .memory_bytes = 1 << 20 };
	struct build_source source = { r, rows_rewind, rows_next, NULL };
	AUTO(builder) *b = NULL;
	const struct data_file *list;
	size_t n;
	unsigned cuts = sim_power_cuts;
	TRY(builder_new(&o, table_schema(t), &b, err));
	TRY(builder_run(b, &source, stem, err));
	TRY(builder_publish(b, t, &list, &n, err));
	struct table_commit commit = { .files = list, .file_count = n };
	TRY(table_append(t, &commit, err));
	for (size_t i = 0; i < r->count && cuts == sim_power_cuts; i++) /* a writer on that disk would have died, too */
		other_rows[first + i].sure = true;
	free(r);
	return RC_OK;
}

static rc_t put_file(struct store *store, const char *collection, struct err *err)
{
	static const char *const names[] = { "data/other-%zu.bin", "metadata/notes-%zu.txt", "_other/%zu", "data/year=2026/part-%zu.parquet" };
	if (file_count == sizeof files / sizeof *files)
		return RC_OK;
	char path[64], content[64];
	unsigned cuts = sim_power_cuts;
	snprintf(path, sizeof path, names[file_count % 4], file_count);
	snprintf(content, sizeof content, "%llu, nobody's business", (unsigned long long)chance(CHANCE_PLAN));
	char *key = mem_printf("%s/%s", collection, path);
	TRY(store_put(store, key, slice_str(content), STORE_REPLACE, err));
	if (cuts == sim_power_cuts)
		files[file_count++] = (struct other_file){ key, hash64(slice_str(content)) };
	return RC_OK;
}

static rc_t set_note(struct table *t, struct err *err)
{
	char value[32];
	snprintf(value, sizeof value, "%llu", (unsigned long long)chance(CHANCE_PLAN));
	struct table_property update = { "foreign.note", value };
	struct table_commit commit = { .updates = &update, .update_count = 1 };
	return table_append(t, &commit, err);
}

static rc_t act(unsigned kind, bool expire, int collection, struct err *err)
{
	AUTO(store) *store = NULL;
	AUTO(table) *t = NULL;
	const char *name = collection_name(collection);
	TRY(open_lake(&store, err));
	TRY(table_open(store, name, &t, err));
	if (expire) {
		struct table_keep keep = table_keep_default();
		keep.snapshot_age = 0;
		keep.snapshots_min = keep.snapshots_max = 1;
		return table_expire(t, &keep, NULL, err);
	}
	TRY(kind % 2 ? set_note(t, err) : append_rows(store, t, collection, err));
	return kind % 3 ? RC_OK : put_file(store, name, err);
}

static rc_t other(unsigned kind, bool expire)
{
	struct err err = { 0 };
	int collection = (int)chance_below(CHANCE_PLAN, 2);
	disk_other_begins();
	rc_t rc = act(kind, expire, collection, &err);
	story("%s of %s: %s", expire ? "expiry" : "foreign commit", collection_name(collection), rc == RC_OK ? "done" : err.text);
	if (rc == RC_CORRUPT)
		violated("another engine finds %s damaged: %s", collection_name(collection), err.text);
	return rc;
}

void other_commit(unsigned kind)
{
	other_commits += other(kind, false) == RC_OK;
}

void other_expire(void)
{
	other_expiries += other(0, true) == RC_OK;
}

void other_check(struct store *store)
{
	for (size_t i = 0; i < file_count; i++) {
		AUTO_BUF struct buf b;
		buf_init(&b, 1 << 20);
		struct err err = { 0 };
		if (store_get(store, files[i].key, &b, &err) != RC_OK)
			violated("another's file is gone: %s", err.text);
		if (hash64(buf_slice(&b)) != files[i].hash)
			violated("another's file %s has changed", files[i].key);
	}
}
