#include <sys/stat.h>

#include "pipeline/fixture_test.h"

static struct fixture f;
static struct err err;
static char second[96], third[96];

/* x* in a second lake, y in a third, the others in the first. */
static void begin(void)
{
	static struct collection_rule rules[2];
	fixture_init(&f);
	snprintf(second, sizeof second, "%s/second", f.dir);
	snprintf(third, sizeof third, "%s/third", f.dir);
	rules[0] = (struct collection_rule){ .pattern = "x*", .url = second };
	rules[1] = (struct collection_rule){ .pattern = "y", .url = third, .time_field = "at" };
	f.opts.rules = rules;
	f.opts.rule_count = 2;
	if (pipeline_open(&f.opts, &f.p, &err) != RC_OK)
		abort();
}

static void end(void)
{
	fixture_free(&f);
}

static bool there(const char *lake, const char *table)
{
	AUTO_MEM char *path = mem_printf("%s/%s/metadata/version-hint.text", lake, table);
	return access(path, F_OK) == 0;
}

static rc_t join_names(void *ctx, const char *collection, struct err *reterr)
{
	(void)reterr;
	buf_printf(ctx, "%s ", collection);
	return RC_OK;
}

static void check_names(const char *want)
{
	AUTO_BUF struct buf names;
	buf_init(&names, 4096);
	CHECK_OK(pipeline_collections(f.p, join_names, &names, &err), err);
	CHECK_STR(buf_cstr(&names), want);
}

static void check_rows(const char *collection, uint64_t want)
{
	uint64_t rows = 0;
	CHECK_OK(count_view(&f, collection, &rows, &err), err);
	CHECK_INT(rows, want);
}

TEST(collection_patterns_match_whole_names)
{
	CHECK(collection_pattern_matches("x", "x"));
	CHECK(!collection_pattern_matches("x", "xy"));
	CHECK(!collection_pattern_matches("x", ""));
	CHECK(collection_pattern_matches("*", ""));
	CHECK(collection_pattern_matches("a*c*", "abcd"));
	CHECK(collection_pattern_matches("*_log", "my_log_log"));
	CHECK(!collection_pattern_matches("*_log", "my_logs"));
	CHECK(collection_pattern_matches("a?c", "abc"));
	CHECK(!collection_pattern_matches("a?c", "ac"));
	char name[64], pattern[64]; /* many stars over a long name end soon */
	memset(name, 'a', 63), name[63] = 0;
	for (int i = 0; i < 62; i += 2)
		pattern[i] = '*', pattern[i + 1] = 'a';
	pattern[62] = 'b', pattern[63] = 0;
	CHECK(!collection_pattern_matches(pattern, name));
}

TEST(collections_live_where_their_rule_says)
{
	begin();
	CHECK_OK(post(&f, "a", "{\"n\":1}\n", &err), err);
	CHECK_OK(post(&f, "x1", "{\"n\":1}\n{bad\n", &err), err);
	CHECK_OK(post(&f, "x2", "{\"n\":2}\n", &err), err);
	CHECK_OK(post(&f, "y", "{\"n\":3}\n{\"n\":4}\n", &err), err);
	check_names("a x1 x2 y ");
	check_rows("x1", 1);
	CHECK_OK(pipeline_flush(f.p, NULL, &err), err);
	CHECK(there(f.dir, "a") && !there(f.dir, "x1") && !there(f.dir, "y"));
	CHECK(there(second, "x1") && there(second, "x2") && there(second, "x1__quarantine") && !there(second, "y"));
	CHECK(there(third, "y"));
	check_names("a x1 x1__quarantine x2 y ");
	check_rows("y", 2);
	check_rows("x1__quarantine", 1);
	/* each lake describes itself */
	AUTO_MEM char *own = mem_printf("%s/_hydrant/lake.json", third);
	CHECK_INT(access(own, F_OK), 0);
	/* a second start finds them all, also for reading only */
	pipeline_close(f.p);
	f.p = NULL;
	f.opts.read_only = true;
	CHECK_OK(pipeline_open(&f.opts, &f.p, &err), err);
	check_names("a x1 x1__quarantine x2 y ");
	check_rows("x2", 1);
	end();
}

