#include "os/loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/clock.h"

/* Threads: everything but loop_post and loop_stop belongs to the loop's thread (or to whoever sets it up before loop_run).
 *
 * Timers live in a wheel of 9 levels with 64 slots each, one tick = 1,024 µs. A timer stands at the level of the highest base-64
 * digit in which its tick differs from `now`, in the slot of that digit: all slots in use lie ahead of `now`'s digit, the lowest level
 * in use holds the earliest timer, and set and clear are O(1) for any number of connections. A timer fires at or after its due time,
 * never before it, normally less than 3 ms late.
 */
enum {
	EVENT_BATCH = 256, /* events taken by one epoll_wait: bounds how long posts and timers wait behind ready descriptors */
	TICK_SHIFT = 10,
	DIGIT_BITS = 6,
	SLOTS = 1 << DIGIT_BITS,
	LEVELS = 9 /* 54 bits hold every int64_t of µs in ticks */
};

struct loop_fd {
	struct loop_fd *prev, *next; /* in loop.watched, or next in loop.dead */
	void (*ready)(void *ctx, unsigned events);
	void *ctx;
	int fd;
	unsigned events;
	bool dead; /* removed; freed after the batch that may still name it */
};

struct post {
	void (*run)(void *ctx);
	void *ctx;
};

struct post_list {
	struct post *items;
	size_t count, cap;
};

struct loop {
	int epoll_fd, wake_fd;
	struct loop_fd *watched, *dead;

	pthread_mutex_t lock; /* guards the next two */
	struct post_list posts;
	bool sleeping; /* the loop is in, or about to enter, epoll_wait without a nudge under way */

	struct post_list running; /* swapped with posts, so that both keep their memory */
	atomic_bool stop;

	uint64_t now_tick;
	uint64_t used[LEVELS]; /* a bit a slot: it is not empty */
	struct loop_timer slots[LEVELS][SLOTS]; /* list heads */
	struct loop_timer due_list;             /* head: was already due when set */
};

static unsigned to_epoll(unsigned events)
{
	return (events & LOOP_READ ? (unsigned)EPOLLIN : 0) | (events & LOOP_WRITE ? (unsigned)EPOLLOUT : 0);
}

static unsigned from_epoll(unsigned e)
{
	return (e & EPOLLIN ? LOOP_READ : 0) | (e & EPOLLOUT ? LOOP_WRITE : 0) | (e & (EPOLLERR | EPOLLHUP) ? LOOP_HANGUP : 0);
}

static void list_init(struct loop_timer *head)
{
	head->prev = head->next = head;
}

static void list_append(struct loop_timer *head, struct loop_timer *t)
{
	t->next = head;
	t->prev = head->prev;
	head->prev->next = t;
	head->prev = t;
}

static void list_unlink(struct loop_timer *t)
{
	t->prev->next = t->next;
	t->next->prev = t->prev;
	t->prev = t->next = NULL;
}

/* Moves all of `from` to the end of `to`. */
static void list_splice(struct loop_timer *to, struct loop_timer *from)
{
	if (from->next == from)
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

rc_t loop_new(struct loop **ret, struct err *reterr)
{
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		return err_errno(reterr, RC_IO, "event loop: epoll_create1");
	int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = NULL }; /* NULL names the wake-up descriptor */
	if (wake_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, wake_fd, &ev) < 0) {
		rc_t rc = err_errno(reterr, RC_IO, "event loop: eventfd");
		if (wake_fd >= 0)
			close(wake_fd);
		close(epoll_fd);
		return rc;
	}
	struct loop *l = NEW(struct loop);
	l->epoll_fd = epoll_fd;
	l->wake_fd = wake_fd;
	pthread_mutex_init(&l->lock, NULL);
	atomic_init(&l->stop, false);
	l->now_tick = (uint64_t)clock_mono_us() >> TICK_SHIFT;
	for (int i = 0; i < LEVELS; i++)
		for (int s = 0; s < SLOTS; s++)
			list_init(&l->slots[i][s]);
	list_init(&l->due_list);
	*ret = l;
	return RC_OK;
}

