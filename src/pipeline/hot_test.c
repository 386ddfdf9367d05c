#include <pthread.h>

#include "pipeline/fixture_test.h"

/* Numbers acked so far: all below it are durable; `sent` bounds those that may be. */
struct traffic {
	struct fixture *f;
	uint64_t acked, sent; /* atomic */
	uint64_t dropped;     /* atomic: numbers below it may be gone */
	bool stop;
	char error[600];
};

static void *send_events(void *arg)
{
	struct traffic *t = arg;
	struct err err;
	for (unsigned n = 0; !__atomic_load_n(&t->stop, __ATOMIC_ACQUIRE) && n < NUMBERS_MAX - 100;) {
		char body[4096];
		size_t at = 0;
		unsigned many = 1 + n % 7;
		for (unsigned i = 0; i < many; i++)
			at += (size_t)snprintf(body + at, sizeof body - at, "{\"n\":%u,\"k%u\":%u}\n", n + i, (n / 500) % 40, n);
		if (n % 5 == 0)
			snprintf(body + at, sizeof body - at, "{\"broken %u\n", n);
		__atomic_store_n(&t->sent, n + many, __ATOMIC_SEQ_CST);
		if (post(t->f, "x", body, &err) != RC_OK) {
			snprintf(t->error, sizeof t->error, "%s", err.text);
			return NULL;
		}
		n += many;
		__atomic_store_n(&t->acked, n, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

static void *flush_often(void *arg)
{
	struct traffic *t = arg;
	struct err err;
	while (!__atomic_load_n(&t->stop, __ATOMIC_ACQUIRE)) {
		rc_t rc = pipeline_flush(t->f->p, "x", &err);
		if (rc != RC_OK && rc != RC_NOT_FOUND) /* nothing was sent yet */
			snprintf(t->error, sizeof t->error, "%s", err.text);
		usleep(3000);
	}
	return NULL;
}

TEST(view_beside_commits_never_misses_or_doubles_an_event)
{
	struct fixture f;
	struct err err;
	fixture_init(&f);
	CHECK_OK(pipeline_open(&f.opts, &f.p, &err), err);
	CHECK_OK(pipeline_start(f.p, &err), err);
	struct traffic t = { .f = &f };
	pthread_t sender, flusher;
	pthread_create(&sender, NULL, send_events, &t);
	pthread_create(&flusher, NULL, flush_often, &t);
	int64_t until = clock_mono_us() + 2500000;
	char failed[200] = "";
	for (int look = 0; !failed[0] && clock_mono_us() < until; look++) {
		uint64_t rows, before = __atomic_load_n(&t.acked, __ATOMIC_SEQ_CST);
		if (count_view(&f, "x", &rows, &err) != RC_OK)
			snprintf(failed, sizeof failed, "view: %.150s", err.text);
		uint64_t after = __atomic_load_n(&t.sent, __ATOMIC_SEQ_CST);
		for (uint64_t n = 0; n < NUMBERS_MAX && !failed[0]; n++)
			if (f.times[n] > (n < after) || f.times[n] < (n < before))
				snprintf(failed, sizeof failed, "look %d: number %llu is there %d times; acked %llu, sent %llu", look,
					 (unsigned long long)n, f.times[n], (unsigned long long)before, (unsigned long long)after);
		if (!failed[0] && look % 3 == 0 && count_view(&f, "x__quarantine", &rows, &err) != RC_OK)
			snprintf(failed, sizeof failed, "quarantine: %.150s", err.text);
	}
	__atomic_store_n(&t.stop, true, __ATOMIC_RELEASE);
	pthread_join(sender, NULL);
	pthread_join(flusher, NULL);
	CHECK_STR(failed, "");
	CHECK_STR(t.error, "");
	CHECK(t.acked > 100);
	/* quarantined once each: n % 5 == 0 for the first number of a body */
	uint64_t rows, broken = 0;
	for (unsigned n = 0; n < t.acked; n += 1 + n % 7)
		broken += n % 5 == 0;
	CHECK_OK(count_view(&f, "x__quarantine", &rows, &err), err);
	CHECK_INT(rows, broken);
	CHECK_OK(pipeline_flush(f.p, NULL, &err), err);
	CHECK_OK(count_view(&f, "x", &rows, &err), err);
	CHECK_INT(rows, t.acked);
	CHECK_OK(count_view(&f, "x__quarantine", &rows, &err), err);
	CHECK_INT(rows, broken);
	fixture_free(&f);
}

TEST(commit_ends_though_events_keep_coming)
{
	struct fixture f;
	struct err err;
	fixture_init(&f);
	CHECK_OK(pipeline_open(&f.opts, &f.p, &err), err);
	struct traffic t = { .f = &f };
	pthread_t sender;
	pthread_create(&sender, NULL, send_events, &t);
	while (__atomic_load_n(&t.acked, __ATOMIC_SEQ_CST) < 50)
		usleep(1000);
	CHECK_OK(pipeline_flush(f.p, "x", &err), err);
	struct collection *c = collection_get(f.p, "x");
	uint64_t commits = c->state.commits;
	__atomic_store_n(&t.stop, true, __ATOMIC_RELEASE);
	pthread_join(sender, NULL);
	CHECK_INT(commits, 1);
	fixture_free(&f);
}

TEST(dropped_events_never_come_back)
{
	struct fixture f;
	struct err err;
	uint64_t rows;
	fixture_init(&f);
	CHECK_OK(pipeline_open(&f.opts, &f.p, &err), err);
	for (int round = 0; round < 6; round++) {
		CHECK_OK(post(&f, "x", "{\"n\":1}\n{\"n\":2}\n{bad\n", &err), err);
		if (round & 1)
			CHECK_OK(pipeline_flush(f.p, "x", &err), err);
		CHECK_OK(post(&f, "x", "{\"n\":3}\n", &err), err);
		CHECK_OK(count_view(&f, "x", &rows, &err), err);
		CHECK_INT(rows, 3);
		CHECK_OK(pipeline_drop(f.p, "x", round & 2, &err), err);
		CHECK_OK(count_view(&f, "x", &rows, &err), err);
		CHECK_INT(rows, 0);
		CHECK_OK(count_view(&f, "x__quarantine", &rows, &err), err);
		CHECK_INT(rows, 0);
		CHECK_OK(post(&f, "x", "{\"n\":4}\n", &err), err);
		CHECK_OK(count_view(&f, "x", &rows, &err), err);
		CHECK_INT(rows, 1);
		pipeline_close(f.p);
		f.p = NULL;
		CHECK_OK(pipeline_open(&f.opts, &f.p, &err), err);
		CHECK_OK(pipeline_flush(f.p, "x", &err), err);
		CHECK_OK(count_view(&f, "x", &rows, &err), err);
		CHECK_INT(rows, 1);
		CHECK_INT(f.times[4], 1);
		CHECK_OK(pipeline_drop(f.p, "x", true, &err), err);
		CHECK_RC(pipeline_drop(f.p, "x", false, &err), RC_NOT_FOUND);
	}
	fixture_free(&f);
}

TEST(view_survives_the_commit_of_its_hot_events)
{
	struct fixture f;
	struct err err;
	uint64_t rows = 0;
	fixture_init(&f);
	CHECK_OK(pipeline_open(&f.opts, &f.p, &err), err);
	CHECK_OK(post(&f, "x", "{\"n\":1}\n{\"n\":2}\n", &err), err);
	struct view *v;
	CHECK_OK(view_open(f.p, "x", &v, &err), err);
	CHECK_INT(v->hot_events, 2);
	CHECK_OK(pipeline_flush(f.p, "x", &err), err);
	CHECK_OK(pipeline_drop(f.p, "x", true, &err), err);
	CHECK_OK(count_file(&f, v->hot[0], &rows, &err), err);
	CHECK_INT(rows, 2);
	AUTO_MEM char *path = mem_strdup(v->hot[0]);
	view_close(v);
	CHECK_RC(file_stat(path, NULL, NULL, NULL, NULL), RC_NOT_FOUND);
	fixture_free(&f);
}

TEST(hot_events_follow_a_table_that_another_node_made_anew)
{
	struct fixture f;
	struct err err;
	struct store *store;
	uint64_t rows;
	fixture_init(&f);
	CHECK_OK(pipeline_open(&f.opts, &f.p, &err), err);
	CHECK_OK(post(&f, "x", "{\"n\":1}\n", &err), err);
	CHECK_OK(pipeline_flush(f.p, "x", &err), err);
	CHECK_OK(post(&f, "x", "{\"n\":2}\n", &err), err);
	CHECK_OK(count_view(&f, "x", &rows, &err), err);
	CHECK_INT(rows, 2);
	AUTO(table) *t = NULL, *other = NULL;
	CHECK_OK(pipeline_store_of(f.p, "x", &store, &err), err);
	CHECK_OK(table_open(store, "x", &t, &err), err);
	AUTO(schema) *s = schema_new(); /* another one, of the same number */
	schema_add(s, NULL, SLICE_LIT("__time"), TYPE_TIMESTAMPTZ)->role = ROLE_TIME;
	schema_add(s, NULL, SLICE_LIT("n"), TYPE_BOOL);
	CHECK_OK(table_drop(store, "x", true, &err), err);
	CHECK_OK(table_create(store, "x", s, NULL, 0, &other, &err), err);
	CHECK_INT(table_schema(other)->schema_id, table_schema(t)->schema_id);
	AUTO(view) *v = NULL;
	CHECK_OK(view_open(f.p, "x", &v, &err), err);
	CHECK_INT(v->hot_events, 1);
	CHECK_INT(field_child(v->schema->root, SLICE_LIT("n"))->type, TYPE_BOOL);
	fixture_free(&f);
}

TEST_MAIN()
