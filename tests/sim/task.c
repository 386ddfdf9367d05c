/* Threads as coroutines. The shipped code calls pthread_*, which the linker leads here. */
#undef _FORTIFY_SOURCE /* its longjmp knows one stack only */
#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>

#include "sim.h"

#define STACK ((size_t)1 << 20)
#define TASKS 4096
#define STEPS_MAX 4000000

enum state { FREE, READY, ASLEEP, ON_COND, ON_MUTEX, ON_JOIN };
struct task {
	jmp_buf at;
	bool begun;
	enum state state;
	int node, saved_errno;
	int64_t until; /* ASLEEP; ON_COND: INT64_MAX or the deadline */
	const void *on;
	void *(*run)(void *);
	void *arg;
	bool timed_out;
	unsigned life;
	uint64_t id;
	char *stack;
};

static struct task *tasks[TASKS];
static size_t task_count;
static uint64_t next_id = 1, steps;
static struct task *current;
static jmp_buf loop;
static char *stacks[TASKS];
static size_t stack_count;
static int64_t now = 1000000, paused_until[NODES];
static const int64_t epoch = (int64_t)1790000000 * 1000000;

int64_t sim_now(void)
{
	return now;
}

int task_node(void)
{
	return current ? current->node : WORLD;
}

static bool telling; /* where everybody stands; nobody goes on after that */

static void leave(void)
{
	struct task *t = current;
	t->saved_errno = errno;
	if (!_setjmp(t->at)) /* swapcontext, without its two system calls */
		_longjmp(loop, 1);
	if (telling) {
		void *frames[32];
		backtrace_symbols_fd(frames, backtrace(frames, 32), 1);
		_longjmp(loop, 1);
	}
	errno = t->saved_errno;
}

static void entry(void)
{
	struct task *t = current;
	t->run(t->arg);
	for (size_t i = 0; i < task_count; i++)
		if (tasks[i]->state == ON_JOIN && tasks[i]->on == t)
			tasks[i]->state = READY;
	t->state = FREE;
	_longjmp(loop, 1);
}

static struct task *start(int node, void *(*run)(void *), void *arg)
{
	if (task_count == TASKS)
		violated("too many threads");
	struct task *t = calloc(1, sizeof *t);
	tasks[task_count++] = t;
	t->stack = stack_count ? stacks[--stack_count]
			       : mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	t->state = READY;
	t->node = node;
	t->run = run;
	t->arg = arg;
	t->id = next_id++;
	return t;
}

/* Onto its stack for the first time. */
static void begin(struct task *t)
{
	ucontext_t at;
	t->begun = true;
	getcontext(&at);
	at.uc_stack.ss_sp = t->stack;
	at.uc_stack.ss_size = STACK;
	makecontext(&at, entry, 0);
	setcontext(&at);
}

static void go_on(struct task *t)
{
	if (_setjmp(loop))
		return;
	if (t->begun)
		_longjmp(t->at, 1);
	begin(t);
}

void task_start(int node, void *(*run)(void *), void *arg)
{
	start(node, run, arg);
}

void task_sleep(int64_t us)
{
	current->state = ASLEEP;
	current->until = now + (us > 0 ? us : 1);
	leave();
}

bool task_kill_node(int node)
{
	bool self = false;
	paused_until[node] = 0;
	for (size_t i = 0; i < task_count; i++)
		if (tasks[i]->node == node) {
			tasks[i]->state = FREE;
			self |= tasks[i] == current;
		}
	return self;
}

void task_leave_for_good(void)
{
	_longjmp(loop, 1);
}

void task_tell(void)
{
	static const char *const states[] = { "gone", "ready", "asleep", "waiting", "locked out", "joining" };
	telling = true;
	for (volatile size_t i = 0; i < task_count; i++) {
		if (tasks[i] == current || !tasks[i]->begun)
			continue;
		printf("task %llu of node %d: %s\n", (unsigned long long)tasks[i]->id, tasks[i]->node, states[tasks[i]->state]);
		fflush(stdout);
		if (!_setjmp(loop))
			_longjmp(tasks[i]->at, 1);
	}
}

static void sweep(void)
{
	size_t n = 0;
	for (size_t i = 0; i < task_count; i++) {
		if (tasks[i]->state != FREE) {
			tasks[n++] = tasks[i];
			continue;
		}
		stacks[stack_count++] = tasks[i]->stack; /* the struct stays: pthread_join may ask for it */
	}
	task_count = n;
}

void task_pause(int node, int64_t until)
{
	paused_until[node] = until;
}

static bool paused(const struct task *t)
{
	return t->node >= 0 && paused_until[t->node] > now;
}

/* The clock goes to where somebody wakes. */
static bool wait_for_time(void)
{
	int64_t next = INT64_MAX;
	for (size_t i = 0; i < task_count; i++) {
		const struct task *t = tasks[i];
		int64_t until = t->state == ASLEEP || t->state == ON_COND ? t->until : t->state == READY ? paused_until[t->node] : INT64_MAX;
		next = until < next ? until : next;
	}
	if (next == INT64_MAX)
		return false;
	if (next > now)
		now = next;
	for (size_t i = 0; i < task_count; i++)
		if ((tasks[i]->state == ASLEEP || tasks[i]->state == ON_COND) && tasks[i]->until <= now) {
			tasks[i]->timed_out = tasks[i]->state == ON_COND;
			tasks[i]->state = READY;
		}
	return true;
}

