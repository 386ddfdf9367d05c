/* Allocation that aborts when memory is out (the log makes a crash a restart; limits, not allocations, return), and
 * the cleanup attribute: AUTO(foo) struct foo *x = NULL; calls foo_free(x) at the end of the scope.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>
#include <stdlib.h>

void *mem_alloc(size_t bytes) __attribute__((malloc, returns_nonnull));
void *mem_zalloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
void *mem_realloc(void *p, size_t bytes) __attribute__((returns_nonnull));
char *mem_strdup(const char *s) __attribute__((malloc, returns_nonnull));
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2), malloc, returns_nonnull));

#define NEW(type) ((type *)mem_zalloc(1, sizeof(type)))

/* AUTO_DEFINE(type, free_fn) once beside the free function; then AUTO(type) *x = NULL. free_fn must take NULL. */
#define AUTO_DEFINE(name, free_fn)                       \
	static inline void name##_auto_(struct name **p) \
	{                                                \
		free_fn(*p);                             \
	}
#define AUTO(name) __attribute__((cleanup(name##_auto_))) struct name

static inline void mem_auto_free_(void *p)
{
	free(*(void **)p);
}
/* AUTO_MEM char *s = mem_strdup("…"); */
#define AUTO_MEM __attribute__((cleanup(mem_auto_free_)))

#endif
