/* Taking a log over: "it was never acked" is said of nothing that the lake has lost, or does not show at the moment. */
#include "pipeline/fixture_test.h"

static struct fixture dead, heir;
static struct err err;
static char id[WAL_ID_LEN + 1], data[2][96];

/* ---- a lake whose log's objects can be out of sight ---- */

static int shown = -1; /* so many more gets find what is there; -1: all */
static rc_t then = RC_NOT_FOUND; /* … and then */

static void bent_free(void *self) { store_free(self); }
static rc_t bent_get(void *self, const char *key, struct buf *ret, struct err *e)
{
	if (shown == 0)
		return err_set(e, then, "%s is not there", key);
	shown -= shown > 0;
	return store_get(self, key, ret, e);
}
static rc_t bent_put(void *self, const char *key, struct slice content, enum store_put_mode mode, struct err *e)
{
	return store_put(self, key, content, mode, e);
}
static rc_t bent_delete(void *self, const char *key, struct err *e) { return store_delete(self, key, e); }
static rc_t bent_list(void *self, const char *folder, bool recursive, store_each each, void *ctx, struct err *e)
{
	return recursive ? store_list(self, folder, each, ctx, e) : store_list_folder(self, folder, each, ctx, e);
}
static int64_t bent_now(void *self) { return store_now(self); }

static const struct store_ops bent_ops = { .scheme = "file", .free = bent_free, .get = bent_get, .put = bent_put, .delete = bent_delete,
					   .list = bent_list, .now = bent_now };

/* ---- a server that is gone, and another ---- */

static char *object(unsigned number)
{
	return mem_printf("%s/" ACK_FOLDER "/%s/%020u", dead.dir, id, number);
}

static bool is_there(unsigned number)
{
	AUTO_MEM char *path = object(number);
	return access(path, F_OK) == 0;
}

/* Object 1 is the segment's header, 2 to 4 hold an event each, 5 the log's end. */
static void begin(void)
{
	fixture_init(&dead);
	fixture_init(&heir);
	snprintf(data[0], sizeof data[0], "%s/_dead", dead.dir);
	snprintf(data[1], sizeof data[1], "%s/_heir", dead.dir);
	dead.opts.data_dir = data[0];
	heir.opts.data_dir = data[1];
	heir.opts.lake = dead.dir;
	dead.opts.ack_store = heir.opts.ack_store = true;
	heir.opts.adopt_after_us = 2000;
	CHECK_OK(pipeline_open(&dead.opts, &dead.p, &err), err);
	snprintf(id, sizeof id, "%s", wal_id(pipeline_wal(dead.p)));
	for (int n = 0; n < 3; n++) {
		char body[32];
		snprintf(body, sizeof body, "{\"n\":%d}\n", n);
		CHECK_OK(post(&dead, "x", body, &err), err);
	}
	pipeline_close(dead.p);
	dead.p = NULL;
	CHECK(is_there(1) && is_there(5) && !is_there(6));
	CHECK_OK(pipeline_open(&heir.opts, &heir.p, &err), err);
	heir.p->ack.store = store_new(&bent_ops, heir.p->ack.store, store_url(heir.p->ack.store));
}

static void end(void)
{
	shown = -1;
	fixture_free(&heir);
	fixture_free(&dead);
}

/* Two looks, so that its silence has been seen. */
static void look(int gets)
{
	adopt_look(heir.p);
	clock_sleep_us(5000);
	shown = gets;
	adopt_look(heir.p);
	shown = -1;
}

static long rows(void)
{
	uint64_t n = 0;
	return count_view(&heir, "x", &n, &err) == RC_OK ? (long)n : -1;
}

TEST(adopt_takes_over_what_was_acked)
{
	begin();
	look(-1);
	CHECK_INT(rows(), 3);
	CHECK(!is_there(1) && !is_there(5));
	CHECK_INT(heir.p->ack.failures, 0);
	end();
}

TEST(adopt_does_not_take_objects_out_of_sight_for_never_acked)
{
	for (int gets = 0; gets < 9; gets++) { /* the lake shows nothing from this get on */
		begin();
		look(gets);
		bool done = heir.p->ack.logs == 1;
		CHECK(done || (is_there(2) && is_there(3) && is_there(4)));
		look(-1);
		CHECK_INT(rows(), 3);
		CHECK_INT(heir.p->ack.logs, 1);
		end();
	}
}

