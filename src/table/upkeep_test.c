/* Evolution, merging, expiry, DDL, hostile metadata, crashes, writers at once. */
#include "table/fixture_test.h"

TEST(evolution_gives_ids_and_never_takes_them_back)
{
	CHECK(setup());
	AUTO(table) *t = new_table("trail");
	AUTO(schema) *want = schema_copy(table_schema(t));
	int32_t last = want->last_id;
	add(want, NULL, "b", TYPE_DOUBLE);
	struct field *deep = add(want, schema_by_id(want, 3), "y", TYPE_LIST);
	add(want, deep, "element", TYPE_STRING);
	CHECK_OK(table_evolve(t, want, &err), err);
	CHECK_INT(table_version(t), 2);
	CHECK_INT(want->last_id, last + 3);
	CHECK(schema_equal(want, table_schema(t)));
	CHECK_OK(table_evolve(t, want, &err), err);
	CHECK_INT(table_version(t), 2);
	AUTO(table) *u = NULL;
	CHECK_OK(table_open(fx.lake, "trail", &u, &err), err);
	CHECK(schema_equal(want, table_schema(u)));
	CHECK_INT(json_array_size(json_object_get(u->state.meta, "schemas")), 1);
	CHECK_SLICE(field_child(table_schema(u)->root, SLICE_LIT("b"))->key, SLICE_LIT("b"));
	/* a snapshot keeps its schema alive */
	CHECK_OK(append_one(u, "n1", 0, 20000, 1, &err), err);
	add(want, NULL, "c", TYPE_BOOL);
	CHECK_OK(table_evolve(u, want, &err), err);
	CHECK_INT(json_array_size(json_object_get(u->state.meta, "schemas")), 2);
	CHECK_INT(want->last_id, last + 4);
	const char *mapping = table_property(u, PROP_NAME_MAPPING);
	CHECK(mapping && strstr(mapping, "\"c\""));
	teardown();
}

TEST(evolutions_of_two_writers_meet)
{
	CHECK(setup());
	AUTO(table) *t = new_table("trail");
	AUTO(table) *u = NULL;
	CHECK_OK(table_open(fx.lake, "trail", &u, &err), err);
	AUTO(schema) *one = schema_copy(table_schema(t));
	AUTO(schema) *two = schema_copy(table_schema(t));
	AUTO(schema) *bad = schema_copy(table_schema(t));
	AUTO(schema) *cased = schema_copy(table_schema(t));
	add(one, NULL, "first", TYPE_STRING);
	add(one, add(one, NULL, "both", TYPE_STRUCT), "p", TYPE_INT64);
	add(two, NULL, "second", TYPE_STRING);
	add(two, add(two, NULL, "both", TYPE_STRUCT), "q", TYPE_INT64);
	add(bad, NULL, "first", TYPE_DOUBLE);
	add(cased, NULL, "FIRST", TYPE_STRING);
	CHECK_OK(table_evolve(t, one, &err), err);
	CHECK_OK(table_evolve(u, two, &err), err);
	CHECK_INT(field_child(two->root, SLICE_LIT("both"))->id, field_child(one->root, SLICE_LIT("both"))->id);
	CHECK_INT(two->root->child_count, 6);
	CHECK_INT(two->field_count, table_schema(u)->field_count);
	CHECK_INT(field_child(two->root, SLICE_LIT("second"))->index, 3); /* own fields keep their places */
	CHECK(field_child(field_child(two->root, SLICE_LIT("both")), SLICE_LIT("p"))->id);
	CHECK_RC(table_evolve(u, bad, &err), RC_CONFLICT);
	CHECK_RC(table_evolve(u, cased, &err), RC_CONFLICT);
	CHECK_OK(table_evolve(t, one, &err), err);
	CHECK_OK(table_reload(t, NULL, &err), err);
	for (const struct field *f = two->root; (f = field_next(two->root, f));) {
		char mine[100], theirs[100];
		field_path(f, mine, sizeof mine);
		field_path(schema_by_id(table_schema(t), f->id), theirs, sizeof theirs);
		CHECK_STR(mine, theirs);
	}
	teardown();
}

TEST(evolution_refuses_required_columns_and_unknown_ids)
{
	CHECK(setup());
	AUTO(table) *t = new_table("trail");
	AUTO(schema) *want = schema_copy(table_schema(t));
	add(want, NULL, "must", TYPE_STRING)->required = true;
	CHECK_RC(table_evolve(t, want, &err), RC_INVALID);
	AUTO(schema) *odd = schema_copy(table_schema(t));
	add(odd, NULL, "odd", TYPE_STRING)->id = 99;
	CHECK_RC(table_evolve(t, odd, &err), RC_INVALID);
	AUTO(schema) *renamed = schema_copy(table_schema(t));
	schema_by_id(renamed, 2)->name = SLICE_LIT("other");
	CHECK_RC(table_evolve(t, renamed, &err), RC_CONFLICT);
	CHECK_INT(table_version(t), 1);
	teardown();
}

