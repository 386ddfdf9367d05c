#include "pipeline/fixture_test.h"

static struct fixture f;
static struct err err;
static struct ingest_reply reply;

static void begin(void)
{
	fixture_init(&f);
	if (pipeline_open(&f.opts, &f.p, &err) != RC_OK)
		abort();
}

static rc_t send_body(const char *body, const char *key, bool reject)
{
	struct ingest_request r = { .collection = SLICE_LIT("x"), .body = slice_str(body), .key = slice_str(key), .reject = reject,
				    .format = FRAME_NDJSON };
	TRY(pipeline_ingest(f.p, &r, &reply, &err));
	return reply.ticket ? wal_wait(pipeline_wal(f.p), reply.ticket, &err) : RC_OK;
}

static uint64_t waiting(void)
{
	struct wal_pending pending;
	wal_pending(pipeline_wal(f.p), SLICE_LIT("x"), &pending);
	return pending.events;
}

TEST(ingest_keeps_all_of_a_body_or_nothing)
{
	begin();
	CHECK_OK(send_body("{\"n\":1}\n{bad\n{\"n\":2}\n", "", false), err);
	CHECK_INT(reply.accepted, 3);
	CHECK_INT(reply.quarantined, 1);
	CHECK_INT(reply.error_count, 1);
	CHECK_INT(reply.errors[0].line, 2);
	CHECK_INT(reply.position, 3);
	CHECK_INT(waiting(), 3);
	CHECK_RC(send_body("{\"n\":1}\n{bad\n{\"n\":2}\n", "", true), RC_INVALID);
	CHECK_INT(err.status, 400);
	CHECK_RC(send_body("{bad\n", "", false), RC_INVALID);
	CHECK(strstr(err.text, "line 1, column 2"));
	CHECK_RC(send_body(" \n ", "", false), RC_INVALID);
	CHECK_INT(waiting(), 3);
	fixture_free(&f);
}

TEST(ingest_with_a_key_counts_once)
{
	begin();
	CHECK_OK(send_body("{\"n\":1}\n{bad\n", "k", false), err);
	uint64_t position = reply.position;
	for (int i = 0; i < 2; i++) {
		CHECK_OK(send_body("{\"n\":1}\n{bad\n", "k", false), err);
		CHECK(reply.repeated);
		CHECK_INT(reply.accepted, 2);
		CHECK_INT(reply.quarantined, 1);
		CHECK_INT(reply.position, position);
		if (i == 0) { /* the window outlives a restart, and the commit of its events */
			CHECK_OK(pipeline_flush(f.p, "x", &err), err);
			pipeline_close(f.p);
			f.p = NULL;
			CHECK_OK(pipeline_open(&f.opts, &f.p, &err), err);
		}
	}
	CHECK_RC(send_body("{\"n\":2}\n", "k", false), RC_CONFLICT);
	CHECK_INT(err.status, 409);
	CHECK_OK(send_body("{\"n\":2}\n", "other", false), err);
	uint64_t rows;
	CHECK_OK(count_view(&f, "x", &rows, &err), err);
	CHECK_INT(rows, 2);
	fixture_free(&f);
}

static struct slice id_of(const char *payload, const char *path, struct arena *a)
{
	return event_id(slice_str(payload), path, a);
}

TEST(ingest_finds_an_id_where_its_path_leads)
{
	struct arena a;
	arena_init(&a);
	CHECK_SLICE(id_of("{\"id\":\"x1\"}", "id", &a), SLICE_LIT("x1"));
	CHECK_SLICE(id_of(" { \"a\" : [1,{\"id\":2}] , \"id\" : -12.50e3 } ", "id", &a), SLICE_LIT("-12.50e3"));
	CHECK_SLICE(id_of("{\"id\":1,\"id\":\"last\"}", "id", &a), SLICE_LIT("last"));
	CHECK_SLICE(id_of("{\"m\":{\"n\":{\"id\":\"d\\u00e9\\n\"}}}", "m.n.id", &a), SLICE_LIT("d\xc3\xa9\n"));
	CHECK_SLICE(id_of("{\"m.n\":{\"id\":7}}", "m.n.id", &a), SLICE_LIT("7"));
	CHECK_SLICE(id_of("{\"\\u0069d\":\"escaped key\"}", "id", &a), SLICE_LIT("escaped key"));
	CHECK_SLICE(id_of("{\"m\":3,\"m\":{\"id\":4}}", "m.id", &a), SLICE_LIT("4"));
	static const char *const without[] = { "{}", "[]", "3", "\"id\"", "{\"i\":1}", "{\"idx\":1}", "{\"id\":null}", "{\"id\":true}", "{\"id\":[1]}",
					       "{\"id\":{}}", "{\"id\":\"\"}", "{\"id\":\"\\ud800\"}", "[{\"id\":1}]", "{\"m\":{\"id\":1}}" };
	for (size_t i = 0; i < sizeof without / sizeof *without; i++)
		CHECK_SLICE(id_of(without[i], "id", &a), SLICE_LIT(""));
	/* A key may be longer than the path and begin like it, with the path's end in it. */
	AUTO_BUF struct buf b;
	buf_init(&b, 1 << 20);
	buf_append_slice(&b, SLICE_LIT("{\"id\":\"right\",\"id\\u0000"));
	for (int i = 0; i < 300000; i++)
		buf_append(&b, "x", 1);
	buf_append_slice(&b, SLICE_LIT("\":\"wrong\",\"id\\u0000\":\"wrong\"}"));
	buf_append(&b, "", 1);
	CHECK_SLICE(id_of((const char *)b.data, "id", &a), SLICE_LIT("right"));
	arena_free(&a);
}

