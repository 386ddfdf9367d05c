#include <stdlib.h>
#include <unistd.h>

#include "base/test.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/heap.h"
#include "os/random.h"
#include "os/secret.h"

static char *scratch(void)
{
	static char dir[64];
	snprintf(dir, sizeof dir, "/tmp/hydrant-os-test-XXXXXX");
	return mkdtemp(dir);
}

TEST(create_atomic_never_overwrites)
{
	struct err err;
	char *dir = scratch();
	AUTO_MEM char *path = mem_printf("%s/a", dir);
	CHECK_OK(file_create_atomic(path, SLICE_LIT("one"), &err), err);
	CHECK_RC(file_create_atomic(path, SLICE_LIT("two"), &err), RC_CONFLICT);
	AUTO_BUF struct buf b;
	buf_init(&b, 100);
	CHECK_OK(file_read_all(path, &b, &err), err);
	CHECK_SLICE(buf_slice(&b), SLICE_LIT("one"));
	CHECK_OK(file_replace_atomic(path, SLICE_LIT("three"), &err), err);
	buf_reset(&b);
	CHECK_OK(file_read_all(path, &b, &err), err);
	CHECK_SLICE(buf_slice(&b), SLICE_LIT("three"));
	CHECK_OK(dir_remove_tree(dir, &err), err);
}

TEST(reading_past_a_limit_is_refused)
{
	struct err err;
	char *dir = scratch();
	AUTO_MEM char *path = mem_printf("%s/a", dir);
	CHECK_OK(file_create_atomic(path, SLICE_LIT("0123456789"), &err), err);
	AUTO_BUF struct buf b;
	buf_init(&b, 9);
	CHECK_RC(file_read_all(path, &b, &err), RC_LIMIT);
	CHECK_OK(dir_remove_tree(dir, &err), err);
}

TEST(a_second_lock_names_the_holder)
{
	struct err err;
	char *dir = scratch();
	AUTO_MEM char *path = mem_printf("%s/lock", dir);
	int fd = -1, other = -1;
	CHECK_OK(file_lock(path, &fd, &err), err);
	CHECK_OK(file_pwrite(fd, path, "pid 7", 5, 0, &err), err);
	CHECK_RC(file_lock(path, &other, &err), RC_CONFLICT);
	CHECK(strstr(err.text, "pid 7"));
	file_close(fd);
	CHECK_OK(file_lock(path, &other, &err), err);
	file_close(other);
	CHECK_OK(dir_remove_tree(dir, &err), err);
}

TEST(folders_are_made_with_their_parents_and_removed_whole)
{
	struct err err;
	char *dir = scratch();
	AUTO_MEM char *deep = mem_printf("%s/a/b/c", dir);
	CHECK_OK(dir_make(deep, &err), err);
	CHECK_OK(dir_make(deep, &err), err);
	CHECK_OK(dir_remove_tree(dir, &err), err);
	CHECK_RC(file_stat(dir, NULL, NULL, NULL, &err), RC_NOT_FOUND);
}

TEST(dates_round_trip_over_many_years)
{
	for (int64_t day = -800000; day < 3000000; day += 13) {
		int y, m, d;
		date_from_days(day, &y, &m, &d);
		CHECK_INT(date_to_days(y, m, d), day);
	}
	int y, m, d;
	date_from_days(0, &y, &m, &d);
	CHECK(y == 1970 && m == 1 && d == 1);
}

TEST(times_are_read_in_the_forms_a_person_types)
{
	int64_t us;
	char out[32];
	CHECK(time_parse("2026-11-22T10:00:00.25+02:00", &us) == 0);
	time_format(us, out);
	CHECK_STR(out, "2026-11-22T08:00:00.250000Z");
	CHECK(time_parse("2026-11-22", &us) == 0 && us == date_to_days(2026, 11, 22) * 86400000000);
	CHECK(time_parse("2026-11-22 10:00Z", &us) == 0);
	CHECK(time_parse("1700000000", &us) == 0 && us == 1700000000000000);
	CHECK(time_parse("1700000000123", &us) == 0 && us == 1700000000123000);
	CHECK(time_parse("-2h", &us) == 0 && us < clock_wall_us() - 7199000000);
	CHECK(time_parse("yesterday", &us) != 0);
	CHECK(time_parse("2026-13-01", &us) != 0);
	CHECK(time_parse("2026-11-22T10:00:00x", &us) != 0);
}

TEST(uuids_have_their_form)
{
	char u[37];
	random_uuid(u);
	CHECK_INT(strlen(u), 36);
	CHECK(u[14] == '4' && u[8] == '-');
}

/* Has the mapping that holds p this flag? */
static bool flagged(const void *p, const char *flag)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	char line[512];
	bool here = false, found = false;
	while (f && fgets(line, sizeof line, f)) {
		unsigned long from, to;
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			here = (uintptr_t)p >= from && (uintptr_t)p < to;
		else if (here && !strncmp(line, "VmFlags:", 8))
			found = strstr(line, flag) != NULL;
	}
	if (f)
		fclose(f);
	return found;
}

/* Is it marked to be left out of dumps? */
static bool left_out(const void *p)
{
	return flagged(p, " dd");
}

TEST(secret_is_left_out_of_dumps_and_its_memory_comes_back_wiped)
{
	CHECK(secret_copy(NULL) == NULL && secret_copy("") == NULL);
	secret_free(NULL);
	char *s = secret_copy("open sesame"), *large = secret_alloc(10000);
	CHECK_STR(s, "open sesame");
	CHECK(left_out(s) && left_out(large) && !left_out(&s));
	memset(large, 'x', 10000);
	CHECK(large[10000] == 0);
	secret_free(s);
	secret_free(large);
	char *again = secret_alloc(11);
	for (int i = 0; i < 12; i++)
		CHECK_INT(again[i], 0);
	secret_free(again);
}

TEST(secret_environment_is_the_same_elsewhere)
{
	setenv("HYDRANT_SESAME", "open=1", 1);
	char *was = getenv("HYDRANT_SESAME"), *path = mem_strdup(getenv("PATH") ? getenv("PATH") : "");
	secret_environment();
	CHECK_STR(getenv("HYDRANT_SESAME"), "open=1");
	CHECK_STR(getenv("PATH") ? getenv("PATH") : "", path);
	CHECK(getenv("HYDRANT_SESAME") != was && left_out(getenv("HYDRANT_SESAME")));
	CHECK_STR(was, ""); /* wiped */
	setenv("HYDRANT_SESAME", "2", 1);
	CHECK_STR(getenv("HYDRANT_SESAME"), "2");
	free(path);
}

TEST(what_is_allocated_next_may_lie_in_large_pages)
{
	heap_large_pages((size_t)16 << 20);
	AUTO_MEM uint8_t *first = mem_alloc(1);
	bool may = access("/sys/kernel/mm/transparent_hugepage/enabled", R_OK) == 0 && first < (uint8_t *)sbrk(0); /* sanitizers have a malloc of their own */
	uint8_t *block[100];
	for (int i = 0; i < 100; i++)
		memset(block[i] = mem_alloc(100000), i, 100000);
	CHECK(!may || (flagged(block[50], " hg") && flagged(block[99] + 99999, " hg")));
	for (int i = 0; i < 100; i++) {
		CHECK(block[i][0] == i && block[i][99999] == i);
		free(block[i]);
	}
}

TEST_MAIN()