TEST(many_small_appends_leave_few_manifests_and_bounded_metadata)
{
	CHECK(setup());
	AUTO(table) *t = new_table("trail");
	int64_t size_at_100 = 0, size;
	for (int i = 0; i < 220; i++) {
		CHECK_OK(append_one(t, "n1", i, 20000 + i % 7, 10, &err), err);
		struct manifest_list l;
		manifest_list_init(&l);
		CHECK_OK(table_manifests(t, meta_snapshot(t->state.meta, table_snapshot_id(t)), &l, &err), err);
		bool few = l.count <= MERGE_AT + 1;
		manifest_list_free(&l);
		CHECK(few);
		if (i == 105)
			size_at_100 = (int64_t)t->state.size;
	}
	size = (int64_t)t->state.size;
	CHECK(size < size_at_100 * 11 / 10);
	AUTO(table) *u = NULL;
	CHECK_OK(table_open(fx.lake, "trail", &u, &err), err);
	struct seen s = look_at(u, INT32_MIN, INT32_MAX);
	CHECK_INT(s.files, 220);
	CHECK_INT(s.records, 2200);
	CHECK(s.bounds_ok);
	CHECK_INT(s.sequence_max, 220);
	CHECK_INT(look_at(u, 20003, 20003).files, 31);
	CHECK_INT(json_array_size(json_object_get(u->state.meta, "snapshots")), 100);
	CHECK_INT(json_array_size(json_object_get(u->state.meta, "snapshot-log")), 100);
	teardown();
}

TEST(expiry_keeps_a_hundred_versions_and_a_day_and_what_is_live)
{
	CHECK(setup());
	AUTO(table) *t = new_table("trail");
	const struct table_keep keep = table_keep_default();
	for (int i = 0; i < 130; i++)
		CHECK_OK(append_one(t, "n1", i, 20000, 10, &err), err);
	uint64_t removed;
	CHECK_OK(table_expire(t, &keep, &removed, &err), err);
	CHECK_INT(removed, 0);
	fx.clock_offset = 2 * DAY_US_;
	CHECK_OK(table_expire(t, &keep, &removed, &err), err);
	CHECK(removed > 100);
	CHECK(!fx.descending); /* a crash meanwhile leaves no hole under a newer version */
	CHECK_INT(json_array_size(json_object_get(t->state.meta, "snapshots")), 10);
	CHECK_INT(count_metadata("trail", ".metadata.json"), 100);
	CHECK_INT(count_metadata("trail", "snap-"), 10);
	CHECK_INT(look_at(t, INT32_MIN, INT32_MAX).files, 130);
	CHECK_OK(append_one(t, "n1", 130, 20000, 10, &err), err);
	AUTO(table) *u = NULL;
	CHECK_OK(table_open(fx.lake, "trail", &u, &err), err);
	CHECK_INT(look_at(u, INT32_MIN, INT32_MAX).files, 131);
	CHECK_STR(table_property(u, TABLE_POSITION_PREFIX "n1"), "1:131");
	teardown();
}

/* One more column, with a long name, in a schema-only commit. */
static rc_t evolve_by(struct table *t, int n)
{
	AUTO(schema) *want = schema_copy(table_schema(t));
	AUTO_MEM char *name = mem_printf("column_%d_%0190d", n, n);
	add(want, NULL, name, TYPE_INT64);
	return table_evolve(t, want, &err);
}

TEST(metadata_without_room_gives_up_history_then_refuses_columns_and_takes_every_commit)
{
	CHECK(setup());
	AUTO(table) *t = new_table("trail"), *u = NULL;
	t->room = 100000;
	int columns = 0, schemas_most = 0;
	rc_t rc = RC_OK;
	for (int i = 0; i < 200; i++) {
		if (rc == RC_OK)
			rc = evolve_by(t, i);
		columns += rc == RC_OK;
		CHECK(rc == RC_OK || rc == RC_LIMIT);
		CHECK_OK(append_one(t, "n1", i, 20000, 1, &err), err);
		int schemas = (int)json_array_size(json_object_get(t->state.meta, "schemas"));
		schemas_most = schemas > schemas_most ? schemas : schemas_most;
		CHECK(t->state.size < t->room + 10000);
	}
	CHECK_INT(rc, RC_LIMIT);
	CHECK(schemas_most > 5);
	CHECK(columns > 80); /* one schema alone fills the room */
	CHECK_OK(table_open(fx.lake, "trail", &u, &err), err);
	CHECK_INT(look_at(u, INT32_MIN, INT32_MAX).files, 200);
	CHECK_RC(evolve_by(t, 1000), RC_LIMIT);
	CHECK_OK(append_one(t, "n1", 200, 20000, 1, &err), err);
	teardown();
}

