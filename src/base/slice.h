/* A borrowed run of bytes. Plain value: pass it by value, it owns nothing. Not NUL-terminated. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
	const uint8_t *data; /* may be NULL only when len is 0 */
	size_t len;          /* bytes */
};

#define SLICE_LIT(s) ((struct slice){ (const uint8_t *)("" s), sizeof(s) - 1 })
/* For printf: printf("%.*s", SLICE_ARG(s)). */
#define SLICE_ARG(s) (int)((s).len), (const char *)((s).data ? (s).data : (const uint8_t *)"")

static inline struct slice slice_of(const void *data, size_t len)
{
	return (struct slice){ data, len };
}

static inline struct slice slice_str(const char *s)
{
	return (struct slice){ (const uint8_t *)s, strlen(s) };
}

static inline bool slice_eq(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool slice_eq_str(struct slice a, const char *s)
{
	return slice_eq(a, slice_str(s));
}

static inline bool slice_starts(struct slice a, struct slice prefix)
{
	return a.len >= prefix.len && (prefix.len == 0 || memcmp(a.data, prefix.data, prefix.len) == 0);
}

/* Bytewise order, the shorter first when one is a prefix of the other. */
static inline int slice_cmp(struct slice a, struct slice b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int c = n ? memcmp(a.data, b.data, n) : 0;
	return c ? c : (a.len > b.len) - (a.len < b.len);
}

/* The bytes from offset on; an offset past the end gives an empty slice. */
static inline struct slice slice_skip(struct slice a, size_t offset)
{
	if (offset > a.len)
		offset = a.len;
	return (struct slice){ a.data ? a.data + offset : NULL, a.len - offset };
}

#endif
