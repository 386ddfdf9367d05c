#include "store/store.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/test.h"

static char folder[64];
static struct store *lake;
static struct err err;

/* HYDRANT_TEST_S3=s3://bucket/prefix: the laws that any store keeps are asked of that bucket, with the environment's credentials. */
static const char *bucket_url;

static bool setup(void)
{
	bucket_url = getenv("HYDRANT_TEST_S3");
	snprintf(folder, sizeof folder, "/tmp/store-test-XXXXXX");
	if (!mkdtemp(folder))
		return false;
	AUTO_MEM char *url = bucket_url ? mem_printf("%s%s", bucket_url, folder) : mem_strdup(folder);
	AUTO_MEM char *cache = mem_printf("%s/cache", folder);
	struct store_options opts = { .temp_dir = folder, .cache_dir = cache };
	rc_t rc = store_open(url, &opts, &lake, &err);
	if (rc != RC_OK)
		fprintf(stderr, "%s\n", err.text);
	return rc == RC_OK;
}

static rc_t delete_one(void *ctx, const struct store_entry *e, struct err *reterr)
{
	return store_delete(ctx, e->key, reterr);
}

static void teardown(void)
{
	AUTO_MEM char *command = mem_printf("/bin/rm -rf %s", folder);
	if (bucket_url) {
		struct store *all;
		if (store_open(bucket_url, NULL, &all, NULL) == RC_OK) {
			store_list(all, folder + 1, delete_one, all, NULL);
			store_free(all);
		}
	}
	store_free(lake);
	pid_t pid = fork();
	if (pid == 0)
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	waitpid(pid, NULL, 0);
}

static bool holds(const char *key, const char *want)
{
	AUTO_BUF struct buf b;
	buf_init(&b, 1 << 20);
	return store_get(lake, key, &b, &err) == RC_OK && slice_eq_str(buf_slice(&b), want);
}

TEST(store_put_is_read_back)
{
	CHECK(setup());
	CHECK_OK(store_put(lake, "a/b/c.txt", SLICE_LIT("hello"), STORE_CREATE, &err), err);
	CHECK(holds("a/b/c.txt", "hello"));
	uint64_t size;
	int64_t mtime;
	CHECK_OK(store_size(lake, "a/b/c.txt", &size, &mtime, &err), err);
	CHECK_INT(size, 5);
	CHECK(mtime > store_now(lake) - 60000000 && mtime <= store_now(lake) + 1000000);
	char out[4] = { 0 };
	CHECK_OK(store_read(lake, "a/b/c.txt", 1, 3, out, &err), err);
	CHECK_STR(out, "ell");
	CHECK_RC(store_read(lake, "a/b/c.txt", 3, 3, out, &err), RC_EOF);
	CHECK_OK(store_put(lake, "empty", SLICE_LIT(""), STORE_CREATE, &err), err);
	CHECK(holds("empty", ""));
	teardown();
}

TEST(store_create_refuses_a_taken_key_and_replace_does_not)
{
	CHECK(setup());
	CHECK_OK(store_put(lake, "k", SLICE_LIT("1"), STORE_CREATE, &err), err);
	CHECK_RC(store_put(lake, "k", SLICE_LIT("2"), STORE_CREATE, &err), RC_CONFLICT);
	CHECK(holds("k", "1"));
	CHECK_OK(store_put(lake, "k", SLICE_LIT("3"), STORE_REPLACE, &err), err);
	CHECK(holds("k", "3"));
	CHECK_OK(store_put(lake, "new", SLICE_LIT("4"), STORE_REPLACE, &err), err);
	CHECK(holds("new", "4"));
	teardown();
}