TEST(sweep_takes_orphans_after_their_grace_only)
{
	CHECK(setup());
	AUTO(table) *t = new_table("trail");
	CHECK_OK(append_one(t, "n1", 0, 20000, 10, &err), err);
	const char *live = "trail/data/year=2026/month=01/day=01/n1-0.parquet", *orphan = "trail/data/year=2026/month=01/day=01/lost.parquet",
		   *manifest = "trail/metadata/0123-m7.avro", *foreign = "trail/metadata/statistics.puffin";
	CHECK_OK(store_put(fx.lake, live, SLICE_LIT("x"), STORE_CREATE, &err), err);
	CHECK_OK(store_put(fx.lake, orphan, SLICE_LIT("x"), STORE_CREATE, &err), err);
	CHECK_OK(store_put(fx.lake, manifest, SLICE_LIT("x"), STORE_CREATE, &err), err);
	CHECK_OK(store_put(fx.lake, foreign, SLICE_LIT("x"), STORE_CREATE, &err), err);
	struct table_keep keep = table_keep_default();
	keep.data = true;
	uint64_t removed;
	CHECK_OK(table_expire(t, &keep, &removed, &err), err);
	CHECK_INT(removed, 0);
	fx.clock_offset = DAY_US_ + 60000000;
	keep.data = false;
	CHECK_OK(table_expire(t, &keep, &removed, &err), err);
	CHECK_INT(removed, 1);
	CHECK_OK(store_size(fx.lake, orphan, NULL, NULL, &err), err);
	keep.data = true;
	CHECK_OK(table_expire(t, &keep, &removed, &err), err);
	CHECK_INT(removed, 1);
	CHECK_OK(store_size(fx.lake, live, NULL, NULL, &err), err);
	CHECK_OK(store_size(fx.lake, foreign, NULL, NULL, &err), err);
	CHECK_RC(store_size(fx.lake, orphan, NULL, NULL, &err), RC_NOT_FOUND);
	CHECK_RC(store_size(fx.lake, manifest, NULL, NULL, &err), RC_NOT_FOUND);
	teardown();
}

TEST(sweep_leaves_the_files_of_a_dropped_table_of_the_same_name)
{
	CHECK(setup());
	AUTO(table) *old = new_table("trail");
	CHECK(old && !table_property(old, PROP_SINCE));
	const char *kept = "trail/data/year=2026/month=01/day=01/n1-00000000000a-1-01234567.parquet",
		   *orphan = "trail/data/year=2026/month=01/day=01/n1-00000000000b-1-01234567.parquet";
	CHECK_OK(store_put(fx.lake, kept, SLICE_LIT("x"), STORE_CREATE, &err), err);
	CHECK_OK(table_drop(fx.lake, "trail", false, &err), err);
	AUTO(table) *t = new_table("trail");
	CHECK(t && table_property(t, PROP_SINCE));
	usleep(30000); /* the fixture's pauses are short */
	CHECK_OK(store_put(fx.lake, orphan, SLICE_LIT("x"), STORE_CREATE, &err), err);
	struct table_keep keep = table_keep_default();
	keep.data = true;
	fx.clock_offset = 3 * DAY_US_;
	uint64_t removed;
	CHECK_OK(table_expire(t, &keep, &removed, &err), err);
	CHECK_INT(removed, 1);
	CHECK_RC(store_size(fx.lake, orphan, NULL, NULL, &err), RC_NOT_FOUND);
	CHECK_OK(store_size(fx.lake, kept, NULL, NULL, &err), err);
	teardown();
}

struct found {
	unsigned foreign, left;
};

static rc_t found_one(void *ctx, const struct table_stray *s, struct err *reterr)
{
	struct found *f = ctx;
	(void)reterr;
	f->foreign += s->foreign;
	f->left += !s->foreign;
	return RC_OK;
}

static struct found strays(struct table *t)
{
	struct found f = { 0 };
	if (table_strays(t, found_one, &f, &err) != RC_OK)
		f.foreign = f.left = 1000;
	return f;
}

TEST(strays_are_all_files_that_no_snapshot_names_and_foreign_those_that_nobody_would_write)
{
	CHECK(setup());
	AUTO(table) *t = new_table("trail");
	AUTO(table) *u = NULL;
	CHECK_OK(append_one(t, "n1", 0, 20000, 10, &err), err);
	CHECK_OK(store_put(fx.lake, "trail/data/year=2026/month=01/day=01/n1-0.parquet", SLICE_LIT("x"), STORE_CREATE, &err), err);
	CHECK_INT(strays(t).foreign + strays(t).left, 0);
	static const char *const own[] = { "data/year=2026/month=01/day=01/abcdefgh-0000000000ff-12.parquet", "data/year=2026/month=01/day=02/file-0a-00ff00ff00ff-0.parquet",
					   "data/year=2026/month=01/day=02/abcdefgh-0000000000ff-12-0badcafe.parquet", "data/abcdefgh-0000000000ff-1-12345678.parquet",
					   "metadata/0123-m7.avro", "metadata/snap-1-0-aa.avro" };
	static const char *const harmless[] = { "data/year=2026/month=01/day=01/.n1.parquet.crc", "_shapes/12345678-000001", "data/_SUCCESS", "metadata/v900.metadata.json" };
	static const char *const foreign[] = { "data/year=2026/month=01/day=01/part-0000.parquet", "data/x.csv", "data/abcdefgh-0000000000fg-1.parquet",
					       "data/abcdefgh-0000000000ff-.parquet", "data/abcdefgh-0000000000ff-1-0badcaf.parquet", "data/abcdefgh-0000000000ff-0badcafe.parquet", "metadata/statistics.puffin", "notes.txt", "metadata/deeper/v1.metadata.json" };
	for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
		AUTO_MEM char *key = table_key(t, own[i]);
		CHECK_OK(store_put(fx.lake, key, SLICE_LIT("x"), STORE_CREATE, &err), err);
		struct found f = strays(t);
		CHECK(f.left == i + 1 && !f.foreign);
	}
	for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++) {
		AUTO_MEM char *key = table_key(t, harmless[i]);
		CHECK_OK(store_put(fx.lake, key, SLICE_LIT("x"), STORE_CREATE, &err), err);
		struct found f = strays(t);
		CHECK(f.left == sizeof own / sizeof *own && !f.foreign);
	}
	fx.clock_offset = 5 * 60 * (int64_t)1000000; /* nobody commits v900 any more */
	struct found f = strays(t);
	CHECK_INT(f.foreign, 1);
	for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
		AUTO_MEM char *key = table_key(t, foreign[i]);
		CHECK_OK(store_put(fx.lake, key, SLICE_LIT("x"), STORE_CREATE, &err), err);
		f = strays(t);
		CHECK(f.left == sizeof own / sizeof *own && f.foreign == i + 2);
	}
	CHECK_OK(table_open(fx.lake, "trail", &u, &err), err);
	CHECK_INT(look_at(u, INT32_MIN, INT32_MAX).files, 1);
	teardown();
}

