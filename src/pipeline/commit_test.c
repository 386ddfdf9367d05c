#include <pthread.h>
#include <sys/stat.h>

#include "pipeline/fixture_test.h"

struct writer {
	struct fixture f;
	unsigned from;
	bool text; /* its field `v` holds strings, the other's numbers */
	char error[600];
};

static void *write_and_flush(void *arg)
{
	struct writer *w = arg;
	struct err err;
	for (unsigned i = 0; i < 40; i++) {
		char body[200];
		unsigned n = w->from + i * 2;
		snprintf(body, sizeof body, w->text ? "{\"n\":%u,\"v\":\"s%u\",\"a%u\":1}\n{\"n\":%u}\n{bad\n" : "{\"n\":%u,\"v\":%u,\"b%u\":1}\n{\"n\":%u}\n", n, i,
			 i % 7, n + 1);
		if (post(&w->f, "x", body, &err) != RC_OK || (i % 4 == 3 && pipeline_flush(w->f.p, "x", &err) != RC_OK)) {
			snprintf(w->error, sizeof w->error, "%s", err.text);
			break;
		}
	}
	return NULL;
}

TEST(commits_of_two_writers_to_one_new_table_lose_and_double_nothing)
{
	struct writer w[2] = { { .from = 0 }, { .from = 1000, .text = true } };
	struct err err;
	pthread_t threads[2];
	char data[2][128];
	for (int i = 0; i < 2; i++) {
		fixture_init(&w[i].f);
		snprintf(data[i], sizeof data[i], "%.64s/data", w[i].f.dir);
		w[i].f.opts.data_dir = data[i];
		w[i].f.opts.lake = w[0].f.dir;
		CHECK_OK(pipeline_open(&w[i].f.opts, &w[i].f.p, &err), err);
	}
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, write_and_flush, &w[i]);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 2; i++) {
		CHECK_STR(w[i].error, "");
		CHECK_OK(pipeline_flush(w[i].f.p, NULL, &err), err);
	}
	uint64_t rows;
	CHECK_OK(count_view(&w[0].f, "x", &rows, &err), err);
	CHECK_INT(rows, 160);
	for (unsigned n = 0; n < 80; n++)
		CHECK(w[0].f.times[n] == 1 && w[0].f.times[1000 + n] == 1);
	CHECK_OK(count_view(&w[0].f, "x__quarantine", &rows, &err), err);
	CHECK_INT(rows, 40);
	fixture_free(&w[1].f);
	fixture_free(&w[0].f);
}

TEST(commit_that_fails_keeps_its_events_and_is_made_good)
{
	struct fixture f;
	struct err err;
	uint64_t rows;
	fixture_init(&f);
	CHECK_OK(pipeline_open(&f.opts, &f.p, &err), err);
	AUTO_MEM char *in_the_way = mem_printf("%s/x", f.dir);
	CHECK_OK(file_replace_atomic(in_the_way, SLICE_LIT("a file where the table's folder should be"), &err), err);
	CHECK_OK(post(&f, "x", "{\"n\":1}\n{\"n\":2}\n{bad\n", &err), err);
	for (int i = 0; i < 3; i++)
		CHECK(pipeline_flush(f.p, "x", &err) != RC_OK);
	struct collection *c = collection_get(f.p, "x");
	CHECK_INT(c->state.failures, 3);
	CHECK(c->error[0]);
	CHECK_OK(post(&f, "x", "{\"n\":3}\n", &err), err);
	CHECK_OK(file_remove(in_the_way, &err), err);
	CHECK_OK(pipeline_flush(f.p, "x", &err), err);
	CHECK(!c->error[0]);
	CHECK_OK(count_view(&f, "x", &rows, &err), err);
	CHECK_INT(rows, 3);
	CHECK_OK(count_view(&f, "x__quarantine", &rows, &err), err);
	CHECK_INT(rows, 1);
	struct wal_pending pending;
	wal_pending(pipeline_wal(f.p), SLICE_LIT("x"), &pending);
	CHECK_INT(pending.events, 0);
	fixture_free(&f);
}