TEST(store_absent_is_not_found_whatever_stands_in_the_way)
{
	CHECK(setup());
	AUTO_BUF struct buf b;
	buf_init(&b, 100);
	CHECK_OK(store_put(lake, "file", SLICE_LIT("x"), STORE_CREATE, &err), err);
	CHECK_OK(store_put(lake, "dir/x", SLICE_LIT("x"), STORE_CREATE, &err), err);
	const char *keys[] = { "no", "no/such", "file/below", "dir" };
	for (size_t i = 0; i < 4; i++) {
		CHECK_RC(store_get(lake, keys[i], &b, &err), RC_NOT_FOUND);
		CHECK_RC(store_size(lake, keys[i], NULL, NULL, &err), RC_NOT_FOUND);
		CHECK_RC(store_read(lake, keys[i], 0, 1, folder, &err), RC_NOT_FOUND);
	}
	CHECK_OK(store_delete(lake, "no/such", &err), err);
	CHECK_OK(store_delete(lake, "file/below", &err), err);
	CHECK_OK(store_delete(lake, "file", &err), err);
	CHECK_RC(store_get(lake, "file", &b, &err), RC_NOT_FOUND);
	teardown();
}

TEST(store_get_is_bounded_and_leaves_the_buffer)
{
	CHECK(setup());
	AUTO_BUF struct buf b;
	buf_init(&b, 4);
	buf_append_str(&b, "ab");
	CHECK_OK(store_put(lake, "k", SLICE_LIT("hello"), STORE_CREATE, &err), err);
	CHECK_RC(store_get(lake, "k", &b, &err), RC_LIMIT);
	CHECK_SLICE(buf_slice(&b), SLICE_LIT("ab"));
	teardown();
}

TEST(store_keys_never_leave_the_lake)
{
	CHECK(setup());
	char long_part[300], long_key[1100];
	memset(long_part, 'x', sizeof long_part);
	long_part[sizeof long_part - 1] = 0;
	for (size_t i = 0; i < sizeof long_key; i++)
		long_key[i] = i % 100 == 99 ? '/' : 'y';
	long_key[sizeof long_key - 1] = 0;
	const char *bad[] = { "", "/", "/etc/passwd", "..", "../x", "a/../b", "a/..", ".", "a/./b", "a//b", "a/", "a\nb", "a\x7f", long_part, long_key };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		CHECK_RC(store_put(lake, bad[i], SLICE_LIT("x"), STORE_REPLACE, &err), RC_INVALID);
		CHECK_RC(store_delete(lake, bad[i], &err), RC_INVALID);
		char *bad_key[] = { (char *)bad[i] }, *other[] = { "ff/x" };
		CHECK_RC(store_delete_keys(lake, bad[i], NULL, 0, &err), RC_INVALID);
		CHECK_RC(store_delete_keys(lake, "f", bad_key, 1, &err), RC_INVALID);
		CHECK_RC(store_delete_keys(lake, "f", other, 1, &err), RC_INVALID);
		CHECK(store_local_path(lake, bad[i]) == NULL);
	}
	const char *good[] = { "...", "..a", "a..", ".hidden/x", "a b", "ü/ö" };
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		CHECK_OK(store_put(lake, good[i], SLICE_LIT("x"), STORE_CREATE, &err), err);
	teardown();
}

TEST(store_put_file_moves_without_a_copy)
{
	if (getenv("HYDRANT_TEST_S3"))
		SKIP("a law of folders");
	CHECK(setup());
	AUTO_MEM char *temp = NULL;
	CHECK_OK(store_temp_path(lake, "t/data/x.parquet", &temp, &err), err);
	FILE *f = fopen(temp, "w");
	CHECK(f);
	fputs("parquet", f);
	fclose(f);
	struct stat a, b;
	CHECK(stat(temp, &a) == 0);
	CHECK_OK(store_put_file(lake, "t/data/x.parquet", temp, STORE_CREATE, &err), err);
	AUTO_MEM char *path = store_local_path(lake, "t/data/x.parquet");
	CHECK(stat(path, &b) == 0 && a.st_ino == b.st_ino && b.st_nlink == 1);
	CHECK(access(temp, F_OK) != 0);
	f = fopen(temp, "w");
	fputs("other", f);
	fclose(f);
	CHECK_RC(store_put_file(lake, "t/data/x.parquet", temp, STORE_CREATE, &err), RC_CONFLICT);
	CHECK(access(temp, F_OK) == 0);
	CHECK(holds("t/data/x.parquet", "parquet"));
	CHECK_OK(store_put_file(lake, "t/data/x.parquet", temp, STORE_REPLACE, &err), err);
	CHECK(holds("t/data/x.parquet", "other"));
	teardown();
}