TEST(sweep_deletes_nothing_when_it_cannot_see_all)
{
	CHECK(setup());
	AUTO(table) *t = new_table("trail");
	CHECK_OK(append_one(t, "n1", 0, 20000, 10, &err), err);
	CHECK_OK(append_one(t, "n1", 1, 20000, 10, &err), err);
	AUTO_MEM char *command = mem_printf("rm %s/trail/metadata/snap-*", fx.folder); /* the last one is in t's memory */
	run(command);
	int before = count_metadata("trail", "");
	fx.clock_offset = 5 * DAY_US_;
	struct table_keep keep = table_keep_default();
	CHECK_RC(table_expire(t, &keep, NULL, &err), RC_CORRUPT);
	CHECK_INT(count_metadata("trail", ""), before);
	teardown();
}

/* ---- Retention ---- */

static rc_t put_file_of(int n)
{
	AUTO_MEM char *key = mem_printf("trail/data/year=2026/month=01/day=01/n1-%d.parquet", n);
	return store_put(fx.lake, key, SLICE_LIT("x"), STORE_CREATE, &err);
}

static bool has_file_of(int n)
{
	AUTO_MEM char *key = mem_printf("trail/data/year=2026/month=01/day=01/n1-%d.parquet", n);
	return store_size(fx.lake, key, NULL, NULL, NULL) == RC_OK;
}

TEST(retire_takes_whole_days_out_in_one_commit_and_their_files_go_with_the_last_snapshot)
{
	CHECK(setup());
	AUTO(table) *t = new_table("trail");
	struct table_retired gone;
	CHECK_OK(table_retire(t, 30000, &gone, &err), err); /* no snapshot yet */
	CHECK_INT(gone.files, 0);
	for (int i = 0; i < 70; i++) { /* many of their manifests are merged, days and all */
		CHECK_OK(put_file_of(i), err);
		CHECK_OK(append_one(t, "n1", i, 20000 + i % 10, 10, &err), err);
	}
	int64_t version = table_version(t), snapshots = (int64_t)json_array_size(json_object_get(t->state.meta, "snapshots"));
	CHECK_OK(table_retire(t, 20000, &gone, &err), err);
	CHECK_INT(gone.files, 0);
	CHECK_INT(table_version(t), version);
	CHECK_OK(table_retire(t, 20004, &gone, &err), err);
	CHECK_INT(gone.files, 28);
	CHECK_INT(gone.records, 280);
	CHECK_INT(gone.bytes, 28000);
	CHECK_INT(table_version(t), version + 1);
	CHECK_INT(json_array_size(json_object_get(t->state.meta, "snapshots")), snapshots + 1);
	AUTO(table) *u = NULL;
	CHECK_OK(table_open(fx.lake, "trail", &u, &err), err);
	struct seen s = look_at(u, INT32_MIN, INT32_MAX);
	CHECK_INT(s.files, 42);
	CHECK_INT(s.day_min, 20004);
	CHECK_INT(s.day_max, 20009);
	CHECK(s.bounds_ok);
	CHECK_INT(s.sequence_max, 70); /* what stays keeps its numbers */
	CHECK_STR(table_property(u, TABLE_POSITION_PREFIX "n1"), "1:70");
	const json_t *now = meta_snapshot(u->state.meta, table_snapshot_id(u)), *summary = json_object_get(now, "summary");
	CHECK_STR(meta_str(summary, "operation"), "delete");
	CHECK_STR(meta_str(summary, "deleted-data-files"), "28");
	CHECK_STR(meta_str(summary, "deleted-records"), "280");
	CHECK_STR(meta_str(summary, "total-data-files"), "42");
	CHECK_STR(meta_str(summary, "total-records"), "420");
	int64_t records;
	CHECK_OK(table_totals(u, &records, NULL, NULL, &err), err);
	CHECK_INT(records, 420);
	CHECK_OK(append_one(u, "n1", 70, 20003, 10, &err), err); /* what comes late is taken out the next time */
	CHECK_INT(look_at(u, INT32_MIN, INT32_MAX).files, 43);
	CHECK_OK(table_retire(u, 20004, &gone, &err), err);
	CHECK_INT(gone.files, 1);
	struct table_keep keep = table_keep_default();
	keep.data = true;
	keep.snapshots_min = 1;
	CHECK_OK(table_expire(u, &keep, NULL, &err), err);
	CHECK(has_file_of(0)); /* an earlier snapshot can be read for a day */
	fx.clock_offset = 2 * DAY_US_;
	CHECK_OK(table_expire(u, &keep, NULL, &err), err);
	for (int i = 0; i < 70; i++)
		CHECK(has_file_of(i) == (i % 10 >= 4));
	CHECK_INT(look_at(u, INT32_MIN, INT32_MAX).files, 42);
	teardown();
}