TEST(adopt_that_meets_the_end_of_a_file_is_a_failure_that_is_told)
{
	begin();
	then = RC_EOF;
	look(3);
	then = RC_NOT_FOUND;
	CHECK_INT(heir.p->ack.failures, 1);
	look(-1);
	CHECK_INT(rows(), 3);
	end();
}

static void flip_a_bit(unsigned number)
{
	AUTO_MEM char *path = object(number);
	uint8_t byte = 0;
	int fd = -1;
	CHECK_OK(file_open(path, FILE_WRITE, &fd, &err), err);
	CHECK_OK(file_pread(fd, path, &byte, 1, WAL_OBJECT_HEAD, NULL, &err), err);
	byte ^= 1;
	CHECK_OK(file_pwrite(fd, path, &byte, 1, WAL_OBJECT_HEAD, &err), err);
	file_close(fd);
}

TEST(adopt_does_not_take_an_object_that_is_lost_for_never_acked_where_those_behind_it_are_damaged)
{
	begin();
	AUTO_MEM char *lost = object(3);
	CHECK_OK(file_remove(lost, &err), err);
	flip_a_bit(4);
	flip_a_bit(5);
	look(-1);
	CHECK_INT(heir.p->ack.failures, 1);
	CHECK_INT(heir.p->ack.logs, 0);
	CHECK(is_there(2) && is_there(4));
	CHECK_INT(rows(), 0);
	end();
}

/* Flips a bit of the log's last object. */
static void damage_last(const char *log)
{
	unsigned number = 0;
	snprintf(id, sizeof id, "%.8s", log);
	for (unsigned n = 1; n < 100; n++)
		number = is_there(n) ? n : number;
	flip_a_bit(number);
}

/* A server's log, an event in it, whose end in the lake is damaged afterwards; the next start begins another. */
static void live_and_lose(int n, char ret_id[WAL_ID_LEN + 1])
{
	char body[32];
	snprintf(body, sizeof body, "{\"n\":%d}\n", n);
	if (!dead.p)
		CHECK_OK(pipeline_open(&dead.opts, &dead.p, &err), err);
	CHECK_OK(post(&dead, "x", body, &err), err);
	snprintf(ret_id, WAL_ID_LEN + 1, "%s", wal_id(pipeline_wal(dead.p)));
	pipeline_close(dead.p);
	dead.p = NULL;
	damage_last(ret_id);
	CHECK_OK(pipeline_open(&dead.opts, &dead.p, &err), err);
	CHECK(strcmp(wal_id(pipeline_wal(dead.p)), ret_id) != 0);
}

static bool kept_as(const char *format, const char *log)
{
	AUTO_MEM char *name = mem_printf(format, log), *path = mem_printf("%s/%s", data[0], name);
	return access(path, F_OK) == 0;
}

TEST(adopt_of_a_log_that_is_damaged_in_the_lake_may_need_the_copy_on_the_disk)
{
	char ids[3][WAL_ID_LEN + 1];
	uint64_t n = 0;
	fixture_init(&dead);
	snprintf(data[0], sizeof data[0], "%s/_dead", dead.dir);
	dead.opts.data_dir = data[0];
	dead.opts.ack_store = true;
	dead.opts.adopt_after_us = 2000;
	live_and_lose(0, ids[0]);
	CHECK(kept_as("log.lost", "") && !kept_as("log.lost-%s", ids[0]));
	live_and_lose(1, ids[1]);
	CHECK(kept_as("log.lost", "") && kept_as("log.lost-%s", ids[0]));
	for (int i = 0; i < 2; i++)
		damage_last(ids[i]); /* flipped back: it was put back from there */
	for (int i = 0; i < 4; i++, clock_sleep_us(5000))
		adopt_look(dead.p);
	CHECK_INT(dead.p->ack.logs, 2);
	CHECK_OK(count_view(&dead, "x", &n, &err), err);
	CHECK_INT(n, 2);
	live_and_lose(2, ids[2]); /* what was taken over is not kept */
	CHECK(kept_as("log.lost", "") && !kept_as("log.lost-%s", ids[1]));
	fixture_free(&dead);
}

TEST_MAIN()
