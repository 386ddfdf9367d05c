/* The table room from the command line, for tests/interop/table_pyiceberg_test.py: one step a call, one line an answer. Not installed. */
#include <stdio.h>

#include "base/fault.h"
#include "table/table.h"

static struct err err;

static int fail(rc_t rc)
{
	fprintf(stderr, "%s: %s\n", rc_name(rc), err.text);
	return 1;
}

static rc_t create(struct store *store, const char *name, struct table **ret)
{
	AUTO(schema) *s = schema_new();
	schema_add(s, NULL, SLICE_LIT("__time"), TYPE_TIMESTAMPTZ)->role = ROLE_TIME;
	schema_add(s, NULL, SLICE_LIT("n"), TYPE_INT64)->key = SLICE_LIT("n");
	struct field *http = schema_add(s, NULL, SLICE_LIT("http"), TYPE_STRUCT);
	http->key = SLICE_LIT("http");
	schema_add(s, http, SLICE_LIT("path"), TYPE_STRING)->key = SLICE_LIT("path");
	struct field *tags = schema_add(s, NULL, SLICE_LIT("tags"), TYPE_LIST);
	tags->key = SLICE_LIT("tags");
	schema_add(s, tags, SLICE_LIT("element"), TYPE_STRING);
	return table_create(store, name, s, NULL, 0, ret, &err);
}

static int evolve(struct table *t, const char *column, const char *type)
{
	AUTO(schema) *want = schema_copy(table_schema(t));
	struct field probe = { .type = TYPE_STRING };
	rc_t rc = type_parse(slice_str(type), &probe, &err);
	if (rc != RC_OK)
		return fail(rc);
	struct field *f = schema_add(want, NULL, slice_str(column), probe.type);
	f->precision = probe.precision;
	f->scale = probe.scale;
	f->key = f->name;
	rc = table_evolve(t, want, &err);
	if (rc != RC_OK)
		return fail(rc);
	printf("%d\n", f->id);
	return 0;
}

/* append LOG N PATH DAY RECORDS SIZE TIME_MIN TIME_MAX N_MIN N_MAX */
static int append(struct table *t, char **a)
{
	AUTO_MEM char *key = mem_printf(TABLE_POSITION_PREFIX "%s", a[0]);
	long n = strtol(a[1], NULL, 10);
	AUTO_MEM char *from = mem_printf("1:%ld", n);
	AUTO_MEM char *to = mem_printf("1:%ld", n + 1);
	int64_t bounds[4], records = strtoll(a[4], NULL, 10);
	for (int i = 0; i < 4; i++)
		bounds[i] = strtoll(a[6 + i], NULL, 10);
	const struct data_column columns[] = {
		{ 1, 100, records, 0, -1, slice_of(&bounds[0], 8), slice_of(&bounds[1], 8) },
		{ 2, 100, records, 0, -1, slice_of(&bounds[2], 8), slice_of(&bounds[3], 8) },
		{ 5, 100, records, 0, -1, SLICE_LIT("/a path that is long enough to be cut"), SLICE_LIT("/z path that is long enough to be cut") },
	};
	const int64_t splits[] = { 4 };
	const struct data_file f = { .path = a[2], .day = (int32_t)strtol(a[3], NULL, 10), .record_count = records,
				     .file_size = strtoll(a[5], NULL, 10), .columns = columns, .column_count = 3, .split_offsets = splits, .split_count = 1 };
	const struct table_property update = { key, to }, expect = { key, n ? from : NULL }, sum = { "hydrant.events", a[4] };
	const struct table_commit c = { &f, 1, &update, 1, &expect, 1, &sum, 1 };
	rc_t rc = table_append(t, &c, &err);
	return rc == RC_OK ? 0 : fail(rc);
}

static rc_t print_file(void *ctx, const struct data_file *f, struct err *reterr)
{
	int64_t lower = -1, upper = -1;
	for (size_t i = 0; i < f->column_count; i++) {
		if (f->columns[i].id != 2 || f->columns[i].lower.len != 8 || f->columns[i].upper.len != 8)
			continue;
		memcpy(&lower, f->columns[i].lower.data, 8);
		memcpy(&upper, f->columns[i].upper.data, 8);
	}
	printf("%s %d %lld %lld %lld %lld\n", f->path, f->day, (long long)f->record_count, (long long)f->file_size, (long long)lower, (long long)upper);
	return RC_OK;
}

static int expire(struct table *t)
{
	struct table_keep keep = table_keep_default();
	uint64_t removed;
	keep.snapshot_age = keep.grace = 0;
	keep.snapshots_min = 2;
	rc_t rc = table_expire(t, &keep, &removed, &err);
	if (rc != RC_OK)
		return fail(rc);
	printf("%llu\n", (unsigned long long)removed);
	return 0;
}

static int ddl(struct table *t, const char *kind)
{
	AUTO_BUF struct buf b;
	buf_init(&b, 1 << 24);
	rc_t rc = table_ddl(t, (enum table_ddl)strtol(kind, NULL, 10), NULL, &b, &err);
	if (rc != RC_OK)
		return fail(rc);
	fwrite(b.data, 1, b.len, stdout);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		fprintf(stderr, "table_probe LAKE COLLECTION create|evolve|append|files|expire|ddl|version …\n");
		return 2;
	}
	fault_init();
	const char *verb = argv[3];
	AUTO(store) *store = NULL;
	AUTO(table) *t = NULL;
	rc_t rc = store_open(argv[1], NULL, &store, &err);
	if (rc == RC_OK)
		rc = !strcmp(verb, "create") ? create(store, argv[2], &t) : table_open(store, argv[2], &t, &err);
	if (rc != RC_OK)
		return fail(rc);
	if (!strcmp(verb, "evolve") && argc == 6)
		return evolve(t, argv[4], argv[5]);
	if (!strcmp(verb, "append") && argc == 14)
		return append(t, argv + 4);
	if (!strcmp(verb, "files") && argc == 6) {
		rc = table_files(t, (int32_t)strtol(argv[4], NULL, 10), (int32_t)strtol(argv[5], NULL, 10), print_file, NULL, &err);
		return rc == RC_OK ? 0 : fail(rc);
	}
	if (!strcmp(verb, "expire"))
		return expire(t);
	if (!strcmp(verb, "ddl") && argc == 5)
		return ddl(t, argv[4]);
	printf("%lld\n", (long long)table_version(t));
	return 0;
}
