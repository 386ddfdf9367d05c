/* Iceberg single-value bytes (spec, Appendix D "Binary single-value serialization") and their truncation. */
#include "table/iceberg/manifest_internal.h"

/* Length of the UTF-8 sequence that starts with c; 1 for what starts none. */
static size_t utf8_len(uint8_t c)
{
	return c < 0xc2 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 1;
}

static uint32_t utf8_decode(const uint8_t *p, size_t n)
{
	uint32_t c = n == 1 ? p[0] : p[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++)
		c = c << 6 | (p[i] & 0x3f);
	return c;
}

static size_t utf8_encode(uint32_t c, uint8_t *p)
{
	if (c < 0x80) {
		p[0] = (uint8_t)c;
		return 1;
	}
	size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	for (size_t i = n - 1; i > 0; i--, c >>= 6)
		p[i] = (uint8_t)(0x80 | (c & 0x3f));
	p[0] = (uint8_t)((0xf00u >> n) | c);
	return n;
}

/* Whole, shortest-form characters only, no surrogates: what utf8_decode and string_grow count on. */
static bool utf8_clean(const uint8_t *p, size_t len)
{
	uint8_t again[4];
	for (size_t i = 0; i < len;) {
		size_t n = utf8_len(p[i]);
		if (n > len - i || (n == 1 && p[i] >= 0x80))
			return false;
		for (size_t k = 1; k < n; k++)
			if ((p[i + k] & 0xc0) != 0x80)
				return false;
		uint32_t c = utf8_decode(p + i, n);
		if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000) || utf8_encode(c, again) != n)
			return false;
		i += n;
	}
	return true;
}

/* The code point behind c in order, 0 behind the last. */
static uint32_t utf8_next(uint32_t c)
{
	return c == 0xd7ff ? 0xe000 : c >= 0x10ffff ? 0 : c + 1;
}

/* Makes the cut prefix larger than all that start with it: the last character that can grow grows, those behind it go. */
static size_t string_grow(uint8_t *p, size_t len)
{
	size_t starts[TABLE_BOUND_BYTES], n = 0;
	for (size_t i = 0; i < len; i += utf8_len(p[i]))
		starts[n++] = i;
	while (n--) {
		size_t at = starts[n], had = utf8_len(p[at]);
		if (at + had > len)
			continue;
		uint32_t next = utf8_next(utf8_decode(p + at, had));
		uint8_t tmp[4];
		if (!next)
			continue;
		size_t need = utf8_encode(next, tmp);
		if (at + need > TABLE_BOUND_BYTES)
			continue;
		memcpy(p + at, tmp, need);
		return at + need;
	}
	return 0;
}

static size_t binary_grow(uint8_t *p, size_t len)
{
	while (len && p[len - 1] == 0xff)
		len--;
	if (len)
		p[len - 1]++;
	return len;
}

struct slice bound_cut(const struct field *f, struct slice v, bool upper, uint8_t *out)
{
	bool text = f->type == TYPE_STRING;
	if (!v.data || v.len <= TABLE_BOUND_BYTES)
		return v;
	if (!text && f->type != TYPE_BINARY && f->type != TYPE_FIXED)
		return (struct slice){ NULL, 0 }; /* no value of these types is that long */
	size_t len = TABLE_BOUND_BYTES;
	if (text) /* a character is not cut: v goes on, so v.data[len] is there */
		while (len && (v.data[len] & 0xc0) == 0x80)
			len--;
	memcpy(out, v.data, len);
	if (upper && text && !utf8_clean(out, len))
		return (struct slice){ NULL, 0 };
	if (upper)
		len = text ? string_grow(out, len) : binary_grow(out, len);
	if (!len)
		return (struct slice){ NULL, 0 };
	return slice_of(out, len);
}

/* Big-endian two's complement in the fewest bytes. */
static struct slice decimal_bytes(struct slice value, uint8_t out[16])
{
	size_t n = value.len < 16 ? value.len : 16;
	for (size_t i = 0; i < n; i++)
		out[i] = value.data[n - 1 - i];
	size_t skip = 0;
	while (skip + 1 < n && ((out[skip] == 0 && out[skip + 1] < 0x80) || (out[skip] == 0xff && out[skip + 1] >= 0x80)))
		skip++;
	return slice_of(out + skip, n - skip);
}

struct slice table_bound(const struct field *f, struct slice value, uint8_t out[16])
{
	/* Little-endian fixed widths are Iceberg's form already; bool is one byte 0 or 1; UUIDs are kept big-endian. */
	return f->type == TYPE_DECIMAL ? decimal_bytes(value, out) : value;
}