static void free_dead(struct loop *l)
{
	while (l->dead) {
		struct loop_fd *w = l->dead;
		l->dead = w->next;
		free(w);
	}
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	while (l->watched)
		loop_remove(l, l->watched);
	free_dead(l);
	close(l->wake_fd);
	close(l->epoll_fd);
	pthread_mutex_destroy(&l->lock);
	free(l->posts.items);
	free(l->running.items);
	free(l);
}

rc_t loop_add(struct loop *l, int fd, unsigned events, void (*ready)(void *ctx, unsigned events), void *ctx, struct loop_fd **ret,
	      struct err *reterr)
{
	struct loop_fd *w = NEW(struct loop_fd);
	*w = (struct loop_fd){ .ready = ready, .ctx = ctx, .fd = fd, .events = events, .next = l->watched };
	struct epoll_event ev = { .events = to_epoll(events), .data.ptr = w };
	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0) {
		free(w);
		return err_errno(reterr, RC_IO, "event loop: cannot watch descriptor %d", fd);
	}
	if (l->watched)
		l->watched->prev = w;
	l->watched = w;
	*ret = w;
	return RC_OK;
}

rc_t loop_modify(struct loop *l, struct loop_fd *w, unsigned events, struct err *reterr)
{
	if (w->events == events)
		return RC_OK;
	struct epoll_event ev = { .events = to_epoll(events), .data.ptr = w };
	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, w->fd, &ev) < 0)
		return err_errno(reterr, RC_IO, "event loop: cannot change the watch on descriptor %d", w->fd);
	w->events = events;
	return RC_OK;
}

void loop_remove(struct loop *l, struct loop_fd *w)
{
	if (!w || w->dead)
		return;
	struct epoll_event ev = { 0 };
	epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, w->fd, &ev); /* fails only if the fd was closed first: then it is gone already */
	if (w->prev)
		w->prev->next = w->next;
	else
		l->watched = w->next;
	if (w->next)
		w->next->prev = w->prev;
	w->dead = true;
	w->next = l->dead;
	l->dead = w;
}

static void nudge(struct loop *l)
{
	uint64_t one = 1;
	ssize_t n;
	do
		n = write(l->wake_fd, &one, sizeof(one));
	while (n < 0 && errno == EINTR); /* EAGAIN: the counter is full, so the loop is being woken anyway */
}

void loop_stop(struct loop *l)
{
	atomic_store(&l->stop, true);
	nudge(l);
}

void loop_post(struct loop *l, void (*run)(void *ctx), void *ctx)
{
	pthread_mutex_lock(&l->lock);
	struct post_list *p = &l->posts;
	if (p->count == p->cap) {
		p->cap = p->cap ? p->cap * 2 : 16;
		p->items = mem_realloc(p->items, p->cap * sizeof(*p->items));
	}
	p->items[p->count++] = (struct post){ run, ctx };
	bool wake = l->sleeping;
	l->sleeping = false;
	if (wake) /* inside the lock: whoever posts may free the loop's owner as soon as its post has run */
		nudge(l);
	pthread_mutex_unlock(&l->lock);
}

static void run_posts(struct loop *l)
{
	pthread_mutex_lock(&l->lock);
	l->sleeping = false;
	struct post_list list = l->posts;
	l->posts = l->running;
	pthread_mutex_unlock(&l->lock);
	for (size_t i = 0; i < list.count; i++)
		list.items[i].run(list.items[i].ctx);
	list.count = 0;
	l->running = list;
}

static void timer_place(struct loop *l, struct loop_timer *t)
{
	uint64_t tick = ((uint64_t)t->due + (1u << TICK_SHIFT) - 1) >> TICK_SHIFT;
	if (tick <= l->now_tick) {
		list_append(&l->due_list, t);
		return;
	}
	unsigned level = (unsigned)(63 - __builtin_clzll(tick ^ l->now_tick)) / DIGIT_BITS;
	unsigned slot = (unsigned)(tick >> (DIGIT_BITS * level)) & (SLOTS - 1);
	list_append(&l->slots[level][slot], t);
	l->used[level] |= (uint64_t)1 << slot;
}