TEST(commit_of_a_cut_that_is_in_the_table_already_adds_nothing)
{
	struct fixture f;
	struct err err;
	uint64_t rows;
	fixture_init(&f);
	CHECK_OK(pipeline_open(&f.opts, &f.p, &err), err);
	CHECK_OK(post(&f, "x", "{\"n\":1}\n{bad\n{\"n\":2}\n", &err), err);
	/* as after a crash behind each of the two commits: the log does not know */
	for (int round = 0; round < 2; round++) {
		struct commit c = { .p = f.p, .log = wal_id(pipeline_wal(f.p)), .after = 0, .upto = 3, .value = "1:3" };
		struct wal_source source;
		wal_source_init(&source, pipeline_wal(f.p), "x", 0, 3);
		c.source = (struct build_source){ &source, wal_source_rewind, wal_source_next };
		CHECK_OK(commit_cut(&c, "x", &err), err);
		wal_source_free(&source);
		CHECK_INT(c.events, round ? 0 : 3);
		CHECK_OK(count_view(&f, "x", &rows, &err), err);
		CHECK_INT(rows, 2);
		CHECK_OK(count_view(&f, "x__quarantine", &rows, &err), err);
		CHECK_INT(rows, 1);
	}
	CHECK_OK(pipeline_flush(f.p, "x", &err), err);
	CHECK_OK(count_view(&f, "x", &rows, &err), err);
	CHECK_INT(rows, 2);
	fixture_free(&f);
}

static rc_t ends_too_soon(void *ctx, struct err *err)
{
	(void)ctx;
	return err_set(err, RC_EOF, "a file ends too soon");
}

TEST(commit_that_meets_the_end_of_a_file_is_no_end_of_commits)
{
	struct fixture f;
	struct err err;
	fixture_init(&f);
	CHECK_OK(pipeline_open(&f.opts, &f.p, &err), err);
	struct commit c = { .p = f.p, .log = "l", .after = 0, .upto = 3, .value = "1:3", .source = { NULL, ends_too_soon } };
	CHECK_RC(commit_cut(&c, "x", &err), RC_IO);
	fixture_free(&f);
}

TEST(commit_into_a_folder_that_is_no_lake_any_more_waits_for_it)
{
	struct fixture f;
	struct err err;
	uint64_t rows;
	fixture_init(&f);
	AUTO_MEM char *data = mem_printf("%s.data", f.dir), *disk = mem_printf("%s.disk", f.dir);
	f.opts.data_dir = data;
	CHECK_OK(pipeline_open(&f.opts, &f.p, &err), err);
	CHECK_OK(post(&f, "x", "{\"n\":1}\n", &err), err);
	CHECK_OK(pipeline_flush(f.p, "x", &err), err);
	CHECK_OK(file_rename(f.dir, disk, &err), err); /* its disk is unmounted: the empty folder below comes to light */
	CHECK_OK(dir_make(f.dir, &err), err);
	CHECK_OK(post(&f, "x", "{\"n\":2}\n", &err), err);
	CHECK_RC(pipeline_flush(f.p, "x", &err), RC_IO);
	CHECK(strstr(err.text, "is the lake's disk mounted"));
	CHECK_OK(dir_remove_tree(f.dir, &err), err);
	CHECK_OK(file_rename(disk, f.dir, &err), err);
	CHECK_OK(pipeline_flush(f.p, "x", &err), err);
	CHECK_OK(count_view(&f, "x", &rows, &err), err);
	CHECK_INT(rows, 2);
	CHECK(f.times[1] == 1 && f.times[2] == 1);
	pipeline_close(f.p);
	f.p = NULL;
	CHECK_OK(dir_remove_tree(data, &err), err);
	fixture_free(&f);
}

static rc_t count_name(void *ctx, const char *name, bool is_dir)
{
	(void)name;
	(void)is_dir;
	++*(unsigned *)ctx;
	return RC_OK;
}

/* Events in, committed; how many key tables the table's folder has then, and whose file the DDL is: one that is put again is another. */
static rc_t commit_and_look(struct fixture *f, const char *body, unsigned *ret_keys, ino_t *ret_ddl, struct err *err)
{
	struct stat st;
	AUTO_MEM char *shapes = mem_printf("%s/x/_shapes", f->dir), *ddl = mem_printf("%s/x/_schema/athena.sql", f->dir);
	TRY(post(f, "x", body, err));
	TRY(pipeline_flush(f->p, "x", err));
	*ret_keys = 0;
	TRY(dir_list(shapes, count_name, ret_keys, err));
	if (stat(ddl, &st) != 0)
		return err_errno(err, RC_IO, "%s", ddl);
	*ret_ddl = st.st_ino;
	return RC_OK;
}

