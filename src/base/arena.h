/* Bump allocator: many small things with one lifetime (process, batch, request), freed together. Not thread-safe. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/slice.h"
#include "base/mem.h"

struct arena_chunk;
struct arena {
	struct arena_chunk *head;
	uint8_t *next, *end;
	size_t bytes; /* allocated from the system, for budgets */
};

void arena_init(struct arena *a);
void arena_free(struct arena *a);
void arena_reset(struct arena *a); /* forget everything, keep the newest chunk */
void *arena_alloc_slow(struct arena *a, size_t bytes);

/* 16-byte aligned, not zeroed. */
static inline void *arena_alloc(struct arena *a, size_t bytes)
{
	bytes = (bytes + 15) & ~(size_t)15;
	if ((size_t)(a->end - a->next) < bytes)
		return arena_alloc_slow(a, bytes);
	void *p = a->next;
	a->next += bytes;
	return p;
}
void *arena_zalloc(struct arena *a, size_t bytes);
struct slice arena_copy(struct arena *a, struct slice s);
char *arena_strdup(struct arena *a, const char *s);
char *arena_cstr(struct arena *a, struct slice s); /* copy with a NUL behind it */
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
