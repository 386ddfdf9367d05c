/* Laws of a spool: its writer does not wait for a reader at rest, who gets every byte all the same; what waits has a bound; a reader who goes is told of. */
#include "app/spool.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/test.h"
#include "os/clock.h"

enum { MANY = 3 * 1000 * 1000 };

static uint8_t byte_at(size_t i)
{
	return (uint8_t)(i * 31 + i / 251);
}

struct writing {
	struct spool *spool;
	size_t written; /* atomic */
	rc_t rc;
	bool done;      /* atomic */
};

static void *write_many(void *arg)
{
	struct writing *w = arg;
	uint8_t piece[7777];
	for (size_t at = 0, n; at < MANY && w->rc == RC_OK; at += n) {
		n = MANY - at < sizeof piece ? MANY - at : sizeof piece;
		for (size_t i = 0; i < n; i++)
			piece[i] = byte_at(at + i);
		w->rc = spool_write(w->spool, slice_of(piece, n), NULL);
		__atomic_store_n(&w->written, at + n, __ATOMIC_SEQ_CST);
	}
	__atomic_store_n(&w->done, true, __ATOMIC_SEQ_CST);
	return NULL;
}

static bool is_done(struct writing *w, int64_t within_us)
{
	int64_t until = clock_mono_us() + within_us;
	while (!__atomic_load_n(&w->done, __ATOMIC_SEQ_CST) && clock_mono_us() < until)
		clock_sleep_us(1000);
	return __atomic_load_n(&w->done, __ATOMIC_SEQ_CST);
}

static void *close_spool(void *arg)
{
	struct writing *w = arg;
	pthread_t t;
	pthread_create(&t, NULL, write_many, w);
	pthread_join(t, NULL);
	rc_t rc = spool_close(w->spool, NULL);
	w->rc = w->rc == RC_OK ? rc : w->rc;
	return NULL;
}

/* Reads to the end; how many bytes were as they should be before one was not. */
static size_t read_many(int fd)
{
	uint8_t piece[5000];
	size_t got = 0;
	for (ssize_t n; (n = read(fd, piece, sizeof piece)) > 0;)
		for (ssize_t i = 0; i < n; i++)
			if (piece[i] == byte_at(got))
				got++;
	return got;
}

static void *read_and_count(void *arg)
{
	int64_t *fd = arg;
	*fd = (int64_t)read_many((int)*fd);
	return NULL;
}

/* Both ends at work; what the reader gets when he begins after the rest. */
static void through(uint64_t max, int64_t rest_us, bool *ret_done_before, size_t *ret_got, rc_t *ret_rc)
{
	int fds[2];
	struct writing w = { .rc = RC_OK };
	pthread_t closer, reader;
	CHECK(pipe(fds) == 0);
	CHECK(spool_open(fds[1], max, &w.spool, NULL) == RC_OK);
	pthread_create(&closer, NULL, close_spool, &w);
	*ret_done_before = is_done(&w, rest_us);
	int64_t read_end = fds[0];
	pthread_create(&reader, NULL, read_and_count, &read_end);
	pthread_join(closer, NULL);
	close(fds[1]);
	pthread_join(reader, NULL);
	close(fds[0]);
	*ret_got = (size_t)read_end;
	*ret_rc = w.rc;
}

TEST(spool_takes_all_while_nobody_reads_and_gives_it_later)
{
	bool before;
	size_t got;
	rc_t rc;
	through(MANY, 10000000, &before, &got, &rc);
	CHECK(before);
	CHECK_INT(got, MANY);
	CHECK_INT(rc, RC_OK);
}

TEST(spool_that_is_full_waits_and_loses_nothing)
{
	bool before = true;
	size_t got;
	rc_t rc;
	through(100000, 300000, &before, &got, &rc);
	CHECK(!before);
	CHECK_INT(got, MANY);
	CHECK_INT(rc, RC_OK);
}

TEST(spool_says_that_nobody_reads_any_more)
{
	int fds[2];
	struct writing w = { .rc = RC_OK };
	signal(SIGPIPE, SIG_IGN);
	CHECK(pipe(fds) == 0);
	CHECK(spool_open(fds[1], 100000, &w.spool, NULL) == RC_OK);
	close(fds[0]);
	pthread_t t;
	pthread_create(&t, NULL, close_spool, &w);
	pthread_join(t, NULL);
	CHECK_INT(w.rc, RC_CANCELLED);
	CHECK(w.written < MANY);
	close(fds[1]);
}

TEST_MAIN()
