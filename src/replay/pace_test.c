/* Laws of a paced replay: an event that was written is with its reader before the next is waited for, and none comes early. */
#include "replay/pace.h"

#include <pthread.h>

#include "base/test.h"
#include "os/clock.h"
#include "replay/replay.h"

static rc_t collect(void *ctx, struct slice bytes, struct err *reterr)
{
	(void)reterr;
	buf_append_slice(ctx, bytes);
	return RC_OK;
}

static const struct sink_event x = { .payload = { (const uint8_t *)"x", 1 } };

struct paced {
	struct buf got;
	struct sink *sink;
	bool cancel;
	struct err err;
};

static void paced_begin(struct paced *p)
{
	*p = (struct paced){ 0 };
	buf_init(&p->got, 1 << 20);
	p->sink = sink_to(SINK_LINES, collect, &p->got);
}

static void paced_end(struct paced *p)
{
	sink_free(p->sink);
	buf_free(&p->got);
}

TEST(pace_gives_away_what_was_collected_before_it_waits)
{
	struct paced p;
	paced_begin(&p);
	struct replay_pace pace = { .rate = 20 };
	int64_t start = clock_mono_us();
	for (uint64_t i = 0; i < 3; i++) {
		CHECK_OK(replay_pace_wait(&pace, i, 0, p.sink, &p.err), p.err);
		CHECK_INT(p.got.len, i * 2); /* all before this one */
		CHECK(clock_mono_us() - start >= (int64_t)i * 50000 - 1500);
		CHECK_OK(sink_write(p.sink, &x, &p.err), p.err);
	}
	paced_end(&p);
}

/* How long five events take of which the first stalls for over a second. */
static void five_with_a_stall(struct replay_pace *pace, int64_t *ret_us)
{
	struct paced p;
	paced_begin(&p);
	CHECK_OK(replay_pace_wait(pace, 0, 0, p.sink, &p.err), p.err);
	clock_sleep_us(1300000);
	int64_t start = clock_mono_us();
	for (uint64_t i = 1; i < 5; i++)
		CHECK_OK(replay_pace_wait(pace, i, (int64_t)i * 100000, p.sink, &p.err), p.err);
	*ret_us = clock_mono_us() - start;
	paced_end(&p);
}

TEST(pace_by_rate_makes_no_burst_behind_a_stall)
{
	int64_t took = 0;
	five_with_a_stall(&(struct replay_pace){ .rate = 10 }, &took);
	CHECK(took >= 290000); /* the first is late and comes at once, the others a tenth of a second apart */
}

TEST(pace_by_time_catches_up_behind_a_stall)
{
	int64_t took = 1000000;
	five_with_a_stall(&(struct replay_pace){ .speed = 1 }, &took);
	CHECK(took < 200000);
}

TEST(pace_by_time_waits_as_long_as_the_events_did)
{
	struct paced p;
	paced_begin(&p);
	struct replay_pace pace = { .speed = 10 };
	int64_t start = clock_mono_us();
	CHECK_OK(replay_pace_wait(&pace, 0, 7000000, p.sink, &p.err), p.err);
	CHECK_OK(sink_write(p.sink, &x, &p.err), p.err);
	CHECK_OK(replay_pace_wait(&pace, 1, 8000000, p.sink, &p.err), p.err);
	CHECK(clock_mono_us() - start >= 98000);
	CHECK_INT(p.got.len, 2);
	paced_end(&p);
}

static void *set_later(void *arg)
{
	clock_sleep_us(100000);
	__atomic_store_n((bool *)arg, true, __ATOMIC_RELAXED);
	return NULL;
}

TEST(pace_is_cancelled_soon_and_what_was_sent_has_left)
{
	struct paced p;
	pthread_t t;
	paced_begin(&p);
	struct replay_pace pace = { .rate = 0.01, .cancel = &p.cancel };
	CHECK_OK(replay_pace_wait(&pace, 0, 0, p.sink, &p.err), p.err);
	CHECK_OK(sink_write(p.sink, &x, &p.err), p.err);
	pthread_create(&t, NULL, set_later, &p.cancel);
	int64_t start = clock_mono_us();
	CHECK_RC(replay_pace_wait(&pace, 1, 0, p.sink, &p.err), RC_CANCELLED);
	CHECK(clock_mono_us() - start < 1000000);
	CHECK(strstr(p.err.text, "after 1 events"));
	pthread_join(t, NULL);
	paced_end(&p);
}

TEST(replay_that_fails_gives_away_what_it_counts_as_sent)
{
	struct paced p;
	paced_begin(&p);
	CHECK_OK(sink_write(p.sink, &x, &p.err), p.err);
	CHECK_RC(replay_end(p.sink, err_set(&p.err, RC_CORRUPT, "a file is broken"), 1, false, &p.err), RC_CORRUPT);
	CHECK_INT(p.got.len, 2);
	CHECK(!strcmp(p.err.text, "after 1 events: a file is broken"));
	CHECK_OK(sink_write(p.sink, &x, &p.err), p.err);
	CHECK_RC(replay_end(p.sink, RC_EOF, 2, true, &p.err), RC_CANCELLED);
	CHECK_INT(p.got.len, 4);
	CHECK(!strcmp(p.err.text, "stopped after 2 events"));
	paced_end(&p);
}

TEST_MAIN()
