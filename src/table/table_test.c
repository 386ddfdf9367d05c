#include "table/fixture_test.h"

TEST(table_made_is_opened_the_same)
{
	CHECK(setup());
	AUTO(schema) *s = small_schema();
	static const uint8_t odd[] = { 'k', 0, 0xff };
	schema_add(s, NULL, SLICE_LIT("odd"), TYPE_DOUBLE)->key = slice_of(odd, 3);
	schema_add(s, NULL, SLICE_LIT("nul"), TYPE_DOUBLE)->key = slice_of((const uint8_t *)"k\0k", 3); /* UTF-8, yet JSON readers refuse it */
	schema_add(s, NULL, SLICE_LIT("empty_key"), TYPE_STRING);
	struct field *dotted = schema_add(s, NULL, SLICE_LIT("a_b"), TYPE_DECIMAL);
	dotted->key = SLICE_LIT("a.b \"\xc3\xa4");
	dotted->precision = 38;
	dotted->scale = 5;
	dotted->format = 17;
	struct field *sib = schema_add(s, NULL, SLICE_LIT("a__string"), TYPE_STRING);
	sib->role = ROLE_SIBLING;
	sib->key = SLICE_LIT("a");
	struct field *list = add(s, NULL, "l", TYPE_LIST);
	add(s, list, "element", TYPE_UUID);
	struct field *map = add(s, NULL, "__meta", TYPE_MAP);
	map->role = ROLE_META;
	map->key = (struct slice){ 0 };
	add(s, map, "key", TYPE_STRING)->required = true;
	add(s, map, "value", TYPE_BINARY);
	schema_add(s, NULL, SLICE_LIT("text"), TYPE_STRING)->role = ROLE_TEXT;
	const struct table_property props[] = { { "x", "y" } };
	AUTO(table) *t = NULL;
	CHECK_OK(table_create(fx.lake, "trail", s, props, 1, &t, &err), err);
	AUTO(table) *u = NULL;
	CHECK_OK(table_open(fx.lake, "trail", &u, &err), err);
	CHECK(schema_equal(table_schema(t), table_schema(u)));
	CHECK_INT(table_version(u), 1);
	CHECK_INT(table_snapshot_id(u), -1);
	CHECK_STR(table_property(u, "x"), "y");
	CHECK_STR(table_uuid(u), table_uuid(t));
	const struct schema *got = table_schema(u);
	CHECK_INT(got->field_count, s->field_count);
	for (const struct field *f = s->root, *g = got->root; (f = field_next(s->root, f)) && (g = field_next(got->root, g));) {
		CHECK_SLICE(g->name, f->name);
		CHECK_SLICE(g->key, f->key);
		CHECK_INT(g->role, f->role);
		CHECK_INT(g->format, f->format);
		CHECK_INT(g->type, f->type);
		CHECK(g->id > 0 && g->id <= got->last_id);
	}
	CHECK_INT(look_at(u, INT32_MIN, INT32_MAX).files, 0);
	teardown();
}

TEST(table_create_refuses_what_is_there_or_wrong)
{
	CHECK(setup());
	AUTO(schema) *s = small_schema();
	AUTO(schema) *timeless = schema_new();
	add(timeless, NULL, "a", TYPE_INT64);
	AUTO(table) *t = new_table("trail");
	CHECK(t);
	struct table *u = NULL;
	CHECK_RC(table_create(fx.lake, "trail", s, NULL, 0, &u, &err), RC_CONFLICT);
	CHECK_RC(table_create(fx.lake, "Trail", s, NULL, 0, &u, &err), RC_INVALID);
	CHECK_RC(table_create(fx.lake, "../x", s, NULL, 0, &u, &err), RC_INVALID);
	CHECK_RC(table_create(fx.lake, "timeless", timeless, NULL, 0, &u, &err), RC_INVALID);
	CHECK_RC(table_open(fx.lake, "absent", &u, &err), RC_NOT_FOUND);
	CHECK(u == NULL);
	teardown();
}