TEST(sweep_that_is_cancelled_ends_between_two_files_and_the_next_goes_on)
{
	CHECK(setup());
	AUTO(table) *t = new_table("trail");
	CHECK_OK(append_one(t, "n1", 0, 20000, 10, &err), err);
	for (int i = 1; i < 20; i++)
		CHECK_OK(put_file_of(i), err);
	struct table_keep keep = table_keep_default();
	keep.data = true;
	keep.cancel = &fx.cancel;
	fx.clock_offset = 5 * DAY_US_;
	fx.cancel_at = fx.deletes + 3;
	CHECK_RC(table_expire(t, &keep, NULL, &err), RC_CANCELLED);
	CHECK_INT(fx.deletes, fx.cancel_at);
	fx.cancel = false;
	CHECK_OK(table_expire(t, &keep, NULL, &err), err);
	CHECK_INT(fx.deletes, fx.cancel_at + 16);
	for (int i = 1; i < 20; i++)
		CHECK(!has_file_of(i));
	teardown();
}

static void somebody_appends(void)
{
	AUTO(table) *u = NULL;
	struct err e;
	if (table_open(fx.lake, "trail", &u, &e) == RC_OK)
		append_one(u, "n2", 0, 20001, 10, &e);
}

TEST(retire_and_append_at_once_lose_nothing_that_is_young)
{
	CHECK(setup());
	AUTO(table) *t = new_table("trail");
	struct table_retired gone;
	for (int i = 0; i < 4; i++)
		CHECK_OK(append_one(t, "n1", i, 20000 + i, 10, &err), err);
	fx.before_commit = somebody_appends;
	CHECK_OK(table_retire(t, 20002, &gone, &err), err);
	CHECK_INT(gone.files, 3); /* of the second try: one more came */
	fx.fate = PUT_DONE_BUT_LOST;
	CHECK_OK(table_retire(t, 20003, &gone, &err), err);
	CHECK_INT(gone.files, 1);
	struct seen s = look_at(t, INT32_MIN, INT32_MAX);
	CHECK_INT(s.files, 1);
	CHECK_INT(s.day_min, 20003);
	CHECK_STR(table_property(t, TABLE_POSITION_PREFIX "n2"), "1:1");
	fx.fate = PUT_LOST;
	CHECK_RC(table_retire(t, 20009, &gone, &err), RC_IO);
	CHECK_INT(gone.files, 0);
	CHECK_INT(look_at(t, INT32_MIN, INT32_MAX).files, 1);
	CHECK_OK(table_retire(t, 20009, &gone, &err), err);
	CHECK_INT(look_at(t, INT32_MIN, INT32_MAX).files, 0);
	teardown();
}

TEST(branches_and_tags_keep_their_snapshots)
{
	CHECK(setup());
	AUTO(table) *t = new_table("trail");
	CHECK_OK(append_one(t, "n1", 0, 20000, 10, &err), err);
	int64_t first = table_snapshot_id(t);
	json_t *next = table_next(t);
	json_object_set_new(json_object_get(next, "refs"), "audit", json_pack("{s:I, s:s}", "snapshot-id", (json_int_t)first, "type", "tag"));
	CHECK_OK(table_publish(t, next, &err), err);
	for (int i = 1; i < 30; i++)
		CHECK_OK(append_one(t, "n1", i, 20000, 10, &err), err);
	fx.clock_offset = 2 * DAY_US_;
	const struct table_keep keep = table_keep_default();
	CHECK_OK(table_expire(t, &keep, NULL, &err), err);
	CHECK_INT(json_array_size(json_object_get(t->state.meta, "snapshots")), 11);
	CHECK(meta_snapshot(t->state.meta, first) != NULL);
	teardown();
}

/* ---- Hostile metadata ---- */

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

TEST(hostile_metadata_never_crashes)
{
	CHECK(setup());
	AUTO(table) *t = new_table("trail");
	CHECK_OK(append_one(t, "n1", 0, 20000, 10, &err), err);
	AUTO_MEM char *text = json_dumps(t->state.meta, JSON_COMPACT);
	size_t len = strlen(text);
	AUTO_MEM char *copy = mem_alloc(len + 1);
	static const char alphabet[] = "0123456789-\"{}[],:truefalsn null";
	uint64_t seed = 99;
	int parsed = 0;
	for (int i = 0; i < 6000; i++) {
		memcpy(copy, text, len);
		for (uint64_t k = next_random(&seed) % 3 + 1; k; k--)
			copy[next_random(&seed) % len] = alphabet[next_random(&seed) % (sizeof alphabet - 1)];
		json_t *meta = json_loadb(copy, len, JSON_REJECT_DUPLICATES, NULL);
		struct table broken = { .store = fx.lake, .collection = t->collection };
		if (!meta)
			continue;
		if (state_from_json(meta, 2, &broken.state, NULL) != RC_OK) {
			json_decref(meta);
			continue;
		}
		parsed++;
		struct seen s = { 0 };
		struct buf b;
		buf_init(&b, 1 << 20);
		table_files(&broken, 0, 30000, see, &s, NULL);
		for (enum table_ddl kind = TABLE_DDL_ATHENA; kind <= TABLE_DDL_JSON; kind++)
			table_ddl(&broken, kind, NULL, &b, NULL);
		json_t *next = table_next(&broken);
		const struct table_keep keep = { .snapshots_max = 1 };
		meta_expire_snapshots(next, &keep, INT64_MAX / 2);
		meta_prune_schemas(next);
		json_decref(next);
		buf_free(&b);
		state_free(&broken.state);
	}
	CHECK(parsed > 50);
	teardown();
}

