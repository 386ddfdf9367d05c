#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app.h"
#include "os/clock.h"

int usage_error(const char *command, const char *fmt, ...)
{
	va_list ap;
	fprintf(stderr, "hydrant%s%s: ", command ? " " : "", command ? command : "");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return EXIT_USAGE;
}

int fail(const struct err *err)
{
	fprintf(stderr, "hydrant: %s\n", err->text);
	return EXIT_FAILED;
}

void format_bytes(uint64_t bytes, char out[16])
{
	static const char *const units[] = { "B", "KB", "MB", "GB", "TB", "PB" };
	double v = (double)bytes;
	unsigned u = 0;
	for (; v >= 1000 && u < 5; u++)
		v /= 1000;
	snprintf(out, 16, v >= 100 || u == 0 ? "%.0f %s" : v >= 10 ? "%.1f %s" : "%.2f %s", v, units[u]);
}

void format_count(uint64_t n, char out[32])
{
	char digits[24];
	int len = snprintf(digits, sizeof digits, "%" PRIu64, n), o = 0;
	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			out[o++] = ',';
		out[o++] = digits[i];
	}
	out[o] = 0;
}

/* "64M", "1G", "5000", "2k" (binary multiples). */
static bool parse_number(const char *text, int64_t *ret)
{
	char *end;
	double v = strtod(text, &end);
	if (end == text || !(v >= 0)) /* not a number is neither */
		return false;
	int64_t unit = 1;
	switch (*end) {
	case 'k': case 'K': unit = 1 << 10; end++; break;
	case 'm': case 'M': unit = 1 << 20; end++; break;
	case 'g': case 'G': unit = 1 << 30; end++; break;
	}
	if (*end || !(v * (double)unit < 9e18))
		return false;
	*ret = (int64_t)(v * (double)unit);
	return true;
}

static bool take_value(const struct command *c, const struct option_def *o, const char *value, int *ret_exit)
{
	if (o->type == OPTION_TEXT) {
		*(const char **)o->target = value;
	} else if (o->type == OPTION_LIST) {
		const char **list = o->target;
		size_t n = 0;
		while (list[n])
			n++;
		if (n == OPTION_LIST_MAX) {
			*ret_exit = usage_error(c->name, "%s can be given %d times at most", o->name, OPTION_LIST_MAX);
			return false;
		}
		list[n] = value;
	} else if (o->type == OPTION_NUMBER && !parse_number(value, o->target)) {
		*ret_exit = usage_error(c->name, "%s wants a number, not '%s'", o->name, value);
		return false;
	} else if (o->type == OPTION_TIME && time_parse(value, o->target) != 0) {
		*ret_exit = usage_error(c->name, "%s wants a time such as 2026-11-22, 2026-11-22T10:00:00Z, -15m or -7d, not '%s'", o->name, value);
		return false;
	}
	return true;
}

static int print_help(const struct command *c, const struct option_def *defs)
{
	printf("usage: hydrant %s %s\n%s\n", c->name, c->usage, c->summary);
	if (c->help)
		printf("\n%s\n", c->help);
	if (defs->name)
		printf("\noptions\n");
	for (const struct option_def *o = defs; o->name; o++) {
		char left[48];
		snprintf(left, sizeof left, "%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
		if (*o->help)
			printf("  %-22s %s\n", left, o->help);
	}
	printf("\n`hydrant -h` lists the global options (--lake, --data, --server)\n");
	return EXIT_DONE;
}

static const struct option_def *find_option(const struct option_def *defs, const char *arg, const char **ret_value)
{
	size_t n = strcspn(arg, "=");
	*ret_value = arg[n] ? arg + n + 1 : NULL;
	for (const struct option_def *o = defs; o->name; o++)
		if (strlen(o->name) == n && !strncmp(o->name, arg, n))
			return o;
	return NULL;
}

/* One argument that starts with '-'. Returns false when the command is not to go on. */
static bool take_option(const struct command *c, const struct option_def *defs, int argc, char **argv, int *i, int *ret_exit)
{
	if (!strcmp(argv[*i], "-h") || !strcmp(argv[*i], "--help")) {
		*ret_exit = print_help(c, defs);
		return false;
	}
	const char *value;
	const struct option_def *o = find_option(defs, argv[*i], &value);
	if (!o) {
		*ret_exit = usage_error(c->name, "there is no option '%s'; `hydrant %s -h` lists them. What is none and begins with - stands behind --: hydrant %s … -- '%s'",
					argv[*i], c->name, c->name, argv[*i]);
		return false;
	}
	if (o->type == OPTION_FLAG) {
		*(bool *)o->target = true;
		return true;
	}
	if (!value && *i + 1 >= argc) {
		*ret_exit = usage_error(c->name, "%s needs a value: %s %s", o->name, o->name, o->value);
		return false;
	}
	return take_value(c, o, value ? value : argv[++*i], ret_exit);
}

bool options_parse(const struct command *c, int *argc, char **argv, const struct option_def *defs, int min, int max, int *ret_exit)
{
	int kept = 1;
	bool only_arguments = false;
	for (int i = 1; i < *argc; i++) {
		if (!only_arguments && !strcmp(argv[i], "--"))
			only_arguments = true;
		else if (only_arguments || argv[i][0] != '-' || !argv[i][1])
			argv[kept++] = argv[i];
		else if (!take_option(c, defs, *argc, argv, &i, ret_exit))
			return false;
	}
	*argc = kept;
	argv[kept] = NULL;
	if (kept - 1 < min || (max >= 0 && kept - 1 > max)) {
		*ret_exit = usage_error(c->name, "usage: hydrant %s %s", c->name, c->usage);
		return false;
	}
	return true;
}
