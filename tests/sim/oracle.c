/* What was promised against what the tables hold: every acked event exactly once, others at most once, the same bytes, each file named once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "model/column.h"
#include "parquet/reader.h"
#include "sim.h"
#include "store/store.h"
#include "table/table.h"

#define NUMBERS_MAX 8192
uint64_t sim_rows, sim_acked;
static uint8_t times[2][NUMBERS_MAX], bad_times[NUMBERS_MAX];

const char *collection_name(int i)
{
	return i ? "beta" : "alpha";
}

static void check_text(uint64_t n, char out[64])
{
	uint64_t h = hash64((struct slice){ (const uint8_t *)&n, sizeof n });
	snprintf(out, 64, "x%016llx-%llu", (unsigned long long)h, (unsigned long long)n);
}

/* A few shapes; every so often a new column. */
void event_text(uint64_t n, char out[1024])
{
	char h[64];
	check_text(n, h);
	if (n % 97 == 0)
		snprintf(out, 256, "{\"n\":%llu,\"h\":\"%s\",\"extra%llu\":%llu}", (unsigned long long)n, h, (unsigned long long)(n / 97), (unsigned long long)n);
	else if (n % 11 == 0) /* long ones, so that the log rotates */
		snprintf(out, 1024, "{\"n\":%llu,\"h\":\"%s\",\"text\":\"%0900llu\"}", (unsigned long long)n, h, (unsigned long long)n);
	else if (n % 3 == 0)
		snprintf(out, 256, "{\"n\":%llu,\"h\":\"%s\",\"deep\":{\"a\":[%llu,2]}}", (unsigned long long)n, h, (unsigned long long)n);
	else
		snprintf(out, 256, "{\"h\":\"%s\",\"n\":%llu,\"level\":\"info\"}", h, (unsigned long long)n);
}

struct reading {
	struct table *table;
	int collection;
	bool quarantine;
	uint64_t rows;
	struct { char log[16]; uint64_t pos; } *seen;
	size_t seen_count;
	char **files;
	size_t file_count;
};

static rc_t from_memory(void *ctx, uint64_t offset, size_t len, void *out, struct err *reterr)
{
	const struct buf *b = ctx;
	if (offset > b->len || len > b->len - offset)
		return err_set(reterr, RC_EOF, "the file is shorter");
	memcpy(out, b->data + offset, len);
	return RC_OK;
}

static struct column *column(struct batch *b, const struct schema *s, const char *name)
{
	const struct field *f = field_child(s->root, slice_str(name));
	return f ? batch_column(b, f) : NULL;
}

static void see_position(struct reading *r, struct slice log, uint64_t pos, const char *path)
{
	for (size_t i = 0; i < r->seen_count; i++)
		if (r->seen[i].pos == pos && slice_eq_str(log, r->seen[i].log))
			violated("position %llu of log %.*s is in %s twice, again in %s", (unsigned long long)pos, SLICE_ARG(log),
				 table_collection(r->table), path);
	r->seen = mem_realloc(r->seen, (r->seen_count + 1) * sizeof *r->seen);
	snprintf(r->seen[r->seen_count].log, sizeof r->seen[0].log, "%.*s", SLICE_ARG(log));
	r->seen[r->seen_count++].pos = pos;
}

static void check_row(struct reading *r, int64_t n, struct slice h, const char *path)
{
	char want[64];
	if (n < 0 || n >= NUMBERS_MAX)
		violated("%s has an event %lld that nobody sent", path, (long long)n);
	check_text((uint64_t)n, want);
	if (!slice_eq_str(h, want))
		violated("event %lld came back as %.*s", (long long)n, SLICE_ARG(h));
	times[r->collection][n]++;
}

static void check_bad_row(struct slice raw)
{
	unsigned long long n = NUMBERS_MAX;
	AUTO_MEM char *text = mem_printf("%.*s", SLICE_ARG(raw));
	if (sscanf(text, "{\"bad\":%llu", &n) != 1 || n >= NUMBERS_MAX)
		violated("the quarantine holds what nobody sent: %s", text);
	bad_times[n]++;
}

