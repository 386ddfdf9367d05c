#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>

struct arena_chunk {
	struct arena_chunk *prev;
	size_t size; /* bytes behind this header */
};

#define ARENA_FIRST 4096
#define ARENA_LARGEST ((size_t)1 << 20) /* chunks double up to this; larger requests get a chunk of their own */
#define ARENA_HEADER ((sizeof(struct arena_chunk) + 15) & ~(size_t)15)

void arena_init(struct arena *a)
{
	*a = (struct arena){ 0 };
}

void arena_free(struct arena *a)
{
	for (struct arena_chunk *c = a->head, *prev; c; c = prev) {
		prev = c->prev;
		free(c);
	}
	*a = (struct arena){ 0 };
}

void arena_reset(struct arena *a)
{
	struct arena_chunk *keep = a->head;
	if (!keep)
		return;
	for (struct arena_chunk *c = keep->prev, *prev; c; c = prev) {
		prev = c->prev;
		free(c);
	}
	keep->prev = NULL;
	a->next = (uint8_t *)keep + ARENA_HEADER;
	a->end = a->next + keep->size;
	a->bytes = ARENA_HEADER + keep->size;
}

void *arena_alloc_slow(struct arena *a, size_t bytes)
{
	size_t size = a->head ? a->head->size * 2 : ARENA_FIRST;
	if (size > ARENA_LARGEST)
		size = ARENA_LARGEST;
	if (size < bytes)
		size = bytes;
	struct arena_chunk *c = mem_alloc(ARENA_HEADER + size);
	c->size = size;
	a->bytes += ARENA_HEADER + size;
	uint8_t *data = (uint8_t *)c + ARENA_HEADER;
	if (a->head && size - bytes < (size_t)(a->end - a->next)) {
		/* An outsize request: keep filling the present chunk, hang this one behind it. */
		c->prev = a->head->prev;
		a->head->prev = c;
		return data;
	}
	c->prev = a->head;
	a->head = c;
	a->next = data + bytes;
	a->end = data + size;
	return data;
}

void *arena_zalloc(struct arena *a, size_t bytes)
{
	return memset(arena_alloc(a, bytes), 0, bytes);
}

struct slice arena_copy(struct arena *a, struct slice s)
{
	if (!s.len)
		return (struct slice){ 0 };
	return slice_of(memcpy(arena_alloc(a, s.len), s.data, s.len), s.len);
}

char *arena_cstr(struct arena *a, struct slice s)
{
	char *p = arena_alloc(a, s.len + 1);
	if (s.len)
		memcpy(p, s.data, s.len);
	p[s.len] = 0;
	return p;
}

char *arena_strdup(struct arena *a, const char *s)
{
	return arena_cstr(a, slice_str(s));
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap, again;
	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	char *p = arena_alloc(a, (size_t)(n < 0 ? 0 : n) + 1);
	if (n < 0)
		*p = 0;
	else
		vsnprintf(p, (size_t)n + 1, fmt, again);
	va_end(again);
	return p;
}