TEST(ingest_keeps_an_event_once_whose_id_is_declared)
{
	begin();
	struct collection_rule rule = { .pattern = "x", .id_field = "id" };
	uint64_t rows;
	CHECK_OK(send_body("{\"id\":0}\n", "", false), err);
	CHECK_OK(send_body("{\"id\":0}\n", "", false), err); /* not declared yet */
	CHECK_INT(reply.deduplicated, 0);
	CHECK_OK(pipeline_set_rules(f.p, NULL, &rule, 1, &err), err);
	CHECK_OK(send_body("{\"id\":1}\n{\"id\":\"2\"}\n{\"id\":1,\"again\":true}\n{\"no\":1}\n{\"no\":1}\n{bad\n", "", false), err);
	CHECK_INT(reply.accepted, 6);
	CHECK_INT(reply.deduplicated, 1);
	CHECK_INT(reply.quarantined, 1);
	CHECK_INT(waiting(), 7);
	uint64_t position = reply.position;
	for (int i = 0; i < 2; i++) {
		CHECK_OK(send_body("{\"id\":2}\n{\"id\":1}\n", "", false), err); /* the number 2 is the text "2" */
		CHECK_INT(reply.accepted, 2);
		CHECK_INT(reply.deduplicated, 2);
		CHECK_INT(reply.position, position);
		CHECK_OK(send_body("{\"id\":2}\n{\"id\":3}\n", "k", false), err);
		CHECK_INT(reply.accepted, 2);
		CHECK_INT(reply.deduplicated, 1);
		CHECK_INT(reply.repeated, i > 0);
		position = reply.position;
		if (i == 0) { /* the window outlives a restart, and the commit of its events */
			CHECK_OK(pipeline_flush(f.p, "x", &err), err);
			pipeline_close(f.p);
			f.p = NULL;
			f.opts.rules = &rule;
			f.opts.rule_count = 1;
			CHECK_OK(pipeline_open(&f.opts, &f.p, &err), err);
			position = wal_next_position(pipeline_wal(f.p)) - 1;
		}
	}
	CHECK_OK(count_view(&f, "x", &rows, &err), err);
	CHECK_INT(rows, 7); /* 0, 0, 1, 2, two without, 3 */
	CHECK_OK(pipeline_drop(f.p, "x", true, &err), err); /* what is sent again now is kept by nobody else */
	CHECK_OK(send_body("{\"id\":2}\n{\"id\":3}\n", "k", false), err);
	CHECK_INT(reply.deduplicated, 0);
	CHECK(!reply.repeated);
	f.opts.rules = NULL;
	f.opts.rule_count = 0;
	fixture_free(&f);
}

TEST(drop_that_is_refused_changes_nothing)
{
	begin();
	uint64_t rows;
	AUTO_MEM char *hint = mem_printf("%s/x/metadata/version-hint.text", f.dir), *in_the_way = mem_printf("%s/in-the-way", hint);
	CHECK_OK(send_body("{\"a\":1}\n", "", false), err);
	CHECK_OK(pipeline_flush(f.p, "x", &err), err);
	CHECK_OK(send_body("{\"a\":2}\n{\"a\":3}\n", "k", false), err);
	CHECK_OK(file_remove(hint, &err), err);
	CHECK_OK(dir_make(in_the_way, &err), err); /* cannot be removed */
	CHECK_RC(pipeline_drop(f.p, "x", true, &err), RC_IO);
	CHECK_OK(dir_remove_tree(hint, &err), err);
	CHECK_INT(waiting(), 2);
	CHECK_OK(send_body("{\"a\":2}\n{\"a\":3}\n", "k", false), err);
	CHECK(reply.repeated);
	CHECK_OK(pipeline_flush(f.p, "x", &err), err);
	CHECK_OK(count_view(&f, "x", &rows, &err), err);
	CHECK_INT(rows, 3);
	CHECK_OK(pipeline_drop(f.p, "x", true, &err), err);
	CHECK_RC(pipeline_drop(f.p, "x", true, &err), RC_NOT_FOUND);
	fixture_free(&f);
}

struct sender {
	pthread_t thread;
	uint64_t kept;
	bool failed;
};

#define RACE_IDS 3000
static void *send_all_ids(void *arg)
{
	struct sender *s = arg;
	AUTO_BUF struct buf body;
	buf_init(&body, BUF_MAX_DEFAULT);
	for (int i = 0; i < RACE_IDS && !s->failed; i += 30) {
		struct ingest_reply r;
		struct err error;
		buf_reset(&body);
		for (int j = 0; j < 30; j++)
			buf_printf(&body, "{\"id\":%d}\n", i + j);
		struct ingest_request request = { .collection = SLICE_LIT("x"), .body = buf_slice(&body), .format = FRAME_NDJSON };
		s->failed = pipeline_ingest(f.p, &request, &r, &error) != RC_OK || (r.ticket && wal_wait(pipeline_wal(f.p), r.ticket, &error) != RC_OK);
		s->kept += r.accepted - r.deduplicated;
	}
	return NULL;
}