static void check_batch(struct reading *r, struct batch *b, const struct schema *s, const char *path)
{
	struct column *n = column(b, s, "n"), *h = column(b, s, "h"), *pos = column(b, s, "__pos"), *log = column(b, s, "__source"),
		      *raw = column(b, s, "__raw");
	bool whole = pos && log && pos->values == b->rows && log->values == b->rows &&
		     (r->quarantine ? raw && raw->values == b->rows : n && h && n->values == b->rows && h->values == b->rows);
	if (!whole)
		violated("%s lacks columns", path);
	for (uint32_t i = 0; i < b->rows; i++) {
		see_position(r, column_bytes_at(log, i), (uint64_t)column_i64_at(pos, i), path);
		if (r->quarantine)
			check_bad_row(column_bytes_at(raw, i));
		else
			check_row(r, column_i64_at(n, i), column_bytes_at(h, i), path);
	}
	r->rows += b->rows;
}

static rc_t check_file(void *ctx, const struct data_file *f, struct err *err)
{
	struct reading *r = ctx;
	for (size_t i = 0; i < r->file_count; i++)
		if (!strcmp(r->files[i], f->path))
			violated("the table names %s twice", f->path);
	r->files = mem_realloc(r->files, (r->file_count + 1) * sizeof *r->files);
	r->files[r->file_count++] = mem_strdup(f->path);
	AUTO_MEM char *key = table_key(r->table, f->path);
	AUTO_BUF struct buf b;
	buf_init(&b, (size_t)64 << 20);
	TRY(store_get(table_store(r->table), key, &b, err));
	struct parquet_source source = { &b, b.len, from_memory };
	AUTO(parquet_reader) *reader = NULL;
	TRY(parquet_reader_open(&source, NULL, &reader, err));
	uint64_t before = r->rows;
	for (uint32_t g = 0; g < parquet_reader_row_group_count(reader); g++) {
		struct batch batch;
		batch_init(&batch, parquet_reader_schema(reader));
		TRY(parquet_reader_read(reader, g, NULL, 0, 0, UINT32_MAX, &batch, err));
		check_batch(r, &batch, parquet_reader_schema(reader), f->path);
		batch_free(&batch);
	}
	if (r->rows - before != (uint64_t)f->record_count)
		violated("%s has %llu rows, the table says %lld", f->path, (unsigned long long)(r->rows - before), (long long)f->record_count);
	return RC_OK;
}

static void read_table(struct store *store, int c, bool quarantine)
{
	struct err err = { 0 };
	AUTO_MEM char *name = mem_printf("%s%s", collection_name(c), quarantine ? "__quarantine" : "");
	AUTO(table) *t = NULL;
	rc_t rc = table_open(store, name, &t, &err);
	if (rc == RC_NOT_FOUND)
		return;
	struct reading r = { .table = t, .collection = c, .quarantine = quarantine };
	if (rc == RC_OK)
		rc = table_files(t, INT32_MIN, INT32_MAX, check_file, &r, &err);
	if (rc != RC_OK)
		violated("table %s cannot be read: %s", name, err.text);
	int64_t total = 0;
	if (table_totals(t, &total, NULL, NULL, &err) != RC_OK || total != (int64_t)r.rows)
		violated("table %s counts %lld rows and has %llu", name, (long long)total, (unsigned long long)r.rows);
	sim_rows += r.rows;
}

static void check_sent(const struct sent *s)
{
	unsigned here = 0;
	for (uint64_t n = s->first; n < s->first + s->count; n++) {
		unsigned got = times[s->collection][n];
		if (times[!s->collection][n])
			violated("event %llu is in the wrong table", (unsigned long long)n);
		if (got > 1)
			violated("event %llu is there %u times (%sacked, %s)", (unsigned long long)n, got, s->acked ? "" : "not ",
				 s->keyed ? "with a key" : "without a key");
		if (s->acked && !got)
			violated("event %llu was acked by node %d and is lost", (unsigned long long)n, s->node);
		here += got;
	}
	if (here && here != s->count)
		violated("of a request of %llu events only %u are there", (unsigned long long)s->count, here);
	if (s->bad && (bad_times[s->first] != 1) != (here == 0))
		violated("the bad line of request %llu is there %u times, its events %u", (unsigned long long)s->first, bad_times[s->first], here);
}

void oracle_check(void)
{
	struct store *store = NULL;
	struct err err = { 0 };
	if (store_open(sim_lake(), NULL, &store, &err) != RC_OK)
		violated("the lake cannot be opened: %s", err.text);
	for (int c = 0; c < 2; c++) {
		read_table(store, c, false);
		read_table(store, c, true);
	}
	for (size_t i = 0; i < sim_sent_count; i++)
		check_sent(&sim_sent[i]);
}