TEST(newer_formats_are_refused_by_name)
{
	CHECK(setup());
	AUTO(table) *t = new_table("trail");
	json_t *meta = json_deep_copy(t->state.meta);
	struct table_state s;
	json_object_set_new(meta, "format-version", json_integer(3));
	CHECK_RC(state_from_json(meta, 1, &s, &err), RC_UNSUPPORTED);
	json_object_set_new(meta, "format-version", json_integer(2));
	meta_set_property(meta, PROP_FORMAT, "2", NULL);
	CHECK_RC(state_from_json(meta, 1, &s, &err), RC_UNSUPPORTED);
	CHECK(strstr(err.text, "newer hydrant"));
	json_decref(meta);
	teardown();
}

/* ---- DDL ---- */

static bool ddl_has(struct table *t, enum table_ddl kind, const char *location, const char *text)
{
	AUTO_BUF struct buf b;
	buf_init(&b, 1 << 20);
	if (table_ddl(t, kind, location, &b, &err) != RC_OK)
		return false;
	bool has = strstr(buf_cstr(&b), text) != NULL;
	if (!has)
		fprintf(stderr, "  lacks %s in:\n%s\n", text, buf_cstr(&b));
	return has;
}

TEST(ddl_names_types_and_siblings)
{
	CHECK(setup());
	AUTO(schema) *s = small_schema();
	add(s, NULL, "Select", TYPE_STRING);
	struct field *st = add(s, NULL, "st", TYPE_STRUCT);
	add(s, st, "end", TYPE_STRING);
	struct field *list = add(s, st, "Items", TYPE_LIST);
	add(s, add(s, list, "element", TYPE_STRUCT), "_x", TYPE_BOOL);
	struct field *dec = add(s, NULL, "http_status", TYPE_DECIMAL);
	dec->key = SLICE_LIT("http.status");
	dec->precision = 18;
	dec->scale = 3;
	struct field *sib = add(s, NULL, "a__string", TYPE_STRING), *obj = add(s, NULL, "a__object", TYPE_STRUCT);
	sib->role = obj->role = ROLE_SIBLING;
	sib->key = obj->key = SLICE_LIT("a");
	add(s, obj, "z", TYPE_INT64);
	schema_add(s, NULL, SLICE_LIT("__shape"), TYPE_BINARY)->role = ROLE_SHAPE;
	char long_name[300];
	memset(long_name, 'n', sizeof long_name);
	long_name[sizeof long_name - 1] = 0;
	add(s, NULL, long_name, TYPE_STRING);
	AUTO(table) *t = NULL;
	CHECK_OK(table_create(fx.lake, "trail", s, NULL, 0, &t, &err), err);
	CHECK_OK(append_one(t, "n1", 0, 11000, 10, &err), err); /* in the year 2000 */
	const char *want[] = { "`select` string", "`st` struct<`end`:string,items:array<struct<`_x`:boolean>>>", "`http_status` decimal(18,3) COMMENT 'http.status'",
			       "s3://YOUR-BUCKET/trail/data/", "'projection.year.range' = '2000,", "left out: column",
			       "COALESCE(CAST(\"a\" AS varchar), \"a__string\", json_format(CAST(\"a__object\" AS JSON))) AS \"a__any\"",
			       "CREATE OR REPLACE VIEW \"trail__view\"", "`__shape` binary", "PARTITIONED BY (`year` int, `month` int, `day` int)" };
	for (size_t i = 0; i < sizeof want / sizeof *want; i++)
		CHECK(ddl_has(t, TABLE_DDL_ATHENA, NULL, want[i]));
	CHECK(ddl_has(t, TABLE_DDL_ATHENA, "s3://b/lake/trail/", "LOCATION 's3://b/lake/trail/data/'"));
	CHECK(ddl_has(t, TABLE_DDL_GLUE_JSON, NULL, "\"Type\": \"struct<end:string,items:array<struct<_x:boolean>>>\""));
	CHECK(ddl_has(t, TABLE_DDL_ICEBERG_JSON, NULL, "\"timestamptz\""));
	CHECK(ddl_has(t, TABLE_DDL_PARQUET_TEXT, NULL, "optional group Items (LIST) ="));
	CHECK(ddl_has(t, TABLE_DDL_JSON, NULL, "\"key\": \"http.status\""));
	struct buf b;
	buf_init(&b, 1000);
	CHECK_RC(table_ddl(t, TABLE_DDL_ATHENA, "s3://b/it's", &b, &err), RC_INVALID);
	AUTO_BUF struct buf kept;
	buf_init(&kept, 1 << 20);
	CHECK_OK(store_get(fx.lake, "trail/_schema/athena.sql", &kept, &err), err);
	CHECK(strstr(buf_cstr(&kept), "'projection.year.range' = '2000,"));
	teardown();
}