TEST(append_is_seen_with_its_bounds_and_pruned_by_day)
{
	CHECK(setup());
	AUTO(table) *t = new_table("trail");
	for (int i = 0; i < 10; i++)
		CHECK_OK(append_one(t, "n1", i, 20000 + i, 100, &err), err);
	AUTO(table) *u = NULL;
	CHECK_OK(table_open(fx.lake, "trail", &u, &err), err);
	CHECK_INT(table_version(u), 11);
	struct seen s = look_at(u, INT32_MIN, INT32_MAX);
	CHECK_INT(s.files, 10);
	CHECK_INT(s.records, 1000);
	CHECK(s.bounds_ok);
	CHECK_INT(s.sequence_max, 10);
	s = look_at(u, 20003, 20005);
	CHECK_INT(s.files, 3);
	CHECK_INT(s.day_min, 20003);
	CHECK_INT(s.day_max, 20005);
	CHECK_INT(look_at(u, 0, 19999).files, 0);
	CHECK_STR(table_property(u, TABLE_POSITION_PREFIX "n1"), "1:10");
	int64_t records, files, bytes;
	CHECK_OK(table_totals(u, &records, &files, NULL, &err), err);
	CHECK_INT(records, 1000);
	CHECK_INT(files, 10);
	CHECK_OK(table_totals(u, NULL, NULL, &bytes, &err), err);
	CHECK_INT(bytes, 10000);
	teardown();
}

static rc_t first_snapshot(void *ctx, const struct table_snapshot *s, struct err *e)
{
	*(struct table_snapshot *)ctx = *s;
	return RC_CANCELLED;
}

TEST(append_carries_summary_and_properties)
{
	CHECK(setup());
	AUTO(table) *t = new_table("trail");
	CHECK_OK(append_one(t, "n1", 0, 20000, 7, &err), err);
	const struct data_file f = { .path = "data/x.parquet", .day = 20000, .record_count = 3, .file_size = 10 };
	const struct table_property sum[] = { { "hydrant.events", "3" }, { "operation", "nonsense" } };
	const struct table_commit c = { .files = &f, .file_count = 1, .summary = sum, .summary_count = 2 };
	CHECK_OK(table_append(t, &c, &err), err);
	struct table_snapshot s;
	CHECK_RC(table_snapshots(t, first_snapshot, &s, &err), RC_CANCELLED);
	CHECK_STR(s.operation, "append");
	CHECK_STR(table_summary(&s, "hydrant.events"), "3");
	CHECK_STR(table_summary(&s, "total-records"), "10");
	CHECK_STR(table_summary(&s, "total-data-files"), "2");
	CHECK_INT(s.sequence, 2);
	const struct table_property props[] = { { "p", "q" } }, gone[] = { { "p", NULL } };
	const struct table_commit set = { .updates = props, .update_count = 1 }, del = { .updates = gone, .update_count = 1 };
	int64_t before = table_snapshot_id(t), version = table_version(t);
	CHECK_OK(table_append(t, &set, &err), err);
	CHECK_OK(table_append(t, &set, &err), err);
	CHECK_INT(table_version(t), version + 1);
	CHECK_INT(table_snapshot_id(t), before);
	CHECK_STR(table_property(t, "p"), "q");
	CHECK_OK(table_append(t, &del, &err), err);
	CHECK(table_property(t, "p") == NULL);
	CHECK_STR(table_property(t, TABLE_POSITION_PREFIX "n1"), "1:1");
	const struct data_file bad = { .path = "../x.parquet", .day = 20000, .record_count = 3, .file_size = 10 };
	const struct table_commit evil = { .files = &bad, .file_count = 1 };
	CHECK_RC(table_append(t, &evil, &err), RC_INVALID);
	teardown();
}

TEST(append_is_fenced_by_its_position)
{
	CHECK(setup());
	AUTO(table) *t = new_table("trail");
	AUTO(table) *paused = NULL;
	CHECK_OK(table_open(fx.lake, "trail", &paused, &err), err);
	CHECK_OK(append_one(t, "n1", 0, 20000, 1, &err), err);
	CHECK_RC(append_one(t, "n1", 0, 20000, 1, &err), RC_CONFLICT);
	CHECK_RC(append_one(paused, "n1", 0, 20000, 1, &err), RC_CONFLICT);
	CHECK_STR(table_property(paused, TABLE_POSITION_PREFIX "n1"), "1:1");
	CHECK_RC(append_one(t, "n1", 5, 20000, 1, &err), RC_CONFLICT);
	CHECK_INT(look_at(t, INT32_MIN, INT32_MAX).files, 1);
	/* an old view that expects what is true by now is brought up to date */
	AUTO(table) *late = NULL;
	CHECK_OK(table_open(fx.lake, "trail", &late, &err), err);
	CHECK_OK(append_one(t, "n1", 1, 20000, 1, &err), err);
	CHECK_OK(append_one(late, "n1", 2, 20000, 1, &err), err);
	CHECK_INT(look_at(late, INT32_MIN, INT32_MAX).files, 3);
	teardown();
}

