#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void *mem_check(void *p, size_t bytes)
{
	if (p)
		return p;
	fprintf(stderr, "hydrant: out of memory (%zu bytes wanted); the log makes a restart safe\n", bytes);
	abort();
}

void *mem_alloc(size_t bytes)
{
	return mem_check(malloc(bytes ? bytes : 1), bytes);
}

void *mem_zalloc(size_t count, size_t size)
{
	return mem_check(calloc(count ? count : 1, size ? size : 1), count * size);
}

void *mem_realloc(void *p, size_t bytes)
{
	return mem_check(realloc(p, bytes ? bytes : 1), bytes);
}

char *mem_strdup(const char *s)
{
	size_t n = strlen(s) + 1;
	return memcpy(mem_alloc(n), s, n);
}

char *mem_printf(const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;
	va_start(ap, fmt);
	int n = vasprintf(&s, fmt, ap);
	va_end(ap);
	return mem_check(n < 0 ? NULL : s, n < 0 ? 0 : (size_t)n);
}