TEST(ingest_of_the_same_ids_by_many_at_once_keeps_each_once)
{
	begin();
	struct collection_rule rule = { .pattern = "*", .id_field = "id" };
	struct sender senders[4] = { 0 };
	uint64_t kept = 0;
	CHECK_OK(pipeline_set_rules(f.p, NULL, &rule, 1, &err), err);
	for (int i = 0; i < 4; i++)
		CHECK_INT(pthread_create(&senders[i].thread, NULL, send_all_ids, &senders[i]), 0);
	for (int i = 0; i < 4; i++) {
		pthread_join(senders[i].thread, NULL);
		CHECK(!senders[i].failed);
		kept += senders[i].kept;
	}
	CHECK_INT(kept, RACE_IDS);
	CHECK_INT(waiting(), RACE_IDS);
	fixture_free(&f);
}

TEST(ingest_messages_are_JSON_strings_as_they_are)
{
	begin();
	CHECK_OK(send_body("1\n\"\\q\"\n\"\xff\"\n{\"a\" 1}\n[\"\t\"]\n", "", false), err);
	CHECK(reply.error_count > 2);
	for (unsigned i = 0; i < reply.error_count; i++)
		for (const char *c = reply.errors[i].message; *c; c++)
			CHECK(*c != '"' && *c != '\\' && (unsigned char)*c >= 0x20);
	fixture_free(&f);
}

TEST(pipeline_is_opened_by_one_at_a_time)
{
	begin();
	struct pipeline *second = NULL;
	CHECK_RC(pipeline_open(&f.opts, &second, &err), RC_CONFLICT);
	CHECK(second == NULL);
	struct pipeline_options reading = f.opts;
	reading.read_only = true;
	CHECK_RC(pipeline_open(&reading, &second, &err), RC_CONFLICT);
	CHECK_OK(send_body("{\"n\":1}\n", "", false), err);
	pipeline_close(f.p);
	CHECK_OK(pipeline_open(&reading, &f.p, &err), err);
	uint64_t rows;
	CHECK_OK(count_view(&f, "x", &rows, &err), err); /* without a server the log is read */
	CHECK_INT(rows, 1);
	fixture_free(&f);
}

TEST(pipeline_that_only_reads_lets_others_start_once_its_view_is_open)
{
	begin();
	struct pipeline *second = NULL;
	struct view *v = NULL;
	struct pipeline_options reading = f.opts;
	reading.read_only = true;
	CHECK_OK(send_body("{\"n\":1}\n", "", false), err);
	pipeline_let_go(f.p); /* of who writes: nothing */
	CHECK_RC(pipeline_open(&reading, &second, &err), RC_CONFLICT);
	pipeline_close(f.p);
	CHECK_OK(pipeline_open(&reading, &f.p, &err), err);
	CHECK_OK(view_open(f.p, "x", &v, &err), err);
	CHECK_RC(pipeline_open(&f.opts, &second, &err), RC_CONFLICT);
	pipeline_let_go(f.p);
	CHECK_OK(pipeline_open(&f.opts, &second, &err), err); /* sweeps what killed commands left */
	CHECK_INT(v->hot_count, 1);
	CHECK(file_stat(v->hot[0], NULL, NULL, NULL, NULL) == RC_OK);
	AUTO_MEM char *folder = mem_printf("%s", v->hot[0]);
	*strrchr(folder, '/') = 0;
	view_close(v);
	pipeline_close(f.p);
	CHECK(file_stat(folder, NULL, NULL, NULL, NULL) == RC_NOT_FOUND);
	f.p = second;
	fixture_free(&f);
}

static bool is_there(const char *path)
{
	return file_stat(path, NULL, NULL, NULL, NULL) == RC_OK;
}

TEST(pipeline_clears_what_killed_queries_spilled_and_nothing_else)
{
	begin();
	AUTO_MEM char *spill = pipeline_spill_dir(f.p), *left = mem_printf("%s/a1B2c3", spill), *file = mem_printf("%s/duckdb.tmp", left);
	AUTO_MEM char *other = mem_printf("%s/somebody-elses", spill);
	struct pipeline *second = NULL;
	CHECK_OK(dir_make(left, &err), err);
	CHECK_OK(dir_make(other, &err), err);
	CHECK_OK(file_replace_atomic(file, SLICE_LIT("x"), &err), err);
	CHECK_RC(pipeline_open(&f.opts, &second, &err), RC_CONFLICT);
	CHECK(is_there(file)); /* a query may be using it */
	pipeline_close(f.p);
	CHECK_OK(pipeline_open(&f.opts, &f.p, &err), err);
	CHECK(!is_there(left) && is_there(other));
	fixture_free(&f);
}

TEST_MAIN()