TEST(appends_of_two_writers_both_land)
{
	CHECK(setup());
	AUTO(table) *t = new_table("trail");
	AUTO(table) *u = NULL;
	CHECK_OK(table_open(fx.lake, "trail", &u, &err), err);
	for (int i = 0; i < 5; i++) {
		CHECK_OK(append_one(t, "n1", i, 20000, 1, &err), err);
		CHECK_OK(append_one(u, "n2", i, 20001, 1, &err), err);
	}
	bool changed;
	CHECK_OK(table_reload(t, &changed, &err), err);
	CHECK(changed);
	CHECK_OK(table_reload(t, &changed, &err), err);
	CHECK(!changed);
	CHECK_INT(look_at(t, INT32_MIN, INT32_MAX).files, 10);
	CHECK_STR(table_property(t, TABLE_POSITION_PREFIX "n1"), "1:5");
	CHECK_STR(table_property(t, TABLE_POSITION_PREFIX "n2"), "1:5");
	CHECK_INT(table_version(t), 11);
	teardown();
}

TEST(unknown_outcome_is_resolved_by_looking)
{
	CHECK(setup());
	AUTO(table) *t = new_table("trail");
	fx.fate = PUT_DONE_BUT_LOST;
	CHECK_OK(append_one(t, "n1", 0, 20000, 1, &err), err);
	fx.fate = PUT_DONE_BUT_CONFLICT;
	CHECK_OK(append_one(t, "n1", 1, 20000, 1, &err), err);
	fx.fate = PUT_LOST;
	CHECK_RC(append_one(t, "n1", 2, 20000, 1, &err), RC_IO);
	CHECK_OK(append_one(t, "n1", 2, 20000, 1, &err), err);
	fx.fate = PUT_TAKEN_AND_GONE;
	CHECK_OK(append_one(t, "n1", 3, 20000, 1, &err), err);
	CHECK_INT(look_at(t, INT32_MIN, INT32_MAX).files, 4);
	CHECK_INT(table_version(t), 5);
	teardown();
}

static void somebody_creates(void)
{
	AUTO(table) *t = new_table("trail");
	fx.hidden = t ? 3 : 0;
}

TEST(table_that_another_made_at_the_same_moment_is_there_when_create_says_so)
{
	CHECK(setup());
	fx.before_commit = somebody_creates; /* and the store says that it is there before it shows it */
	CHECK(!new_table("trail"));
	CHECK_INT(err.rc, RC_CONFLICT);
	CHECK_INT(fx.hidden, 0);
	AUTO(table) *t = NULL;
	CHECK_OK(table_open(fx.lake, "trail", &t, &err), err);
	teardown();
}

static struct table *rival;
static void rival_appends(void)
{
	append_one(rival, "rival", 0, 20000, 1, NULL);
}

TEST(conflict_at_the_last_moment_is_retried)
{
	CHECK(setup());
	AUTO(table) *t = new_table("trail");
	AUTO(table) *u = NULL;
	CHECK_OK(table_open(fx.lake, "trail", &u, &err), err);
	rival = u;
	fx.before_commit = rival_appends;
	CHECK_OK(append_one(t, "n1", 0, 20000, 1, &err), err);
	CHECK_INT(table_version(t), 3);
	CHECK_INT(look_at(t, INT32_MIN, INT32_MAX).files, 2);
	teardown();
}

static void base_disappears(void)
{
	AUTO_MEM char *path = mem_printf("%s/trail/metadata/v2.metadata.json", fx.folder);
	AUTO_MEM char *later = mem_printf("%s/trail/metadata/v9.metadata.json", fx.folder);
	AUTO_MEM char *hint = mem_printf("%s/trail/metadata/version-hint.text", fx.folder);
	(void)!rename(path, later); /* as if versions 3 to 9 had come and 2 had expired */
	FILE *f = fopen(hint, "w");
	fputs("9", f);
	fclose(f);
}

