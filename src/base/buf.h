/* A growable byte buffer with a maximum.
 *
 * Appending past the maximum drops the bytes and sets `overflow`, which stays set until buf_reset: a caller may append
 * many times and check once. Memory exhaustion aborts. Zero-initialise with buf_init; buf_free twice is harmless.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/mem.h"
#include "base/slice.h"

struct buf {
	uint8_t *data;
	size_t len;    /* bytes in use */
	size_t cap;    /* bytes allocated */
	size_t max;    /* len never exceeds it */
	bool overflow; /* an append was dropped */
};

#define BUF_MAX_DEFAULT ((size_t)1 << 31) /* for internal buffers whose size is bounded elsewhere */

void buf_init(struct buf *b, size_t max);
void buf_free(struct buf *b);
void buf_reset(struct buf *b); /* len 0, memory kept */
bool buf_grow(struct buf *b, size_t more); /* slow path of buf_reserve */
void buf_append_slow(struct buf *b, const void *data, size_t len);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Room for `more` bytes behind len; false (and overflow) if that would pass max. */
static inline bool buf_reserve(struct buf *b, size_t more)
{
	return b->cap - b->len >= more ? true : buf_grow(b, more);
}

static inline void buf_append(struct buf *b, const void *data, size_t len)
{
	if (__builtin_expect(b->cap - b->len >= len, 1)) {
		if (len)
			memcpy(b->data + b->len, data, len);
		b->len += len;
	} else {
		buf_append_slow(b, data, len);
	}
}

static inline void buf_append_slice(struct buf *b, struct slice s)
{
	buf_append(b, s.data, s.len);
}

static inline void buf_append_str(struct buf *b, const char *s)
{
	buf_append(b, s, strlen(s));
}

static inline void buf_byte(struct buf *b, uint8_t c)
{
	if (buf_reserve(b, 1))
		b->data[b->len++] = c;
}

static inline struct slice buf_slice(const struct buf *b)
{
	return (struct slice){ b->data, b->len };
}

/* NUL-terminated view (the NUL is not counted in len). */
static inline char *buf_cstr(struct buf *b)
{
	if (b->cap == b->len) {
		size_t max = b->max;
		b->max = max + 1;
		buf_grow(b, 1);
		b->max = max;
	}
	b->data[b->len] = 0;
	return (char *)b->data;
}

AUTO_DEFINE(buf, buf_free)
static inline void buf_cleanup_(struct buf *b)
{
	buf_free(b);
}
/* AUTO_BUF struct buf b; buf_init(&b, …) — must be initialised before the first return. */
#define AUTO_BUF __attribute__((cleanup(buf_cleanup_)))

/* Little-endian and LEB128 helpers used by every format. */
static inline void buf_u32(struct buf *b, uint32_t v)
{
	buf_append(b, &v, 4);
}
static inline void buf_u64(struct buf *b, uint64_t v)
{
	buf_append(b, &v, 8);
}
void buf_varint(struct buf *b, uint64_t v); /* unsigned LEB128 */
static inline void buf_zigzag(struct buf *b, int64_t v)
{
	buf_varint(b, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

/* Reads an unsigned LEB128 at *pos (advanced); false if it is cut off or over 64 bits. */
bool slice_varint(struct slice s, size_t *pos, uint64_t *ret);

#endif
