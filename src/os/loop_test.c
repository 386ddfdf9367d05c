#include "os/loop.h"

#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/test.h"
#include "os/clock.h"

static struct loop *new_loop(void)
{
	struct loop *l = NULL;
	struct err err;
	if (loop_new(&l, &err) != RC_OK) {
		fprintf(stderr, "%s\n", err.text);
		abort();
	}
	return l;
}

struct timer_case {
	struct loop_timer t; /* first: fire gets its address */
	struct loop *loop;
	int64_t due, fired_at;
	int *left;
	struct timer_case *clear_when_fired;
};

static void timer_fired(struct loop_timer *t)
{
	struct timer_case *c = (struct timer_case *)t;
	c->fired_at = clock_mono_us();
	if (c->clear_when_fired)
		loop_timer_clear(c->loop, &c->clear_when_fired->t);
	if (--*c->left == 0)
		loop_stop(c->loop);
}

TEST(loop_timers_fire_at_or_after_their_time_and_never_before)
{
	struct loop *l = new_loop();
	struct err err;
	enum { N = 3000 };
	struct timer_case *c = mem_zalloc(N, sizeof(*c));
	int left = N, early = 0, late = 0;
	int64_t start = clock_mono_us();
	unsigned seed = 7;
	for (int i = 0; i < N; i++) {
		seed = seed * 1103515245 + 12345;
		c[i] = (struct timer_case){ .t.fire = timer_fired, .loop = l, .left = &left, .due = start - 2000 + (seed >> 8) % 300000 };
		loop_timer_set(l, &c[i].t, start + 10000000);
		loop_timer_set(l, &c[i].t, c[i].due); /* the later call counts */
	}
	CHECK_OK(loop_run(l, &err), err);
	for (int i = 0; i < N; i++) {
		early += c[i].fired_at < c[i].due;
		late += c[i].fired_at > c[i].due + 500000;
	}
	CHECK_INT(early, 0);
	CHECK_INT(late, 0);
	CHECK(clock_mono_us() - start < 5000000);
	free(c);
	loop_free(l);
}

TEST(loop_timer_cleared_does_not_fire_even_by_a_neighbour_due_at_once)
{
	struct loop *l = new_loop();
	struct err err;
	int left = 2;
	int64_t now = clock_mono_us();
	struct timer_case a = { .t.fire = timer_fired, .loop = l, .left = &left }, b = a, c = a, d = a;
	a.clear_when_fired = &b;
	loop_timer_set(l, &a.t, now + 5000);
	loop_timer_set(l, &b.t, now + 5000);
	loop_timer_set(l, &c.t, now + 3000);
	loop_timer_clear(l, &c.t);
	loop_timer_clear(l, &c.t);
	loop_timer_set(l, &d.t, now + 70000);
	CHECK_OK(loop_run(l, &err), err);
	CHECK(a.fired_at && d.fired_at && !b.fired_at && !c.fired_at);
	CHECK_INT(b.t.due, 0);
	loop_free(l);
}

static void count_and_stop(void *ctx)
{
	struct timer_case *c = ctx;
	if (--*c->left == 0)
		loop_stop(c->loop);
}

struct poster {
	struct timer_case *c;
	int n;
};

static void *post_many(void *arg)
{
	struct poster *p = arg;
	for (int i = 0; i < p->n; i++) {
		loop_post(p->c->loop, count_and_stop, p->c);
		if (i % 1000 == 0)
			clock_sleep_us(100);
	}
	return NULL;
}

TEST(loop_posts_from_any_thread_all_run_once)
{
	struct loop *l = new_loop();
	struct err err;
	enum { THREADS = 4, EACH = 20000 };
	int left = THREADS * EACH;
	struct timer_case c = { .loop = l, .left = &left };
	struct poster p = { &c, EACH };
	pthread_t threads[THREADS];
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, post_many, &p);
	CHECK_OK(loop_run(l, &err), err);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	CHECK_INT(left, 0);
	loop_free(l);
}

struct pair {
	struct loop *loop;
	int fds[2];
	struct loop_fd *w[2];
	int calls;
	unsigned seen;
	bool remove_both;
};

static void pair_ready(void *ctx, unsigned events)
{
	struct pair *p = ctx;
	p->calls++;
	p->seen |= events;
	if (p->remove_both) {
		loop_remove(p->loop, p->w[0]);
		loop_remove(p->loop, p->w[1]);
	}
	loop_stop(p->loop);
}

TEST(loop_removed_descriptor_is_silent_even_within_the_same_batch)
{
	struct loop *l = new_loop();
	struct err err;
	struct pair p = { .loop = l, .remove_both = true };
	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, p.fds), 0);
	for (int i = 0; i < 2; i++)
		CHECK_OK(loop_add(l, p.fds[i], LOOP_WRITE, pair_ready, &p, &p.w[i], &err), err);
	CHECK_OK(loop_run(l, &err), err);
	CHECK_INT(p.calls, 1);
	CHECK_INT(p.seen, LOOP_WRITE);
	close(p.fds[0]);
	close(p.fds[1]);
	loop_free(l);
}

TEST(loop_reports_read_and_the_peers_end_also_when_nothing_is_asked_for)
{
	struct loop *l = new_loop();
	struct err err;
	struct pair p = { .loop = l };
	CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, p.fds), 0);
	CHECK_OK(loop_add(l, p.fds[0], LOOP_READ, pair_ready, &p, &p.w[0], &err), err);
	CHECK_INT(write(p.fds[1], "x", 1), 1);
	CHECK_OK(loop_run(l, &err), err);
	CHECK_INT(p.seen, LOOP_READ);
	CHECK_OK(loop_modify(l, p.w[0], 0, &err), err);
	p.seen = 0;
	close(p.fds[1]);
	CHECK_OK(loop_run(l, &err), err);
	CHECK_INT(p.seen, LOOP_HANGUP);
	loop_remove(l, p.w[0]);
	close(p.fds[0]);
	CHECK_RC(loop_add(l, p.fds[0], LOOP_READ, pair_ready, &p, &p.w[0], &err), RC_IO);
	loop_free(l);
}

static long context_switches(void)
{
	struct rusage u;
	getrusage(RUSAGE_THREAD, &u);
	return u.ru_nvcsw;
}

TEST(loop_sleeps_between_timers)
{
	struct loop *l = new_loop();
	struct err err;
	int left = 1;
	struct timer_case c = { .t.fire = timer_fired, .loop = l, .left = &left };
	long before = context_switches();
	loop_timer_set(l, &c.t, clock_mono_us() + 400000);
	CHECK_OK(loop_run(l, &err), err);
	CHECK(context_switches() - before <= 12); /* one a level of the wheel, and some for the system */
	loop_free(l);
}

TEST_MAIN()
