#include "parquet/footer_value.h"

#include <string.h>

#include "base/mem.h"

#define PREFIX "base64:"
#define PREFIX_LEN (sizeof PREFIX - 1)

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Length of the well-formed UTF-8 character at s (RFC 3629), 0 if there is none. */
static size_t utf8_character(const uint8_t *s, size_t len)
{
	uint8_t first = s[0];
	if (first < 0x80)
		return 1;
	size_t n = first >= 0xc2 && first <= 0xdf ? 2 : (first & 0xf0) == 0xe0 ? 3 : first >= 0xf0 && first <= 0xf4 ? 4 : 0;
	if (!n || n > len)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	bool overlong = (first == 0xe0 && s[1] < 0xa0) || (first == 0xf0 && s[1] < 0x90);
	bool surrogate = first == 0xed && s[1] > 0x9f, beyond = first == 0xf4 && s[1] > 0x8f;
	return overlong || surrogate || beyond ? 0 : n;
}

static bool is_text(struct slice s)
{
	for (size_t i = 0, n; i < s.len; i += n)
		if (!(n = utf8_character(s.data + i, s.len - i)))
			return false;
	return true;
}

static bool has_prefix(struct slice s)
{
	return s.len >= PREFIX_LEN && !memcmp(s.data, PREFIX, PREFIX_LEN);
}

struct slice footer_value_encode(struct slice value)
{
	if (is_text(value) && !has_prefix(value)) {
		uint8_t *copy = mem_alloc(value.len + 1);
		if (value.len)
			memcpy(copy, value.data, value.len);
		return slice_of(copy, value.len);
	}
	size_t len = PREFIX_LEN + (value.len + 2) / 3 * 4;
	uint8_t *out = mem_alloc(len), *p = out;
	memcpy(p, PREFIX, PREFIX_LEN);
	p += PREFIX_LEN;
	for (size_t i = 0; i < value.len; i += 3) {
		size_t left = value.len - i;
		uint32_t v = (uint32_t)value.data[i] << 16 | (left > 1 ? (uint32_t)value.data[i + 1] << 8 : 0) | (left > 2 ? value.data[i + 2] : 0);
		*p++ = (uint8_t)digits[v >> 18];
		*p++ = (uint8_t)digits[v >> 12 & 63];
		*p++ = left > 1 ? (uint8_t)digits[v >> 6 & 63] : '=';
		*p++ = left > 2 ? (uint8_t)digits[v & 63] : '=';
	}
	return slice_of(out, len);
}

struct slice footer_value_decode(struct slice text, struct arena *a)
{
	if (!has_prefix(text) || (text.len - PREFIX_LEN) % 4)
		return text;
	const uint8_t *in = text.data + PREFIX_LEN, *end = text.data + text.len;
	size_t pad = end > in ? (size_t)(end[-1] == '=') + (end[-1] == '=' && end[-2] == '=') : 0;
	size_t len = (size_t)(end - in) / 4 * 3 - pad;
	int8_t value[256];
	memset(value, -1, sizeof value);
	for (int i = 0; i < 64; i++)
		value[(uint8_t)digits[i]] = (int8_t)i;
	uint8_t *out = arena_alloc(a, len + 3);
	for (size_t at = 0; in < end; in += 4, at += 3) {
		uint32_t v = 0;
		for (size_t k = 0; k < 4; k++) {
			bool padding = end - in == 4 && k >= 4 - pad;
			if (!padding && value[in[k]] < 0)
				return text;
			v = v << 6 | (padding ? 0 : (uint32_t)value[in[k]]);
		}
		for (size_t k = 0; k < 3; k++)
			out[at + k] = (uint8_t)(v >> (16 - 8 * k));
	}
	return slice_of(out, len);
}
