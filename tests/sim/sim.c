/* hydrant_sim [--seeds N] [--from SEED] [--jobs J] [--seconds S]   many seeds, a process each
 * hydrant_sim --seed SEED [--story] [--drop A,B,…]                 one
 * --hour: another plan (hour.c).
 * --most-crashes N: seeds with more crashes fail, to see how a failure is told. SIM_TRACE=1 with --story: every effect; SIM_LOG=1: the
 * program's log; SIM_TASKS=1: where everybody stands at the end. */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/log.h"
#include "sim.h"

uint64_t sim_seed, sim_most_crashes = UINT64_MAX;
bool sim_story;
uint8_t sim_dropped[256];
unsigned sim_plan_count;
static uint64_t streams[CHANCE_COUNT], hash = 14695981039346656037u;
static int result_fd = -1;

struct result { /* of a seed's process, on its pipe */
	bool ended, failed;
	uint64_t hash, rows, acked, crashes, faults, commits, expiries, rots, asides;
	unsigned plan_count;
	char why[400];
};

uint64_t chance(enum stream s)
{
	uint64_t z = (streams[s] += 0x9e3779b97f4a7c15u);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

uint64_t chance_below(enum stream s, uint64_t n)
{
	return n ? chance(s) % n : 0;
}

bool chance_of(enum stream s, unsigned percent)
{
	return chance_below(s, 100) < percent;
}

static void mix(const char *s)
{
	for (; *s; s++)
		hash = (hash ^ (uint8_t)*s) * 1099511628211u;
}

void trace(const char *what, const char *of, uint64_t n)
{
	mix(what);
	mix(of);
	hash = (hash ^ n) * 1099511628211u;
	if (sim_story && getenv("SIM_TRACE"))
		printf("%12lld n%d %s %s %llu\n", (long long)sim_now(), task_node(), what, of, (unsigned long long)n);
}

void story(const char *fmt, ...)
{
	if (!sim_story)
		return;
	va_list ap;
	va_start(ap, fmt);
	printf("%9.3f s  ", (double)sim_now() / 1e6);
	vprintf(fmt, ap);
	putchar('\n');
	va_end(ap);
}

static void end(bool failed, const char *why)
{
	struct result r = { .ended = true, .failed = failed, .hash = hash, .rows = sim_rows, .acked = sim_acked, .crashes = sim_crashes,
			    .faults = sim_faults_met, .commits = other_commits, .expiries = other_expiries, .rots = rot_count, .asides = sim_asides,
			    .plan_count = sim_plan_count };
	snprintf(r.why, sizeof r.why, "%s", why);
	fflush(stdout);
	ssize_t done = write(result_fd, &r, sizeof r);
	_exit(done != sizeof r);
}

void violated(const char *fmt, ...)
{
	char why[400];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(why, sizeof why, fmt, ap);
	va_end(ap);
	story("BROKEN: %s", why);
	if (sim_story && getenv("SIM_TASKS"))
		task_tell();
	end(true, why);
	abort();
}

void sim_done(void)
{
	end(false, "");
	abort();
}

static void run_seed(uint64_t seed)
{
	sim_seed = seed;
	for (int i = 0; i < CHANCE_COUNT; i++)
		streams[i] = seed * 1000003 + (uint64_t)i * 7919;
	if (!sim_story || !getenv("SIM_LOG"))
		log_set_level(LOG_ERROR), fclose(stderr);
	json_object_seed(1);
	fault_armed_ = true;
	alarm(60);
	task_start(WORLD, sim_main, NULL);
	task_run_all();
	violated("everybody has left");
}

struct job {
	pid_t pid;
	int fd;
	uint64_t seed;
};

static void start(struct job *j, uint64_t seed)
{
	int fds[2];
	fflush(stdout);
	if (pipe(fds) != 0)
		exit(2);
	j->seed = seed;
	j->fd = fds[0];
	j->pid = fork();
	if (j->pid == 0) {
		result_fd = fds[1];
		run_seed(seed);
	}
	close(fds[1]);
}

static struct result finish(struct job *j)
{
	struct result r = { 0 };
	int status = 0;
	ssize_t n = read(j->fd, &r, sizeof r);
	close(j->fd);
	waitpid(j->pid, &status, 0);
	if (n != sizeof r) {
		r = (struct result){ .failed = true };
		snprintf(r.why, sizeof r.why, "the process died of signal %d", WTERMSIG(status));
	}
	j->pid = 0;
	return r;
}

static struct result once(uint64_t seed)
{
	struct job j;
	start(&j, seed);
	return finish(&j);
}

/* The same thing broke: the texts differ in numbers only. */
static bool same_failure(const char *a, const char *b)
{
	static const char digits[] = "0123456789abcdef";
	while (*a && *b) {
		a += strspn(a, digits);
		b += strspn(b, digits);
		if (*a != *b)
			return false;
		a += *a != 0;
		b += *b != 0;
	}
	return !*a && !*b;
}

/* Leaves out one step after the other while the seed still fails; then tells what is left. */
static void tell(uint64_t seed, struct result r)
{
	bool again = true;
	printf("seed %llu: %s\n", (unsigned long long)seed, r.why);
	for (unsigned count = r.plan_count; again;) {
		again = false;
		for (unsigned i = 0; i < count; i++) {
			if (sim_dropped[i])
				continue;
			sim_dropped[i] = 1;
			struct result less = once(seed);
			if (less.failed && same_failure(less.why, r.why))
				again = true;
			else
				sim_dropped[i] = 0;
		}
	}
	printf("the smallest plan that still fails:\n");
	sim_story = true;
	once(seed);
	sim_story = false;
	printf("again: hydrant_sim --seed %llu --story --drop ", (unsigned long long)seed);
	for (unsigned i = 0, n = 0; i < r.plan_count; i++)
		if (sim_dropped[i])
			printf("%s%u", n++ ? "," : "", i);
	putchar('\n');
	memset(sim_dropped, 0, sizeof sim_dropped);
}

static double seconds(void)
{
	struct timespec ts;
	timespec_get(&ts, TIME_UTC);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int run_many(uint64_t from, uint64_t count, unsigned jobs, double limit, bool quiet)
{
	struct job running[64];
	struct result sum = { 0 };
	uint64_t done = 0, next = from;
	double begin = seconds();
	if (jobs < 1 || jobs > 64)
		jobs = 2;
	unsigned head = 0, n = 0; /* a ring: results are looked at in order */
	while (done < count) {
		bool late = limit > 0 && seconds() - begin > limit;
		while (n < jobs && next < from + count && !late)
			start(&running[(head + n++) % jobs], next++);
		if (!n)
			break;
		struct job *j = &running[head];
		struct result r = finish(j);
		head = (head + 1) % jobs;
		n--;
		done++;
		if (r.failed) {
			while (n) {
				finish(&running[head]);
				head = (head + 1) % jobs;
				n--;
			}
			if (quiet)
				printf("seed %llu: %s\n", (unsigned long long)j->seed, r.why);
			else
				tell(j->seed, r);
			return 1;
		}
		sum.rows += r.rows;
		sum.crashes += r.crashes;
		sum.faults += r.faults;
		sum.acked += r.acked;
		sum.commits += r.commits;
		sum.expiries += r.expiries;
		sum.rots += r.rots;
		sum.asides += r.asides;
	}
	double took = seconds() - begin;
	printf("sim: %llu seeds, no failure, %.1f s (%.1f a second); in all %llu events acked, %llu rows, %llu crashes, %llu faults, "
	       "%llu foreign commits, %llu expiries, %llu bits gone bad, %llu segments moved aside\n",
	       (unsigned long long)done, took, (double)done / took, (unsigned long long)sum.acked, (unsigned long long)sum.rows,
	       (unsigned long long)sum.crashes, (unsigned long long)sum.faults, (unsigned long long)sum.commits,
	       (unsigned long long)sum.expiries, (unsigned long long)sum.rots, (unsigned long long)sum.asides);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "seeds", 1, 0, 'n' }, { "from", 1, 0, 'f' }, { "jobs", 1, 0, 'j' }, { "seconds", 1, 0, 's' },
						 { "seed", 1, 0, 'o' }, { "story", 0, 0, 't' }, { "drop", 1, 0, 'd' }, { "quiet", 0, 0, 'q' },
						 { "most-crashes", 1, 0, 'c' }, { "hour", 0, 0, 'h' }, { 0 } };
	uint64_t count = 1000, from = 1, one = 0;
	unsigned jobs = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	double limit = 0;
	bool quiet = false, have_one = false;
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (c == 'n')
			count = strtoull(optarg, NULL, 10);
		else if (c == 'f')
			from = strtoull(optarg, NULL, 10);
		else if (c == 'j')
			jobs = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 's')
			limit = strtod(optarg, NULL);
		else if (c == 'o')
			one = strtoull(optarg, NULL, 10), have_one = true;
		else if (c == 'c')
			sim_most_crashes = strtoull(optarg, NULL, 10);
		else if (c == 'h')
			sim_hour = true;
		else if (c == 't')
			sim_story = true;
		else if (c == 'q')
			quiet = true;
		else if (c == 'd')
			for (char *p = optarg; *p; p += strspn(p, ","))
				sim_dropped[strtoul(p, &p, 10) & 255] = 1;
		else
			return 2;
	}
	if (!have_one)
		return run_many(from, count, jobs, limit, quiet);
	struct result r = once(one);
	if (r.failed && !sim_story && !quiet)
		tell(one, r);
	printf("seed %llu: %s%s hash=%016llx rows=%llu acked=%llu crashes=%llu faults=%llu\n", (unsigned long long)one, r.failed ? "FAILED " : "fine",
	       r.why, (unsigned long long)r.hash, (unsigned long long)r.rows, (unsigned long long)r.acked, (unsigned long long)r.crashes,
	       (unsigned long long)r.faults);
	return r.failed;
}