TEST(commit_puts_key_table_and_ddl_again_only_if_they_changed)
{
	struct fixture f;
	struct err err;
	uint64_t rows;
	unsigned keys[5];
	ino_t ddl[5];
	fixture_init(&f);
	CHECK_OK(pipeline_open(&f.opts, &f.p, &err), err);
	CHECK_OK(commit_and_look(&f, "{\"n\":1,\"a\":1}\n", &keys[0], &ddl[0], &err), err);
	CHECK_OK(commit_and_look(&f, "{\"n\":2,\"a\":2}\n{\"n\":3,\"a\":4}\n", &keys[1], &ddl[1], &err), err);
	CHECK_OK(commit_and_look(&f, "{\"n\":4,\"a\":2}\n", &keys[2], &ddl[2], &err), err);
	CHECK(keys[0] == 1 && keys[1] == 1 && keys[2] == 1);
	CHECK(ddl[1] == ddl[0] && ddl[2] == ddl[0]);
	CHECK_OK(commit_and_look(&f, "{\"n\":5,\"b\":{\"c\":[1]}}\n", &keys[3], &ddl[3], &err), err);
	CHECK(keys[3] == 2 && ddl[3] != ddl[0]);
	/* a process that knows nothing looks at the DDL, and has a key table of its own */
	pipeline_close(f.p);
	CHECK_OK(pipeline_open(&f.opts, &f.p, &err), err);
	CHECK_OK(commit_and_look(&f, "{\"n\":6,\"a\":2}\n", &keys[4], &ddl[4], &err), err);
	CHECK(keys[4] == 3 && ddl[4] == ddl[3]);
	CHECK_OK(count_view(&f, "x", &rows, &err), err);
	CHECK_INT(rows, 6);
	for (unsigned n = 1; n <= 6; n++)
		CHECK_INT(f.times[n], 1);
	/* another table of that name: its folder has nothing */
	CHECK_OK(pipeline_drop(f.p, "x", true, &err), err);
	CHECK_OK(commit_and_look(&f, "{\"n\":7,\"a\":2}\n", &keys[0], &ddl[0], &err), err);
	CHECK_INT(keys[0], 1);
	fixture_free(&f);
}

TEST(event_whose_columns_find_no_room_in_the_table_is_committed_without_them)
{
	struct fixture f;
	struct err err;
	struct store *store;
	uint64_t rows;
	fixture_init(&f);
	CHECK_OK(pipeline_open(&f.opts, &f.p, &err), err);
	CHECK_OK(post(&f, "x", "{\"n\":1}\n", &err), err);
	CHECK_OK(pipeline_flush(f.p, "x", &err), err);
	AUTO(table) *t = NULL;
	CHECK_OK(pipeline_store_of(f.p, "x", &store, &err), err);
	CHECK_OK(table_open(store, "x", &t, &err), err);
	const size_t size = (size_t)33 << 20; /* what thousands of columns with long keys come to */
	AUTO_MEM char *text = mem_alloc(size);
	memset(text, 'x', size);
	text[size - 1] = 0;
	const struct table_property large = { "columns", text }, none = { "columns", NULL };
	CHECK_OK(table_append(t, &(struct table_commit){ .updates = &large, .update_count = 1 }, &err), err);
	CHECK_OK(post(&f, "x", "{\"n\":2,\"m\":1}\n", &err), err);
	CHECK_OK(pipeline_flush(f.p, "x", &err), err);
	CHECK_OK(count_view(&f, "x", &rows, &err), err);
	CHECK_INT(rows, 2);
	CHECK_INT(f.times[1] + f.times[2], 2);
	CHECK_OK(table_reload(t, NULL, &err), err);
	CHECK(!field_child(table_schema(t)->root, SLICE_LIT("m")));
	CHECK_OK(table_append(t, &(struct table_commit){ .updates = &none, .update_count = 1 }, &err), err);
	CHECK_OK(post(&f, "x", "{\"n\":3,\"m\":1}\n", &err), err);
	CHECK_OK(pipeline_flush(f.p, "x", &err), err);
	CHECK_OK(table_reload(t, NULL, &err), err);
	CHECK(field_child(table_schema(t)->root, SLICE_LIT("m")));
	fixture_free(&f);
}

TEST_MAIN()