TEST(writer_that_slept_past_expiry_conflicts)
{
	CHECK(setup());
	AUTO(table) *t = new_table("trail");
	CHECK_OK(append_one(t, "n1", 0, 20000, 1, &err), err);
	fx.before_commit = base_disappears;
	CHECK_OK(append_one(t, "n1", 1, 20000, 1, &err), err);
	CHECK_INT(table_version(t), 10);
	CHECK_INT(count_metadata("trail", "v3."), 0);
	CHECK_INT(look_at(t, INT32_MIN, INT32_MAX).files, 2);
	teardown();
}

TEST(version_hint_may_lag_lie_or_miss)
{
	CHECK(setup());
	AUTO(table) *t = new_table("trail");
	for (int i = 0; i < 5; i++)
		CHECK_OK(append_one(t, "n1", i, 20000, 1, &err), err);
	AUTO_MEM char *hint = mem_printf("%s/trail/metadata/version-hint.text", fx.folder);
	const char *texts[] = { "2", "99", "-4", "x", "", "2\n", "999999999999999999999" };
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		FILE *f = fopen(hint, "w");
		fputs(texts[i], f);
		fclose(f);
		AUTO(table) *u = NULL;
		CHECK_OK(table_open(fx.lake, "trail", &u, &err), err);
		CHECK_INT(table_version(u), 6);
		char now[16] = { 0 };
		f = fopen(hint, "r");
		CHECK(fread(now, 1, 15, f) == 1);
		fclose(f);
		CHECK_STR(now, "6");
	}
	unlink(hint);
	AUTO(table) *u = NULL;
	CHECK_OK(table_open(fx.lake, "trail", &u, &err), err);
	CHECK_INT(table_version(u), 6);
	teardown();
}

TEST(version_that_cannot_be_looked_at_is_not_absent)
{
	CHECK(setup());
	AUTO(table) *t = new_table("trail");
	AUTO(table) *u = NULL;
	AUTO(table) *v = NULL;
	CHECK_OK(append_one(t, "n1", 0, 20000, 1, &err), err);
	CHECK_OK(table_open(fx.lake, "trail", &u, &err), err);
	for (int i = 1; i < 5; i++)
		CHECK_OK(append_one(t, "n1", i, 20000, 1, &err), err);
	CHECK_OK(store_put(fx.lake, "trail/metadata/version-hint.text", SLICE_LIT("2"), STORE_REPLACE, &err), err);
	fx.away = "v4.metadata.json";
	CHECK_RC(table_open(fx.lake, "trail", &v, &err), RC_IO); /* not version 3 */
	CHECK(!v);
	CHECK_RC(table_reload(u, NULL, &err), RC_IO);
	CHECK_INT(table_version(u), 2);
	fx.away = NULL;
	CHECK_OK(table_open(fx.lake, "trail", &v, &err), err);
	CHECK_INT(table_version(v), 6);
	CHECK_OK(table_reload(u, NULL, &err), err);
	CHECK_INT(table_version(u), 6);
	teardown();
}

TEST(gzip_version_that_cannot_be_looked_at_may_be_taken)
{
	CHECK(setup());
	AUTO(table) *t = new_table("trail");
	fx.away = "v2.gz.metadata.json";
	CHECK_RC(append_one(t, "n1", 0, 20000, 1, &err), RC_IO);
	fx.away = NULL;
	CHECK_RC(store_size(fx.lake, "trail/metadata/v2.metadata.json", NULL, NULL, &err), RC_NOT_FOUND);
	CHECK_OK(append_one(t, "n1", 0, 20000, 1, &err), err);
	teardown();
}

TEST(version_whose_size_nobody_told_is_not_taken_for_gone)
{
	CHECK(setup());
	AUTO(table) *t = new_table("trail");
	fx.away = "v2.metadata.json";
	CHECK_OK(append_one(t, "n1", 0, 20000, 1, &err), err); /* it is committed, and then cannot be looked at */
	fx.away = NULL;
	CHECK_OK(append_one(t, "n1", 1, 20000, 1, &err), err);
	CHECK_INT(fx.deletes, 0); /* it did not take its own commit back */
	CHECK_INT(table_version(t), 3);
	CHECK_INT(look_at(t, INT32_MIN, INT32_MAX).files, 2);
	teardown();
}

