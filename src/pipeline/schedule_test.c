#include <fcntl.h>
#include <sys/stat.h>

#include "pipeline/fixture_test.h"

#define PATIENCE_US ((int64_t)20 * 1000000)

static uint64_t committed(struct pipeline *p, const char *name)
{
	struct collection *c = collection_get(p, name);
	pthread_mutex_lock(&c->state_lock);
	uint64_t n = c->state.committed_events;
	pthread_mutex_unlock(&c->state_lock);
	return n;
}

static bool comes_to(struct pipeline *p, const char *name, uint64_t events)
{
	int64_t until = clock_mono_us() + PATIENCE_US;
	while (committed(p, name) < events && clock_mono_us() < until)
		usleep(2000);
	return committed(p, name) == events;
}

/* A named pipe in the place of a table's hint: whoever opens it waits until the other end is opened, as with a store that does not answer. */
TEST(schedule_a_collection_whose_store_hangs_keeps_no_other_waiting)
{
	struct fixture f;
	struct err err;
	fixture_init(&f);
	f.opts.commit_idle_us = 20000;
	CHECK_OK(pipeline_open(&f.opts, &f.p, &err), err);
	AUTO_MEM char *metadata = mem_printf("%s/stuck/metadata", f.dir);
	AUTO_MEM char *hint = mem_printf("%s/version-hint.text", metadata);
	CHECK_OK(dir_make(metadata, &err), err);
	CHECK_INT(mkfifo(hint, 0600), 0);
	CHECK_OK(pipeline_start(f.p, &err), err);
	CHECK_OK(post(&f, "stuck", "{\"n\":1}", &err), err);
	usleep(100000); /* long due */
	for (unsigned i = 0; i < 3; i++) {
		CHECK_OK(post(&f, "well", "{\"n\":2}", &err), err);
		CHECK(comes_to(f.p, "well", i + 1));
	}
	CHECK_INT(committed(f.p, "stuck"), 0);
	int fd = open(hint, O_RDWR); /* lets the waiting reader go on */
	CHECK(fd >= 0);
	unlink(hint);
	close(fd);
	CHECK(comes_to(f.p, "stuck", 1));
	pipeline_stop(f.p);
	fixture_free(&f);
}

/* A file in the place of a table's folder: that commit fails, and is tried again later and later. */
TEST(schedule_a_collection_that_is_tried_again_late_keeps_no_other_waiting)
{
	struct fixture f;
	struct err err;
	fixture_init(&f);
	f.opts.commit_idle_us = 20000;
	CHECK_OK(pipeline_open(&f.opts, &f.p, &err), err);
	AUTO_MEM char *path = mem_printf("%s/stuck", f.dir);
	CHECK_OK(file_create_atomic(path, SLICE_LIT("in the way"), &err), err);
	CHECK_OK(pipeline_start(f.p, &err), err);
	CHECK_OK(post(&f, "stuck", "{\"n\":1}", &err), err);
	struct collection *c = collection_get(f.p, "stuck");
	for (bool failed = false; !failed; usleep(2000)) {
		pthread_mutex_lock(&c->state_lock);
		failed = c->failures_in_row > 0;
		c->retry_at += failed ? PATIENCE_US * 2 : 0;
		pthread_mutex_unlock(&c->state_lock);
	}
	usleep(1500000); /* nothing but that is waited for */
	int64_t begin = clock_mono_us();
	CHECK_OK(post(&f, "well", "{\"n\":2}", &err), err);
	CHECK(comes_to(f.p, "well", 1));
	CHECK(clock_mono_us() - begin < PATIENCE_US / 4);
	CHECK_OK(file_remove(path, &err), err);
	pthread_mutex_lock(&c->state_lock);
	c->retry_at = 0;
	pthread_mutex_unlock(&c->state_lock);
	CHECK(comes_to(f.p, "stuck", 1));
	pipeline_stop(f.p);
	fixture_free(&f);
}

TEST(schedule_many_collections_are_all_committed_by_few_workers)
{
	struct fixture f;
	struct err err;
	fixture_init(&f);
	f.opts.commit_idle_us = 20000;
	CHECK_OK(pipeline_open(&f.opts, &f.p, &err), err);
	CHECK_OK(pipeline_start(f.p, &err), err);
	char name[16];
	for (unsigned round = 1; round <= 2; round++) {
		for (unsigned i = 0; i < 30; i++) {
			snprintf(name, sizeof name, "c%u", i);
			CHECK_OK(post(&f, name, "{\"n\":1}\n{\"n\":2}", &err), err);
		}
		for (unsigned i = 0; i < 30; i++) {
			snprintf(name, sizeof name, "c%u", i);
			CHECK(comes_to(f.p, name, round * 2));
		}
	}
	pipeline_stop(f.p);
	fixture_free(&f);
}

TEST_MAIN()
