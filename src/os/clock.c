#include "os/clock.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
	struct timespec ts;
	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t clock_wall_us(void)
{
	return read_clock(CLOCK_REALTIME);
}

int64_t clock_mono_us(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

int64_t clock_cpu_us(void)
{
	return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

int64_t clock_thread_cpu_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

void clock_sleep_us(int64_t us)
{
	struct timespec ts = { us / 1000000, us % 1000000 * 1000 };
	while (us > 0 && nanosleep(&ts, &ts) != 0 && errno == EINTR)
		;
}

/* Both by the era method: 400-year cycles of 146,097 days, years counted from March. */
void date_from_days(int64_t days, int *ret_year, int *ret_month, int *ret_day)
{
	int64_t z = days + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int64_t mp = (5 * doy + 2) / 153;
	*ret_day = (int)(doy - (153 * mp + 2) / 5 + 1);
	*ret_month = (int)(mp < 10 ? mp + 3 : mp - 9);
	*ret_year = (int)(yoe + era * 400 + (*ret_month <= 2));
}

int64_t date_to_days(int year, int month, int day)
{
	int64_t y = year - (month <= 2);
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t yoe = y - era * 400;
	int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

void time_format(int64_t us, char out[32])
{
	int64_t days = us / 86400000000, rest = us % 86400000000;
	if (rest < 0) {
		rest += 86400000000;
		days--;
	}
	int y, m, d;
	date_from_days(days, &y, &m, &d);
	snprintf(out, 32, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", y % 10000, m, d, (int)(rest / 3600000000),
		 (int)(rest / 60000000 % 60), (int)(rest / 1000000 % 60), (int)(rest % 1000000));
}

static int parse_relative(const char *text, int64_t *ret_us)
{
	char *end;
	long long n = strtoll(text + 1, &end, 10);
	int64_t unit = 0;
	switch (*end) {
	case 's': unit = 1000000; break;
	case 'm': unit = 60000000; break;
	case 'h': unit = 3600000000; break;
	case 'd': unit = 86400000000; break;
	}
	if (end == text + 1 || !unit || end[1] || n < 0 || n > 36500 * (86400000000 / unit))
		return -1;
	*ret_us = clock_wall_us() - n * unit;
	return 0;
}

static int parse_epoch(const char *text, int64_t *ret_us)
{
	char *end;
	errno = 0;
	long long n = strtoll(text, &end, 10);
	if (errno || *end || n < 0)
		return -1;
	if (n < 100000000000)
		*ret_us = n * 1000000; /* seconds, up to the year 5138 */
	else if (n < 100000000000000)
		*ret_us = n * 1000;
	else
		*ret_us = n;
	return 0;
}

/* "HH:MM[:SS[.f…]]" then Z, ±HH[:]MM or nothing (UTC). */
static int parse_clock(const char *t, int64_t *ret_us)
{
	int h, m, s = 0, n = 0;
	int64_t us = 0;
	if (sscanf(t, "%2d:%2d%n", &h, &m, &n) != 2 || !n)
		return -1;
	t += n;
	if (*t == ':') {
		n = 0;
		if (sscanf(t, ":%2d%n", &s, &n) != 1 || !n)
			return -1;
		t += n;
		if (*t == '.') {
			int64_t unit = 100000;
			for (t++; isdigit((unsigned char)*t); t++, unit /= 10)
				us += unit * (*t - '0');
		}
	}
	if (h < 0 || h > 24 || m < 0 || m > 59 || s < 0 || s > 60)
		return -1;
	us += ((int64_t)h * 3600 + m * 60 + s) * 1000000;
	if (*t == '+' || *t == '-') {
		int sign = *t == '-' ? 1 : -1, oh, om = 0;
		n = 0;
		if ((sscanf(t + 1, "%2d:%2d%n", &oh, &om, &n) != 2 || !n) && (sscanf(t + 1, "%2d%2d%n", &oh, &om, &n) != 2 || !n) &&
		    (sscanf(t + 1, "%2d%n", &oh, &n) != 1 || !n))
			return -1;
		us += sign * ((int64_t)oh * 3600 + om * 60) * 1000000;
		t += 1 + n;
	} else if (*t == 'Z' || *t == 'z') {
		t++;
	}
	*ret_us = us;
	return *t ? -1 : 0;
}

int time_parse(const char *text, int64_t *ret_us)
{
	static const int month_days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	if (!strcmp(text, "now")) {
		*ret_us = clock_wall_us();
		return 0;
	}
	if (*text == '-')
		return parse_relative(text, ret_us);
	int y, m, d, n = 0;
	if (sscanf(text, "%4d-%2d-%2d%n", &y, &m, &d, &n) != 3 || n != 10)
		return parse_epoch(text, ret_us);
	if (m < 1 || m > 12 || d < 1 || d > month_days[m - 1])
		return -1;
	int64_t us = 0;
	const char *t = text + n;
	if (*t && ((*t != 'T' && *t != 't' && *t != ' ') || parse_clock(t + 1, &us) != 0))
		return -1;
	*ret_us = date_to_days(y, m, d) * 86400000000 + us;
	return 0;
}