TEST(store_put_file_copies_across_file_systems)
{
	if (getenv("HYDRANT_TEST_S3"))
		SKIP("a law of folders");
	struct stat shm, tmp;
	if (stat("/dev/shm", &shm) != 0 || stat("/tmp", &tmp) != 0 || shm.st_dev == tmp.st_dev)
		SKIP("no second file system here");
	CHECK(setup());
	AUTO_MEM char *from = mem_printf("/dev/shm/store-test-%d", (int)getpid());
	FILE *f = fopen(from, "w");
	CHECK(f);
	for (int i = 0; i < 100000; i++)
		fputs("0123456789", f);
	fclose(f);
	CHECK_OK(store_put_file(lake, "big", from, STORE_CREATE, &err), err);
	uint64_t size;
	CHECK_OK(store_size(lake, "big", &size, NULL, &err), err);
	CHECK_INT(size, 1000000);
	CHECK(access(from, F_OK) != 0);
	teardown();
}

static rc_t count_entry(void *ctx, const struct store_entry *e, struct err *reterr)
{
	int *n = ctx;
	n[e->is_folder]++;
	if (!strcmp(e->key, "stop"))
		return err_set(reterr, RC_CANCELLED, "stopped");
	return RC_OK;
}

TEST(store_list_sees_all_below_or_one_level)
{
	CHECK(setup());
	const char *keys[] = { "a", "f/a", "f/b", "f/g/c", "f/g/h/d", "ff/x" };
	for (size_t i = 0; i < 6; i++)
		CHECK_OK(store_put(lake, keys[i], SLICE_LIT("x"), STORE_CREATE, &err), err);
	int n[2] = { 0 };
	CHECK_OK(store_list(lake, "f", count_entry, n, &err), err);
	CHECK_INT(n[0], 4);
	n[0] = 0;
	CHECK_OK(store_list_folder(lake, "f", count_entry, n, &err), err);
	CHECK_INT(n[0], 2);
	CHECK_INT(n[1], 1);
	n[0] = n[1] = 0;
	CHECK_OK(store_list(lake, "", count_entry, n, &err), err);
	CHECK_INT(n[0], 6);
	n[0] = n[1] = 0;
	CHECK_OK(store_list(lake, "absent/folder", count_entry, n, &err), err);
	CHECK_INT(n[0] + n[1], 0);
	CHECK_OK(store_put(lake, "stop", SLICE_LIT("x"), STORE_CREATE, &err), err);
	CHECK_RC(store_list(lake, "", count_entry, n, &err), RC_CANCELLED);
	char *some[4];
	size_t count = 0;
	for (size_t i = 0; i < 6; i++)
		if (!strncmp(keys[i], "f/", 2))
			some[count++] = (char *)keys[i];
	CHECK_INT(count, 4);
	CHECK_OK(store_delete_keys(lake, "f", some, 3, &err), err);
	CHECK(holds(some[3], "x"));
	CHECK_OK(store_delete_keys(lake, "f", some, 4, &err), err);
	CHECK_OK(store_delete_keys(lake, "f", some, 4, &err), err);
	CHECK(holds("ff/x", "x"));
	AUTO_MEM char *path = store_local_path(lake, "f");
	CHECK(!path || access(path, F_OK) != 0);
	teardown();
}