TEST(a_table_that_the_rules_put_elsewhere_is_not_seen)
{
	begin();
	CHECK_OK(post(&f, "y", "{\"n\":3}\n", &err), err);
	CHECK_OK(pipeline_flush(f.p, NULL, &err), err);
	pipeline_close(f.p);
	f.p = NULL;
	f.opts.rule_count = 0; /* … and the third lake with them */
	CHECK_OK(pipeline_open(&f.opts, &f.p, &err), err);
	check_names("");
	check_rows("y", 0);
	end();
}

static rc_t find_error(void *ctx, const struct pipeline_state *s)
{
	if (!strcmp(s->collection, "x1"))
		snprintf(ctx, 256, "%s", s->error ? s->error : "");
	return RC_OK;
}

static void lake_error(void *ctx, const char *url, const char *error)
{
	if (!strcmp(url, second))
		*(bool *)ctx = error != NULL;
}

TEST(a_lake_that_cannot_be_opened_is_its_own_trouble)
{
	begin();
	char error[256] = "";
	bool told = false;
	CHECK_OK(file_create_atomic(second, SLICE_LIT("no folder"), &err), err);
	CHECK_OK(post(&f, "a", "{\"n\":1}\n", &err), err);
	CHECK_OK(post(&f, "x1", "{\"n\":1}\n{\"n\":2}\n", &err), err);
	CHECK_OK(post(&f, "y", "{\"n\":3}\n", &err), err);
	CHECK(pipeline_flush(f.p, NULL, &err) != RC_OK);
	CHECK(there(f.dir, "a") && there(third, "y"));
	check_names("a x1 y ");
	check_rows("a", 1);
	CHECK(count_view(&f, "x1", &(uint64_t){ 0 }, &err) != RC_OK); /* never an answer with less than there is */
	pipeline_states(f.p, find_error, error);
	CHECK(strstr(error, second));
	pipeline_lakes(f.p, lake_error, &told);
	CHECK(told);
	CHECK_OK(post(&f, "x1", "{\"n\":5}\n", &err), err); /* ingest goes on */
	/* repaired, everything drains */
	CHECK_OK(file_remove(second, &err), err);
	clock_sleep_us(2100000); /* the error stands for a moment */
	CHECK_OK(pipeline_flush(f.p, "x1", &err), err);
	CHECK(there(second, "x1"));
	check_rows("x1", 3);
	pipeline_lakes(f.p, lake_error, &told);
	CHECK(!told);
	end();
}

TEST(a_newer_lake_is_refused_for_its_collections_only)
{
	begin();
	AUTO_MEM char *folder = mem_printf("%s/_hydrant", second), *file = mem_printf("%s/lake.json", folder);
	CHECK_OK(dir_make(folder, &err), err);
	CHECK_OK(file_create_atomic(file, SLICE_LIT("{\"format\": 99}"), &err), err);
	CHECK_OK(post(&f, "x1", "{\"n\":1}\n", &err), err);
	CHECK_OK(post(&f, "y", "{\"n\":3}\n", &err), err);
	CHECK_RC(pipeline_flush(f.p, "x1", &err), RC_UNSUPPORTED);
	CHECK_OK(pipeline_flush(f.p, "y", &err), err);
	end();
}