void task_run_all(void)
{
	for (;;) {
		size_t ready = 0;
		sweep();
		if (!task_count)
			return;
		if (++steps > STEPS_MAX)
			violated("no end after %d steps: somebody turns in a circle", STEPS_MAX);
		for (size_t i = 0; i < task_count; i++)
			ready += tasks[i]->state == READY && !paused(tasks[i]);
		if (!ready) {
			if (!wait_for_time())
				violated("everybody waits for somebody: a deadlock");
			continue;
		}
		size_t pick = chance_below(CHANCE_SCHEDULE, ready);
		for (size_t i = 0; i < task_count; i++)
			if (tasks[i]->state == READY && !paused(tasks[i]) && pick-- == 0) {
				current = tasks[i];
				break;
			}
		trace("run", "", current->id);
		go_on(current);
		current = NULL;
	}
}

void door(const char *what, const char *of, uint64_t n)
{
	if (!current)
		return;
	trace(what, of, n);
	now += 1 + (int64_t)chance_below(CHANCE_SCHEDULE, 40);
	if (chance_of(CHANCE_SCHEDULE, 30))
		leave(); /* stays READY */
	nodes_door();
}

/* ---- what the linker leads here ---- */

#define MAKE(name) __wrap_##name
int __real_pthread_mutex_lock(pthread_mutex_t *m);
int __real_pthread_mutex_unlock(pthread_mutex_t *m);
int MAKE(pthread_mutex_lock)(pthread_mutex_t *m);
int MAKE(pthread_mutex_unlock)(pthread_mutex_t *m);
int MAKE(pthread_cond_wait)(pthread_cond_t *c, pthread_mutex_t *m);
int MAKE(pthread_cond_timedwait)(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *ts);
int MAKE(pthread_cond_signal)(pthread_cond_t *c);
int MAKE(pthread_cond_broadcast)(pthread_cond_t *c);
int MAKE(pthread_create)(pthread_t *ret, const pthread_attr_t *attr, void *(*run)(void *), void *arg);
int MAKE(pthread_join)(pthread_t t, void **ret);
int MAKE(clock_gettime)(clockid_t id, struct timespec *ts);
int MAKE(nanosleep)(const struct timespec *ts, struct timespec *rest);
ssize_t MAKE(getrandom)(void *out, size_t len, unsigned flags);
void MAKE(fault_hit_)(const char *name);

int MAKE(pthread_mutex_lock)(pthread_mutex_t *m)
{
	while (pthread_mutex_trylock(m) == EBUSY) {
		if (!current)
			violated("a lock is taken outside of all tasks");
		current->state = ON_MUTEX;
		current->on = m;
		leave();
	}
	return 0;
}

int MAKE(pthread_mutex_unlock)(pthread_mutex_t *m)
{
	for (size_t i = 0; i < task_count; i++)
		if (tasks[i]->state == ON_MUTEX && tasks[i]->on == m)
			tasks[i]->state = READY;
	return __real_pthread_mutex_unlock(m);
}

static int wait_on(pthread_cond_t *c, pthread_mutex_t *m, int64_t until)
{
	struct task *t = current;
	MAKE(pthread_mutex_unlock)(m);
	t->state = ON_COND;
	t->on = c;
	t->until = until;
	t->timed_out = false;
	leave();
	MAKE(pthread_mutex_lock)(m);
	return t->timed_out ? ETIMEDOUT : 0;
}

int MAKE(pthread_cond_wait)(pthread_cond_t *c, pthread_mutex_t *m)
{
	return wait_on(c, m, INT64_MAX);
}

int MAKE(pthread_cond_timedwait)(pthread_cond_t *c, pthread_mutex_t *m, const struct timespec *ts)
{
	return wait_on(c, m, (int64_t)ts->tv_sec * 1000000 + ts->tv_nsec / 1000);
}

int MAKE(pthread_cond_broadcast)(pthread_cond_t *c)
{
	for (size_t i = 0; i < task_count; i++)
		if (tasks[i]->state == ON_COND && tasks[i]->on == c)
			tasks[i]->state = READY;
	return 0;
}

int MAKE(pthread_cond_signal)(pthread_cond_t *c)
{
	size_t n = 0;
	for (size_t i = 0; i < task_count; i++)
		n += tasks[i]->state == ON_COND && tasks[i]->on == c;
	if (!n)
		return 0;
	size_t pick = chance_below(CHANCE_SCHEDULE, n);
	for (size_t i = 0; i < task_count; i++)
		if (tasks[i]->state == ON_COND && tasks[i]->on == c && pick-- == 0)
			tasks[i]->state = READY;
	return 0;
}

int MAKE(pthread_create)(pthread_t *ret, const pthread_attr_t *attr, void *(*run)(void *), void *arg)
{
	(void)attr;
	*ret = (pthread_t)start(task_node(), run, arg);
	return 0;
}

int MAKE(pthread_join)(pthread_t thread, void **ret)
{
	struct task *t = (struct task *)thread;
	(void)ret;
	while (t->state != FREE) {
		current->state = ON_JOIN;
		current->on = t;
		leave();
	}
	return 0;
}

int MAKE(clock_gettime)(clockid_t id, struct timespec *ts)
{
	int64_t us = id == CLOCK_REALTIME ? epoch + now + (task_node() >= 0 ? nodes[task_node()].clock : 0) : now;
	now++;
	*ts = (struct timespec){ us / 1000000, us % 1000000 * 1000 };
	return 0;
}

int MAKE(nanosleep)(const struct timespec *ts, struct timespec *rest)
{
	(void)rest;
	task_sleep((int64_t)ts->tv_sec * 1000000 + ts->tv_nsec / 1000);
	return 0;
}

ssize_t MAKE(getrandom)(void *out, size_t len, unsigned flags)
{
	uint8_t *p = out;
	(void)flags;
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)chance(CHANCE_RANDOM);
	return (ssize_t)len;
}

void MAKE(fault_hit_)(const char *name)
{
	door("point", name, 0);
	nodes_point(name);
}
