/* Time: the one door to the clocks (a simulator replaces this unit). */
#ifndef OS_CLOCK_H
#define OS_CLOCK_H

#include <stdint.h>

int64_t clock_wall_us(void); /* µs since the epoch, UTC */
int64_t clock_mono_us(void); /* µs, monotonic, arbitrary start */
int64_t clock_cpu_us(void);  /* µs that this process has used, user and system, all threads */
int64_t clock_thread_cpu_ns(void); /* ns that this thread has used */
void clock_sleep_us(int64_t us);

/* Proleptic Gregorian date of a day count since 1970-01-01, and back. */
void date_from_days(int64_t days, int *ret_year, int *ret_month, int *ret_day);
int64_t date_to_days(int year, int month, int day);
#define DAY_US ((int64_t)86400 * 1000000)
/* The day in UTC of a time in µs, counted since 1970-01-01; any time has one. */
static inline int32_t time_day(int64_t us)
{
	return (int32_t)(us / DAY_US - (us % DAY_US < 0));
}
/* RFC 3339 in UTC with µs, "2026-11-22T10:00:00.000000Z", NUL-terminated. */
void time_format(int64_t us, char out[32]);
/* RFC 3339 ("2026-11-22", "2026-11-22T10:00Z", "…10:00:00.123+02:00") or an epoch number in s/ms/µs; also "-15m", "-2h", "-7d", "now"
 * relative to the wall clock. 0 on success, -1 if it is none. */
int time_parse(const char *text, int64_t *ret_us);

#endif