TEST(rules_change_while_running_but_do_not_move_tables)
{
	begin();
	CHECK_OK(post(&f, "y", "{\"n\":3,\"at\":\"2026-01-02T03:04:05Z\",\"then\":\"2020-01-01T00:00:00Z\"}\n", &err), err);
	check_rows("y", 1);
	struct collection_rule rules[] = { { .pattern = "y", .url = third, .time_field = "then" }, { .pattern = "z", .url = second } };
	CHECK_OK(pipeline_set_rules(f.p, NULL, rules, 2, &err), err);
	CHECK_OK(post(&f, "z", "{\"n\":1}\n", &err), err);
	CHECK_OK(pipeline_flush(f.p, NULL, &err), err);
	CHECK(there(second, "z"));
	AUTO_MEM char *day = mem_printf("%s/y/data/year=2020/month=01/day=01", third);
	CHECK_INT(access(day, F_OK), 0); /* by the new time field */
	rules[0].url = second;
	CHECK_RC(pipeline_set_rules(f.p, NULL, rules, 2, &err), RC_CONFLICT);
	CHECK(strstr(err.text, "'y'"));
	check_rows("y", 1);
	end();
}

TEST(declared_settings_are_kept_in_the_lake)
{
	begin();
	struct collection_rule d = { .pattern = "a", .time_field = "then", .file_bytes = 1 << 20, .commit_busy_us = 2500000 };
	CHECK_OK(pipeline_declare(f.p, &d, &err), err);
	d.pattern = "y"; /* whose time field is in the rules: the name there counts more */
	CHECK_OK(pipeline_declare(f.p, &d, &err), err);
	d.pattern = "a__quarantine";
	CHECK_RC(pipeline_declare(f.p, &d, &err), RC_INVALID);
	AUTO_MEM char *bad = mem_printf("%s/_hydrant/collections/bad.json", f.dir);
	CHECK_OK(file_create_atomic(bad, SLICE_LIT("{"), &err), err);
	pipeline_close(f.p);
	f.p = NULL;
	CHECK_OK(pipeline_open(&f.opts, &f.p, &err), err);
	struct collection_settings s;
	collection_settings_get(f.p, "a__quarantine", &s);
	CHECK_STR(s.time_field, "then");
	CHECK_INT(s.file_bytes, 1 << 20);
	CHECK_INT(s.commit_busy_us, 2500000);
	CHECK_INT(s.commit_idle_us, f.opts.commit_idle_us);
	collection_settings_clear(&s);
	collection_settings_get(f.p, "y", &s);
	CHECK_STR(s.time_field, "at");
	CHECK_INT(s.file_bytes, 1 << 20);
	collection_settings_clear(&s);
	check_names(""); /* no table is made for it */
	CHECK_OK(post(&f, "a", "{\"n\":1,\"then\":\"2020-01-01T00:00:00Z\"}\n", &err), err);
	CHECK_OK(pipeline_flush(f.p, "a", &err), err);
	AUTO_MEM char *day = mem_printf("%s/a/data/year=2020/month=01/day=01", f.dir), *object = mem_printf("%s/_hydrant/collections/a.json", f.dir);
	CHECK_INT(access(day, F_OK), 0);
	CHECK_INT(access(object, F_OK), 0);
	CHECK_OK(pipeline_drop(f.p, "a", true, &err), err);
	CHECK(access(object, F_OK) != 0);
	CHECK_OK(pipeline_drop(f.p, "y", false, &err), err); /* nothing but its settings */
	CHECK_RC(pipeline_drop(f.p, "y", false, &err), RC_NOT_FOUND);
	end();
}

TEST(lakes_open_over_what_cannot_be_swept)
{
	fixture_init(&f);
	AUTO_MEM char *temp = mem_printf("%s/_hydrant/tmp", f.dir), *loop = mem_printf("%s/loop", temp);
	CHECK_OK(dir_make(temp, &err), err);
	CHECK_INT(symlink("loop", loop), 0); /* nobody can look at it */
	CHECK_OK(pipeline_open(&f.opts, &f.p, &err), err);
	CHECK_OK(post(&f, "x", "{\"n\":1}\n", &err), err);
	CHECK_OK(pipeline_flush(f.p, "x", &err), err);
	end();
}

TEST_MAIN()