TEST(gzip_version_counts_as_taken_and_is_read)
{
	CHECK(setup());
	AUTO(table) *t = new_table("trail");
	CHECK_OK(append_one(t, "n1", 0, 20000, 1, &err), err);
	AUTO_MEM char *command = mem_printf("cd %s/trail/metadata && gzip -c v2.metadata.json > v3.gz.metadata.json", fx.folder);
	CHECK_INT(run(command), 0);
	CHECK_OK(append_one(t, "n1", 1, 20000, 1, &err), err);
	CHECK_INT(table_version(t), 4);
	CHECK_INT(look_at(t, INT32_MIN, INT32_MAX).files, 2);
	teardown();
}

TEST(copied_lake_resolves_its_files_in_the_copy)
{
	CHECK(setup());
	AUTO(table) *t = new_table("trail");
	CHECK_OK(append_one(t, "n1", 0, 20000, 5, &err), err);
	AUTO_MEM char *command = mem_printf("mkdir %s/copy && mv %s/trail %s/copy/", fx.folder, fx.folder, fx.folder);
	CHECK_INT(run(command), 0);
	AUTO_MEM char *place = mem_printf("%s/copy", fx.folder);
	AUTO(store) *copy = NULL;
	CHECK_OK(store_open(place, NULL, &copy, &err), err);
	AUTO(table) *u = NULL;
	CHECK_OK(table_open(copy, "trail", &u, &err), err);
	CHECK_INT(look_at(u, INT32_MIN, INT32_MAX).records, 5);
	CHECK_OK(append_one(u, "n1", 1, 20000, 5, &err), err);
	CHECK_INT(look_at(u, INT32_MIN, INT32_MAX).records, 10);
	teardown();
}

static rc_t collect_names(void *ctx, const char *collection, struct err *e)
{
	buf_printf(ctx, "%s ", collection);
	return RC_OK;
}

TEST(tables_are_listed_and_dropped)
{
	CHECK(setup());
	AUTO(table) *t = new_table("trail");
	AUTO(table) *u = new_table("trail__quarantine");
	CHECK(t && u);
	CHECK_OK(append_one(t, "n1", 0, 20000, 5, &err), err);
	CHECK_OK(store_put(fx.lake, "not_one/data/x", SLICE_LIT("x"), STORE_CREATE, &err), err);
	CHECK_OK(store_put(fx.lake, "_hydrant/lake.json", SLICE_LIT("{}"), STORE_CREATE, &err), err);
	CHECK_OK(store_put(fx.lake, "trail/data/year=2026/month=01/day=01/n1-0.parquet", SLICE_LIT("x"), STORE_CREATE, &err), err);
	AUTO_BUF struct buf names;
	buf_init(&names, 1000);
	CHECK_OK(table_list(fx.lake, collect_names, &names, &err), err);
	CHECK(!strcmp(buf_cstr(&names), "trail trail__quarantine ") || !strcmp(buf_cstr(&names), "trail__quarantine trail "));
	CHECK_OK(table_drop(fx.lake, "trail", false, &err), err);
	CHECK_OK(store_size(fx.lake, "trail/data/year=2026/month=01/day=01/n1-0.parquet", NULL, NULL, &err), err);
	CHECK_RC(table_drop(fx.lake, "trail", false, &err), RC_NOT_FOUND);
	CHECK_RC(table_reload(t, NULL, &err), RC_NOT_FOUND);
	CHECK_RC(append_one(t, "n1", 1, 20000, 5, &err), RC_NOT_FOUND);
	AUTO(table) *again = new_table("trail");
	CHECK(again);
	CHECK_OK(table_drop(fx.lake, "trail", true, &err), err);
	CHECK_RC(table_drop(fx.lake, "trail", true, &err), RC_NOT_FOUND);
	CHECK_RC(store_size(fx.lake, "trail/data/year=2026/month=01/day=01/n1-0.parquet", NULL, NULL, &err), RC_NOT_FOUND);
	teardown();
}

TEST(list_of_tables_lacks_none_that_cannot_be_looked_at)
{
	CHECK(setup());
	AUTO(table) *t = new_table("trail");
	AUTO(table) *u = new_table("walk");
	CHECK(t && u);
	AUTO_BUF struct buf names;
	buf_init(&names, 1000);
	fx.away = "trail/metadata/version-hint.text";
	CHECK_OK(table_list(fx.lake, collect_names, &names, &err), err);
	CHECK_INT(names.len, 11); /* its versions are listed */
	fx.away = "trail/metadata";
	CHECK_RC(table_list(fx.lake, collect_names, &names, &err), RC_IO);
	teardown();
}

