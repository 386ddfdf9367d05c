#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){ .max = max };
}

void buf_free(struct buf *b)
{
	if (!b)
		return;
	free(b->data);
	*b = (struct buf){ .max = b->max };
}

void buf_reset(struct buf *b)
{
	b->len = 0;
	b->overflow = false;
}

bool buf_grow(struct buf *b, size_t more)
{
	if (more > b->max - b->len || b->len > b->max) {
		b->overflow = true;
		return false;
	}
	size_t want = b->len + more, cap = b->cap ? b->cap : 64;
	while (cap < want)
		cap += cap < (1u << 20) ? cap : cap / 2;
	if (cap > b->max)
		cap = b->max;
	b->data = mem_realloc(b->data, cap);
	b->cap = cap;
	return true;
}

void buf_append_slow(struct buf *b, const void *data, size_t len)
{
	if (!buf_grow(b, len))
		return;
	memcpy(b->data + b->len, data, len);
	b->len += len;
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	va_list again;
	va_copy(again, ap);
	char small[512];
	int n = vsnprintf(small, sizeof small, fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof small) {
		buf_append(b, small, (size_t)n);
	} else if (n >= 0) {
		char *big = mem_alloc((size_t)n + 1);
		vsnprintf(big, (size_t)n + 1, fmt, again);
		buf_append(b, big, (size_t)n);
		free(big);
	}
	va_end(again);
}

void buf_varint(struct buf *b, uint64_t v)
{
	uint8_t tmp[10];
	size_t n = 0;
	while (v >= 0x80) {
		tmp[n++] = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	tmp[n++] = (uint8_t)v;
	buf_append(b, tmp, n);
}

bool slice_varint(struct slice s, size_t *pos, uint64_t *ret)
{
	uint64_t v = 0;
	size_t p = *pos;
	for (unsigned shift = 0; shift < 64; shift += 7) {
		if (p >= s.len)
			return false;
		uint8_t c = s.data[p++];
		if (shift == 63 && c > 1)
			return false;
		v |= (uint64_t)(c & 0x7f) << shift;
		if (!(c & 0x80)) {
			*pos = p;
			*ret = v;
			return true;
		}
	}
	return false;
}