/* ---- Crashes and crowds ---- */

/* A child that appends from position `from` on until it is killed or has done `count`. */
static pid_t appender(const char *log, int from, int count, const char *fault)
{
	pid_t pid = fork();
	if (pid)
		return pid;
	if (fault) {
		setenv("HYDRANT_FAULT", fault, 1);
		fault_init();
	}
	struct table *t = NULL;
	if (table_open(fx.lake, "trail", &t, NULL) != RC_OK)
		_exit(2);
	for (int i = from; i < from + count; i++)
		if (append_one(t, log, i, 20000, 1, NULL) != RC_OK)
			_exit(3);
	_exit(0);
}

TEST(kill_at_every_step_leaves_a_readable_table)
{
	const char *points[] = { "table.manifest", "table.manifest_list", "table.before_commit", "table.after_commit", "table.after_hint", "table.after_ddl",
				 "store.written", "store.before_name", "store.after_name" };
	CHECK(setup());
	AUTO(table) *t = new_table("trail");
	int at = 0;
	for (size_t p = 0; p < sizeof points / sizeof *points; p++) {
		int most = strncmp(points[p], "store.", 6) ? 2 : 6; /* an append puts five or six objects */
		for (int nth = 1; nth <= most; nth++) {
			char fault[64];
			snprintf(fault, sizeof fault, "%s:%d", points[p], nth);
			int status;
			waitpid(appender("n1", at, 3, fault), &status, 0);
			CHECK(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
			AUTO(table) *u = NULL;
			CHECK_OK(table_open(fx.lake, "trail", &u, &err), err);
			const char *pos = table_property(u, TABLE_POSITION_PREFIX "n1");
			int now = pos ? (int)strtol(pos + 2, NULL, 10) : 0;
			CHECK(now >= at && now <= at + 3);
			CHECK_INT(look_at(u, INT32_MIN, INT32_MAX).files, now);
			CHECK_OK(append_one(u, "n1", now, 20000, 1, &err), err);
			at = now + 1;
		}
	}
	CHECK_INT(look_at(t, INT32_MIN, INT32_MAX).files, 0);
	CHECK_OK(table_reload(t, NULL, &err), err);
	CHECK_INT(look_at(t, INT32_MIN, INT32_MAX).files, at);
	teardown();
}

TEST(kill_during_a_drop_leaves_the_newest_version_or_nothing)
{
	CHECK(setup());
	AUTO(table) *t = new_table("trail");
	for (int i = 0; i < 3; i++)
		CHECK_OK(append_one(t, "n1", i, 20000, 1, &err), err);
	pid_t pid = fork();
	if (pid == 0) {
		setenv("HYDRANT_FAULT", "table.drop:1", 1);
		fault_init();
		_exit(table_drop(fx.lake, "trail", true, NULL));
	}
	int status;
	waitpid(pid, &status, 0);
	CHECK(WIFSIGNALED(status));
	AUTO(table) *u = NULL;
	CHECK_OK(table_open(fx.lake, "trail", &u, &err), err);
	CHECK_INT(look_at(u, INT32_MIN, INT32_MAX).files, 3);
	CHECK_OK(table_drop(fx.lake, "trail", true, &err), err);
	teardown();
}

static const char old_file[] = "trail/data/year=2026/month=01/day=01/n1-0.parquet", new_file[] = "trail/data/year=2026/month=01/day=01/n2-0.parquet";

static void somebody_makes_it_anew(void)
{
	AUTO(table) *t = new_table("trail");
	if (t && store_put(fx.real, new_file, SLICE_LIT("new"), STORE_CREATE, &err) == RC_OK)
		append_one(t, "n2", 0, 20000, 1, &err);
}

TEST(purge_takes_nothing_of_a_table_made_anew_meanwhile)
{
	CHECK(setup());
	for (int leftovers = 0; leftovers < 2; leftovers++) { /* of the table itself, then of what a drop has left */
		AUTO(table) *t = new_table("trail"), *u = NULL;
		CHECK(t);
		CHECK_OK(store_put(fx.lake, old_file, SLICE_LIT("old"), STORE_CREATE, &err), err);
		CHECK_OK(append_one(t, "n1", 0, 20000, 1, &err), err);
		if (leftovers)
			CHECK_OK(table_drop(fx.lake, "trail", false, &err), err);
		fx.before_purge = somebody_makes_it_anew;
		CHECK_OK(table_drop(fx.lake, "trail", true, &err), err);
		CHECK_RC(store_size(fx.lake, old_file, NULL, NULL, &err), RC_NOT_FOUND);
		CHECK_OK(store_size(fx.lake, new_file, NULL, NULL, &err), err);
		CHECK_OK(store_size(fx.lake, "trail/_schema/athena.sql", NULL, NULL, &err), err);
		CHECK_OK(table_open(fx.lake, "trail", &u, &err), err);
		CHECK_INT(look_at(u, INT32_MIN, INT32_MAX).files, 1);
		CHECK_INT(count_metadata("trail", ".avro"), 2);
		CHECK_OK(table_drop(fx.lake, "trail", true, &err), err);
		AUTO_MEM char *path = store_local_path(fx.real, "trail");
		CHECK(access(path, F_OK) != 0);
	}
	teardown();
}

TEST(purge_of_more_names_than_fit_in_memory_leaves_nothing)
{
	CHECK(setup());
	AUTO(table) *t = new_table("trail");
	for (int i = 0; i < 10; i++) {
		AUTO_MEM char *key = mem_printf("trail/data/year=2026/month=01/day=%02d/n1.parquet", i + 1);
		CHECK_OK(store_put(fx.lake, key, SLICE_LIT("x"), STORE_CREATE, &err), err);
	}
	CHECK_OK(table_drop_within(fx.lake, "trail", true, 200, &err), err);
	AUTO_MEM char *path = store_local_path(fx.real, "trail");
	CHECK(access(path, F_OK) != 0);
	teardown();
}

TEST(purge_that_was_killed_is_finished_by_the_next)
{
	CHECK(setup());
	AUTO(table) *t = new_table("trail");
	CHECK_OK(store_put(fx.lake, old_file, SLICE_LIT("old"), STORE_CREATE, &err), err);
	pid_t pid = fork();
	if (pid == 0) {
		setenv("HYDRANT_FAULT", "table.purge:1", 1);
		fault_init();
		_exit(table_drop(fx.lake, "trail", true, NULL));
	}
	int status;
	waitpid(pid, &status, 0);
	CHECK(WIFSIGNALED(status));
	CHECK_RC(table_reload(t, NULL, &err), RC_NOT_FOUND);
	CHECK_OK(store_size(fx.lake, old_file, NULL, NULL, &err), err);
	CHECK_OK(table_drop(fx.lake, "trail", true, &err), err);
	AUTO_MEM char *path = store_local_path(fx.real, "trail");
	CHECK(access(path, F_OK) != 0);
	teardown();
}

TEST(writers_at_once_lose_nothing)
{
	enum { WRITERS = 3, EACH = 20 };
	CHECK(setup());
	AUTO(table) *t = new_table("trail");
	pid_t pids[WRITERS];
	for (int w = 0; w < WRITERS; w++) {
		char log[8];
		snprintf(log, sizeof log, "n%d", w);
		pids[w] = appender(log, 0, EACH, NULL);
	}
	for (int w = 0; w < WRITERS; w++) {
		int status;
		waitpid(pids[w], &status, 0);
		CHECK_INT(status, 0);
	}
	CHECK_OK(table_reload(t, NULL, &err), err);
	CHECK_INT(table_version(t), 1 + WRITERS * EACH);
	CHECK_INT(look_at(t, INT32_MIN, INT32_MAX).files, WRITERS * EACH);
	for (int w = 0; w < WRITERS; w++) {
		char key[64];
		snprintf(key, sizeof key, TABLE_POSITION_PREFIX "n%d", w);
		CHECK_STR(table_property(t, key), "1:20");
	}
	teardown();
}

TEST(two_servers_of_one_log_write_each_position_once)
{
	CHECK(setup());
	AUTO(table) *t = new_table("trail");
	pid_t a = appender("n1", 0, 15, NULL), b = appender("n1", 0, 15, NULL);
	int sa, sb;
	waitpid(a, &sa, 0);
	waitpid(b, &sb, 0);
	CHECK(WIFEXITED(sa) && WIFEXITED(sb));
	CHECK(sa == 0 || sb == 0 || WEXITSTATUS(sa) == 3);
	CHECK_OK(table_reload(t, NULL, &err), err);
	const char *pos = table_property(t, TABLE_POSITION_PREFIX "n1");
	CHECK_INT(look_at(t, INT32_MIN, INT32_MAX).files, pos ? strtol(pos + 2, NULL, 10) : 0);
	CHECK_INT(table_version(t), 1 + look_at(t, INT32_MIN, INT32_MAX).files);
	teardown();
}

/* A snapshot's age counts from when it was replaced: a table that nobody wrote to for days had it current until a moment ago. */
TEST(snapshot_stays_for_its_time_from_when_it_was_replaced)
{
	const int64_t hour = (int64_t)3600 * 1000000, now = 1000 * hour;
	const struct table_keep keep = { .snapshot_age = 24 * hour, .snapshots_min = 1, .snapshots_max = 100 };
	for (int64_t replaced = 23; replaced <= 25; replaced += 2) {
		json_t *meta = json_pack("{s:[{s:i,s:I},{s:i,s:I}],s:[],s:{}}", "snapshots", "snapshot-id", 1, "timestamp-ms",
					 (json_int_t)(now - 400 * hour) / 1000, "snapshot-id", 2, "timestamp-ms",
					 (json_int_t)(now - replaced * hour) / 1000, "snapshot-log", "refs");
		CHECK(meta != NULL);
		CHECK_INT(meta_expire_snapshots(meta, &keep, now), replaced > 24);
		json_decref(meta);
	}
}

TEST_MAIN()
