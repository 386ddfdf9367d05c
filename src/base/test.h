/* The unit-test harness: tests sit beside the unit in *_test.c, named after the law they hold.
 *
 *   #include "base/test.h"
 *   TEST(wal_torn_tail_is_reported) { CHECK(x == y); CHECK_OK(f(…, &err), err); CHECK_STR(got, "want"); }
 *   TEST_MAIN()
 *
 * One line a test on stdout (`ok NAME` / `not ok NAME: file:line …`), a closing `N passed, M failed`, exit 1 on a failure.
 * argv[1], if given, selects the tests whose name contains it.
 */
#ifndef BASE_TEST_H
#define BASE_TEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/slice.h"

struct test_case {
	const char *name;
	void (*run)(void);
	int line;
	struct test_case *next;
};

static struct test_case *test_first_;
static int test_failures_;        /* of the running test */
static const char *test_skipped_; /* reason, if the running test was skipped */

/* In the order of the file: constructors run in any order under LTO. */
static inline void test_register_(struct test_case *t)
{
	struct test_case **at = &test_first_;
	while (*at && (*at)->line < t->line)
		at = &(*at)->next;
	t->next = *at;
	*at = t;
}

#define TEST(test_name)                                                                         \
	static void test_name(void);                                                            \
	static struct test_case test_name##_case_ = { #test_name, test_name, __LINE__, NULL };  \
	__attribute__((constructor)) static void test_name##_register_(void)                    \
	{                                                                                       \
		test_register_(&test_name##_case_);                                             \
	}                                                                                       \
	static void test_name(void)

#define TEST_FAIL_(...)                                                \
	do {                                                           \
		test_failures_++;                                      \
		fprintf(stderr, "  %s:%d: ", __FILE__, __LINE__);      \
		fprintf(stderr, __VA_ARGS__);                          \
		fputc('\n', stderr);                                   \
		return;                                                \
	} while (0)

#define CHECK(cond)                             \
	do {                                    \
		if (!(cond))                    \
			TEST_FAIL_("%s", #cond); \
	} while (0)
#define CHECK_OK(call, err_var)                                                        \
	do {                                                                           \
		rc_t check_rc_ = (call);                                               \
		if (check_rc_ != RC_OK)                                                \
			TEST_FAIL_("%s: %s: %s", #call, rc_name(check_rc_), (err_var).text); \
	} while (0)
#define CHECK_RC(call, want)                                                                        \
	do {                                                                                        \
		rc_t check_rc_ = (call);                                                            \
		if (check_rc_ != (want))                                                            \
			TEST_FAIL_("%s: %s, want %s", #call, rc_name(check_rc_), rc_name(want));    \
	} while (0)
#define CHECK_INT(got, want)                                                                     \
	do {                                                                                     \
		long long check_got_ = (long long)(got), check_want_ = (long long)(want);        \
		if (check_got_ != check_want_)                                                   \
			TEST_FAIL_("%s is %lld, want %lld", #got, check_got_, check_want_);      \
	} while (0)
#define CHECK_STR(got, want)                                                       \
	do {                                                                       \
		const char *check_got_ = (got), *check_want_ = (want);             \
		if (strcmp(check_got_, check_want_) != 0)                          \
			TEST_FAIL_("%s is '%s', want '%s'", #got, check_got_, check_want_); \
	} while (0)
#define CHECK_SLICE(got, want_slice)                                                                               \
	do {                                                                                                       \
		struct slice check_got_ = (got), check_want_ = (want_slice);                                       \
		if (!slice_eq(check_got_, check_want_))                                                            \
			TEST_FAIL_("%s is '%.*s', want '%.*s'", #got, SLICE_ARG(check_got_), SLICE_ARG(check_want_)); \
	} while (0)
#define SKIP(reason)                    \
	do {                            \
		test_skipped_ = reason; \
		return;                 \
	} while (0)

static inline int test_run_all_(int argc, char **argv)
{
	int passed = 0, failed = 0, skipped = 0;
	for (struct test_case *t = test_first_; t; t = t->next) {
		if (argc > 1 && !strstr(t->name, argv[1]))
			continue;
		test_failures_ = 0;
		test_skipped_ = NULL;
		t->run();
		if (test_failures_) {
			printf("not ok %s\n", t->name);
			failed++;
		} else if (test_skipped_) {
			printf("skip %s: %s\n", t->name, test_skipped_);
			skipped++;
		} else {
			printf("ok %s\n", t->name);
			passed++;
		}
		fflush(stdout);
	}
	printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
	return failed ? 1 : 0;
}

#define TEST_MAIN()                              \
	int main(int argc, char **argv)          \
	{                                        \
		return test_run_all_(argc, argv); \
	}

#endif
