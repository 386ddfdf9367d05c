/* The micro-benchmarks' clock, rounds and lines; they sit beside the unit in *_bench.c, each with a main (make bench-units).
 *
 *   BENCH("PLAIN strings", values, bytes, kernel(in, out));      best of the rounds: ns a value, MB/s of `bytes`
 *   double best = BENCH_BEST(7, { …; });                         for those that print lines of their own
 *
 * What a kernel writes counts as read after each call: with link-time optimisation a loop whose result nobody reads is taken away. A static
 * array is seen by bench_sink only when bench_shows has been given it.
 */
#ifndef BASE_BENCH_H
#define BASE_BENCH_H

#include <stdint.h>
#include <stdio.h>
#include <time.h>

/* CPU seconds of the process: what a machine that does other things, too, changes least. */
static inline double bench_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* All memory may be read here. */
static inline void bench_sink(void)
{
	__asm__ volatile("" : : : "memory");
}

/* The object at p is among what bench_sink reads. */
static inline void bench_shows(const void *p)
{
	__asm__ volatile("" : : "r"(p) : "memory");
}

/* The same numbers in each run. */
static inline uint64_t bench_random(void)
{
	static uint64_t seed = 42;
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* Runs the statement so many times and gives the fewest CPU seconds that it took. */
#define BENCH_BEST(ROUNDS, ...)                                             \
	__extension__({                                                     \
		double bench_best_ = 1e9;                                   \
		for (unsigned bench_i_ = 0; bench_i_ < (ROUNDS); bench_i_++) { \
			double bench_from_ = bench_now();                   \
			__VA_ARGS__;                                        \
			bench_sink();                                       \
			double bench_took_ = bench_now() - bench_from_;     \
			if (bench_took_ < bench_best_)                      \
				bench_best_ = bench_took_;                  \
		}                                                           \
		bench_best_;                                                \
	})

static inline void bench_line(const char *name, double values, double bytes, double best)
{
	printf("%-48s %8.2f ns a value %8.0f MB/s\n", name, best * 1e9 / values, bytes / best / 1e6);
}

#define BENCH_CALLS 50 /* a round: long beside the clock's own cost */

/* The best of nine rounds of BENCH_CALLS calls that handle `values` values and `bytes` bytes each. */
#define BENCH(NAME, VALUES, BYTES, ...)                                                               \
	bench_line(NAME, (double)(VALUES) * BENCH_CALLS, (double)(BYTES) * BENCH_CALLS, BENCH_BEST(9, { \
			   for (unsigned bench_call_ = 0; bench_call_ < BENCH_CALLS; bench_call_++) {  \
				   __VA_ARGS__;                                                        \
				   bench_sink();                                                       \
			   }                                                                           \
		   }))

#endif