TEST(table_made_anew_is_not_taken_for_the_old)
{
	CHECK(setup());
	AUTO(table) *t = new_table("trail");
	CHECK_OK(append_one(t, "n1", 0, 20000, 5, &err), err);
	CHECK_OK(table_drop(fx.lake, "trail", true, &err), err);
	AUTO(table) *fresh = new_table("trail");
	CHECK_OK(append_one(fresh, "n2", 0, 20000, 9, &err), err);
	CHECK_RC(append_one(t, "n1", 1, 20000, 5, &err), RC_CONFLICT);
	CHECK_STR(table_uuid(t), table_uuid(fresh));
	CHECK_INT(look_at(t, INT32_MIN, INT32_MAX).records, 9);
	teardown();
}

/* A snapshot with one more manifest of deletes, as a merge-on-read engine leaves it. */
static rc_t add_delete_manifest(struct table *t)
{
	struct manifest_list l;
	manifest_list_init(&l);
	json_t *next = table_next(t);
	TRY(table_manifests(t, meta_snapshot(next, table_snapshot_id(t)), &l, &err));
	l.items[0].content = 1;
	uint8_t sync[16] = { 1 };
	AUTO_BUF struct buf b;
	buf_init(&b, 1 << 20);
	TRY(manifest_list_write(&l, 4711, -1, 9, sync, &b, &err));
	manifest_list_free(&l);
	AUTO_MEM char *key = table_key(t, "metadata/snap-4711.avro");
	AUTO_MEM char *path = table_absolute(t, "metadata/snap-4711.avro");
	TRY(store_put(fx.lake, key, buf_slice(&b), STORE_CREATE, &err));
	meta_add_snapshot(next, json_pack("{s:I, s:I, s:I, s:{s:s}, s:s, s:i}", "sequence-number", (json_int_t)9, "snapshot-id", (json_int_t)4711,
					  "timestamp-ms", (json_int_t)meta_int(next, "last-updated-ms", 0), "summary", "operation", "delete",
					  "manifest-list", path, "schema-id", 0));
	return table_publish(t, next, &err);
}

TEST(row_level_deletes_are_refused_by_name_and_survive_appends)
{
	CHECK(setup());
	AUTO(table) *t = new_table("trail");
	CHECK_OK(append_one(t, "n1", 0, 20000, 5, &err), err);
	CHECK_OK(add_delete_manifest(t), err);
	struct seen s = { 0 };
	for (int i = 1; i < 3; i++) {
		CHECK_RC(table_files(t, INT32_MIN, INT32_MAX, see, &s, &err), RC_UNSUPPORTED);
		CHECK(strstr(err.text, "n1-0.parquet"));
		CHECK_INT(s.files, 0);
		CHECK_OK(append_one(t, "n1", i, 20000, 5, &err), err);
	}
	teardown();
}

TEST(foreign_files_outside_the_folder_are_refused)
{
	CHECK(setup());
	AUTO(table) *t = new_table("trail");
	struct arena a;
	arena_init(&a);
	const char *path;
	AUTO_MEM char *inside = mem_printf("file:%s/trail/data/x.parquet", fx.folder);
	AUTO_MEM char *bare = mem_printf("%s/trail/data/x.parquet", fx.folder);
	AUTO_MEM char *up = mem_printf("file://%s/trail/../../../etc/passwd", fx.folder);
	AUTO_MEM char *sibling = mem_printf("file://%s/trail2/x", fx.folder);
	CHECK_OK(table_resolve(t, slice_str(inside), &a, &path, &err), err);
	CHECK_STR(path, "data/x.parquet");
	CHECK_OK(table_resolve(t, slice_str(bare), &a, &path, &err), err);
	CHECK_STR(path, "data/x.parquet");
	CHECK_RC(table_resolve(t, slice_str(up), &a, &path, &err), RC_INVALID);
	CHECK_RC(table_resolve(t, slice_str(sibling), &a, &path, &err), RC_UNSUPPORTED);
	CHECK_RC(table_resolve(t, SLICE_LIT("s3://elsewhere/x"), &a, &path, &err), RC_UNSUPPORTED);
	CHECK_RC(table_resolve(t, SLICE_LIT(""), &a, &path, &err), RC_UNSUPPORTED);
	arena_free(&a);
	teardown();
}

TEST_MAIN()