TEST(store_sweep_takes_only_old_temporary_files)
{
	CHECK(setup());
	AUTO_MEM char *temp = NULL;
	CHECK_OK(store_temp_path(lake, "x", &temp, &err), err);
	FILE *f = fopen(temp, "w");
	CHECK(f);
	fclose(f);
	CHECK_OK(store_sweep_temp(lake, 3600000000, &err), err);
	CHECK(access(temp, F_OK) == 0);
	CHECK_OK(store_sweep_temp(lake, -1000000, &err), err);
	CHECK(access(temp, F_OK) != 0);
	teardown();
}

TEST(store_urls_are_folders_files_or_refused_by_name)
{
	if (getenv("HYDRANT_TEST_S3"))
		SKIP("a law of folders");
	CHECK(setup());
	struct store *s = NULL;
	AUTO_MEM char *url = mem_printf("file://%s/not%%20yet/", folder);
	AUTO_MEM char *want = mem_printf("file://%s/not yet", folder);
	CHECK_OK(store_open(url, NULL, &s, &err), err);
	CHECK_STR(store_url(s), want);
	store_free(s);
	AUTO_MEM char *plain = mem_printf("%s/x//./y/", folder);
	AUTO_MEM char *want2 = mem_printf("file://%s/x/y", folder);
	CHECK_OK(store_open(plain, NULL, &s, &err), err);
	CHECK_STR(store_url(s), want2);
	CHECK_OK(store_put(s, "k", SLICE_LIT("x"), STORE_CREATE, &err), err);
	store_free(s);
	s = NULL;
	CHECK(holds("x/y/k", "x"));
	CHECK_RC(store_open("s3://b/p", NULL, &s, &err), RC_INVALID);
	CHECK_RC(store_open("s3:///p", NULL, &s, &err), RC_INVALID);
	CHECK_RC(store_open("s3://bucket/a/../b", NULL, &s, &err), RC_INVALID);
	CHECK_RC(store_open("gs://b/p", NULL, &s, &err), RC_INVALID);
	CHECK_RC(store_open("file://host/p", NULL, &s, &err), RC_INVALID);
	CHECK_RC(store_open("file:///a%zz", NULL, &s, &err), RC_INVALID);
	CHECK_RC(store_open("", NULL, &s, &err), RC_INVALID);
	CHECK_RC(store_open("/", NULL, &s, &err), RC_INVALID);
	AUTO_MEM char *file = mem_printf("%s/x/y/k", folder);
	CHECK_RC(store_open(file, NULL, &s, &err), RC_INVALID);
	AUTO_MEM char *below = mem_printf("%s/x/y/k/z", folder);
	CHECK_RC(store_open(below, NULL, &s, &err), RC_INVALID);
	CHECK(s == NULL);
	teardown();
}

TEST(store_create_has_one_winner_among_processes)
{
	CHECK(setup());
	enum { ROUNDS = 30, WRITERS = 4 };
	pid_t pids[WRITERS];
	int gate[2];
	CHECK(pipe(gate) == 0);
	for (int w = 0; w < WRITERS; w++) {
		pids[w] = fork();
		if (pids[w])
			continue;
		char go;
		close(gate[1]);
		(void)!read(gate[0], &go, 1);
		int wins = 0;
		for (int i = 0; i < ROUNDS; i++) {
			char key[32], mine[32]; /* each its own bytes: by them a winner who did not hear it knows */
			snprintf(key, sizeof key, "race/%d", i);
			snprintf(mine, sizeof mine, "%d of writer %d", i, w);
			wins += store_put(lake, key, slice_str(mine), STORE_CREATE, NULL) == RC_OK;
		}
		_exit(wins);
	}
	close(gate[0]);
	close(gate[1]);
	int total = 0;
	for (int w = 0; w < WRITERS; w++) {
		int status;
		waitpid(pids[w], &status, 0);
		total += WEXITSTATUS(status);
	}
	CHECK_INT(total, ROUNDS);
	teardown();
}

TEST_MAIN()