/* The tick at which the first used slot begins; false if no timer waits. */
static bool timer_next(const struct loop *l, unsigned *ret_level, unsigned *ret_slot, uint64_t *ret_tick)
{
	for (unsigned level = 0; level < LEVELS; level++) {
		if (!l->used[level])
			continue;
		unsigned slot = (unsigned)__builtin_ctzll(l->used[level]), shift = DIGIT_BITS * level;
		uint64_t above = l->now_tick >> shift >> DIGIT_BITS << DIGIT_BITS;
		*ret_level = level;
		*ret_slot = slot;
		*ret_tick = (above | slot) << shift;
		return true;
	}
	return false;
}

static void timers_run(struct loop *l)
{
	struct loop_timer firing;
	unsigned level, slot;
	uint64_t tick, now = (uint64_t)clock_mono_us() >> TICK_SHIFT;
	list_init(&firing);
	list_splice(&firing, &l->due_list);
	while (timer_next(l, &level, &slot, &tick) && tick <= now) {
		struct loop_timer moved;
		list_init(&moved);
		list_splice(&moved, &l->slots[level][slot]);
		l->used[level] &= ~((uint64_t)1 << slot);
		if (tick > l->now_tick)
			l->now_tick = tick;
		while (moved.next != &moved) {
			struct loop_timer *t = moved.next;
			list_unlink(t);
			timer_place(l, t); /* one level down, or due */
		}
		list_splice(&firing, &l->due_list);
	}
	if (now > l->now_tick)
		l->now_tick = now;
	while (firing.next != &firing) { /* one at a time: a callback may clear or free its neighbours */
		struct loop_timer *t = firing.next;
		list_unlink(t);
		t->due = 0;
		t->fire(t);
	}
}

void loop_timer_set(struct loop *l, struct loop_timer *t, int64_t due)
{
	loop_timer_clear(l, t);
	t->due = due > 0 ? due : 1;
	timer_place(l, t);
}

void loop_timer_clear(struct loop *l, struct loop_timer *t)
{
	if (!t->due)
		return;
	t->due = 0;
	struct loop_timer *neighbour = t->prev;
	bool last = t->prev == t->next; /* then the neighbour is the list's head */
	list_unlink(t);
	uintptr_t at = (uintptr_t)neighbour, from = (uintptr_t)&l->slots[0][0], to = from + sizeof(l->slots);
	if (last && at >= from && at < to) {
		size_t index = (at - from) / sizeof(struct loop_timer);
		l->used[index / SLOTS] &= ~((uint64_t)1 << (index % SLOTS));
	}
}

/* How long epoll_wait may sleep, in ms: -1 without a limit. */
static int sleep_ms(const struct loop *l)
{
	unsigned level, slot;
	uint64_t tick;
	if (l->due_list.next != &l->due_list)
		return 0;
	if (!timer_next(l, &level, &slot, &tick))
		return -1;
	int64_t us = (int64_t)(tick << TICK_SHIFT) - clock_mono_us();
	if (us <= 0)
		return 0;
	return us > (int64_t)1000 * 3600 * 1000 ? 3600 * 1000 : (int)((us + 999) / 1000);
}

static int wait_events(struct loop *l, struct epoll_event *events)
{
	int timeout = sleep_ms(l);
	pthread_mutex_lock(&l->lock);
	if (l->posts.count)
		timeout = 0;
	else
		l->sleeping = true;
	pthread_mutex_unlock(&l->lock);
	return epoll_wait(l->epoll_fd, events, EVENT_BATCH, timeout);
}

rc_t loop_run(struct loop *l, struct err *reterr)
{
	struct epoll_event events[EVENT_BATCH];
	while (!atomic_load(&l->stop)) {
		int n = wait_events(l, events);
		if (n < 0 && errno != EINTR)
			return err_errno(reterr, RC_IO, "event loop: epoll_wait");
		for (int i = 0; i < n; i++) {
			struct loop_fd *w = events[i].data.ptr;
			if (!w) {
				uint64_t count;
				ssize_t got = read(l->wake_fd, &count, sizeof(count));
				(void)got; /* EAGAIN: nothing to take back */
			} else if (!w->dead) {
				w->ready(w->ctx, from_epoll(events[i].events));
			}
		}
		timers_run(l);
		run_posts(l);
		free_dead(l);
	}
	atomic_store(&l->stop, false);
	run_posts(l); /* what was posted before the stop still runs */
	free_dead(l);
	return RC_OK;
}
