#include "pipeline/fixture_test.h"

#define HOUR_US (DAY_US / 24)

TEST(clock_that_jumped_is_trusted_again_after_a_day)
{
	struct clock_watch w;
	int64_t wall = 20000 * DAY_US, mono = 5 * HOUR_US;
	clock_watch_begin(&w, wall, mono, 0);
	CHECK(clock_watch_trusts(&w, wall, mono));
	CHECK(clock_watch_trusts(&w, wall += 2 * HOUR_US, mono += HOUR_US)); /* a machine that slept, a clock that was set right */
	CHECK(!clock_watch_trusts(&w, wall += 300 * DAY_US, mono += HOUR_US));
	for (int i = 0; i < 23; i++)
		CHECK(!clock_watch_trusts(&w, wall += HOUR_US, mono += HOUR_US));
	CHECK(clock_watch_trusts(&w, wall += HOUR_US, mono += HOUR_US));
	CHECK(!clock_watch_trusts(&w, wall -= 300 * DAY_US, mono += HOUR_US));
	/* over a restart */
	clock_watch_begin(&w, wall, mono, wall - 6 * DAY_US);
	CHECK(clock_watch_trusts(&w, wall, mono));
	clock_watch_begin(&w, wall, mono, wall - 8 * DAY_US);
	CHECK(!clock_watch_trusts(&w, wall, mono));
	CHECK(clock_watch_trusts(&w, wall + DAY_US, mono + DAY_US));
}

static int64_t table_rows(struct fixture *f, const char *name)
{
	struct store *store;
	struct err err;
	AUTO(table) *t = NULL;
	int64_t rows = -1;
	if (pipeline_store_of(f->p, name, &store, &err) == RC_OK && table_open(store, name, &t, &err) == RC_OK)
		table_totals(t, &rows, NULL, NULL, &err);
	return rows;
}

TEST(retention_waits_for_a_clock_that_can_be_trusted)
{
	struct fixture f;
	struct err err;
	struct clock_watch w;
	char body[200], time[32];
	fixture_init(&f);
	f.opts.retention_us = 10 * DAY_US;
	CHECK_OK(pipeline_open(&f.opts, &f.p, &err), err);
	int64_t wall = clock_wall_us(), mono = clock_mono_us();
	time_format(wall - 30 * DAY_US, time);
	snprintf(body, sizeof body, "{\"n\":1,\"time\":\"%s\"}\n{\"n\":2}\n", time);
	CHECK_OK(post(&f, "x", body, &err), err);
	CHECK_OK(pipeline_flush(f.p, "x", &err), err);
	CHECK_INT(table_rows(&f, "x"), 2);
	clock_watch_begin(&w, wall, mono, wall - 30 * DAY_US);
	upkeep_look(f.p, &w, wall, mono, true);
	CHECK_INT(table_rows(&f, "x"), 2);
	upkeep_look(f.p, &w, wall + DAY_US, mono + DAY_US, true);
	CHECK_INT(table_rows(&f, "x"), 1);
	fixture_free(&f);
}

/* A table with one event of 1987. */
static rc_t old_table(struct store *store, const char *name, struct err *err)
{
	AUTO(schema) *s = schema_new();
	AUTO(table) *t = NULL;
	schema_add(s, NULL, SLICE_LIT("__time"), TYPE_TIMESTAMPTZ)->role = ROLE_TIME;
	TRY(table_create(store, name, s, NULL, 0, &t, err));
	const struct data_file file = { .path = "data/year=1987/month=01/day=01/x.parquet", .day = 6209, .record_count = 1, .file_size = 100 };
	const struct table_commit c = { .files = &file, .file_count = 1 };
	return table_append(t, &c, err);
}

TEST(quarantine_without_its_collection_is_expired)
{
	struct fixture f;
	struct err err;
	struct clock_watch w;
	struct expiry e;
	struct store *store;
	fixture_init(&f);
	f.opts.retention_us = 10 * DAY_US;
	CHECK_OK(pipeline_open(&f.opts, &f.p, &err), err);
	CHECK_OK(pipeline_store_of(f.p, "x", &store, &err), err);
	CHECK_OK(old_table(store, "x__quarantine", &err), err);
	CHECK_OK(old_table(store, "y", &err), err);
	CHECK_OK(old_table(store, "y__quarantine", &err), err);
	CHECK_RC(pipeline_expire(f.p, "y__quarantine", false, &e, &err), RC_NOT_FOUND); /* with y */
	CHECK_INT(table_rows(&f, "y__quarantine"), 1);
	int64_t wall = clock_wall_us(), mono = clock_mono_us();
	clock_watch_begin(&w, wall, mono, 0);
	upkeep_look(f.p, &w, wall, mono, true);
	CHECK_INT(table_rows(&f, "x__quarantine"), 0);
	CHECK_INT(table_rows(&f, "y"), 0);
	CHECK_INT(table_rows(&f, "y__quarantine"), 0);
	fixture_free(&f);
}

TEST_MAIN()
