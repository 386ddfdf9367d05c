#include "json/escape_internal.h"

#include "json/dialect_internal.h"
#include "json/scan_internal.h"

struct escape_set escape_sets[JSON_DIALECT_COUNT];
enum { ACT_PLAIN, ACT_HEX, ACT_HIGH, ACT_ANGLE }; /* others: the letter behind the backslash */

static uint8_t action_of(uint32_t c, uint32_t dialect)
{
	static const char shorts[] = { '"', '"', '\\', '\\', '\b', 'b', '\f', 'f', '\n', 'n', '\r', 'r', '\t', 't' };
	if (c >= 0x80)
		return (dialect & ESCAPE_HIGH) || (c == 0xe2 && (dialect & ESCAPE_LINES)) || (c == 0xc2 && (dialect & ESCAPE_NEL)) ? ACT_HIGH
																   : ACT_PLAIN;
	if (hex_dialects(c) & dialect)
		return ACT_HEX;
	if (c == '<')
		return dialect & ESCAPE_CLOSING ? ACT_ANGLE : ACT_PLAIN;
	if (c == '/')
		return dialect & ESCAPE_SLASH ? '/' : ACT_PLAIN;
	for (size_t i = 0; i < sizeof shorts; i += 2)
		if ((uint8_t)shorts[i] == c)
			return (uint8_t)shorts[i + 1];
	return ACT_PLAIN;
}

/* Rows of 16 bytes (one high half) with the same escaped members share a bit. Every dialect has at most 8 kinds of rows. */
static void split_halves(struct escape_set *set)
{
	uint16_t kinds[8];
	unsigned count = 0;
	for (unsigned h = 0; h < 16; h++) {
		uint16_t row = 0;
		for (unsigned l = 0; l < 16; l++)
			row |= (uint16_t)((set->action[h << 4 | l] != ACT_PLAIN) << l);
		unsigned k = 0;
		while (k < count && kinds[k] != row)
			k++;
		if (!row || (k == count && count == 8))
			continue;
		if (k == count)
			kinds[count++] = row;
		set->high[h] |= (uint8_t)(1u << k);
		for (unsigned l = 0; l < 16; l++)
			if (row >> l & 1)
				set->low[l] |= (uint8_t)(1u << k);
	}
}

__attribute__((constructor)) static void escape_tables(void)
{
	for (unsigned d = 0; d < JSON_DIALECT_COUNT; d++) {
		for (uint32_t c = 0; c < 256; c++)
			escape_sets[d].action[c] = action_of(c, (uint32_t)1 << d);
		split_halves(&escape_sets[d]);
	}
}

static size_t put_hex(uint8_t *out, uint32_t unit, const char *digits)
{
	out[0] = '\\';
	out[1] = 'u';
	for (int i = 0; i < 4; i++)
		out[2 + i] = (uint8_t)digits[unit >> (12 - 4 * i) & 15];
	return 6;
}

/* The character at p (≥ 0x80) as the dialect writes it, into out[12]; *ret_len: its bytes in the source. */
static size_t escape_high(const uint8_t *p, const uint8_t *end, uint32_t dialect, const char *digits, uint8_t *out, size_t *ret_len)
{
	int n = utf8_step(p, end);
	uint32_t cp = 0xfffd;
	*ret_len = n > 0 ? (size_t)n : 1;
	if (n == 2)
		cp = (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
	else if (n == 3)
		cp = (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
	else if (n == 4)
		cp = (p[0] & 0x07u) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);
	if (!(hex_dialects(cp) & dialect)) {
		memcpy(out, p, *ret_len);
		return *ret_len;
	}
	if (cp < 0x10000)
		return put_hex(out, cp, digits);
	size_t len = put_hex(out, 0xd800 + ((cp - 0x10000) >> 10), digits);
	return len + put_hex(out + len, 0xdc00 + (cp & 0x3ff), digits);
}

#define PIECE 512 /* bytes escaped at a time */
#define ESCAPE_MOST 12 /* bytes of one escape */

#if defined(__x86_64__)
ESCAPE_AVX2 static size_t copy_clean_long(uint8_t *out, const uint8_t *p, size_t n, const struct escape_set *set)
{
	size_t whole = n & ~(size_t)31, done = escape_copy_clean_avx2(out, p, whole, set);
	return done < whole ? done : done + escape_copy_clean(out + done, p + done, n - done, set);
}
#endif

static size_t copy_clean(uint8_t *out, const uint8_t *p, size_t n, const struct escape_set *set)
{
#if defined(__x86_64__)
	if (n >= 32 && json_scan_simd)
		return copy_clean_long(out, p, n, set);
#endif
	return escape_copy_clean(out, p, n, set);
}

void json_string_escape(struct slice utf8, enum json_dialect dialect, struct buf *ret)
{
	const uint32_t bit = (uint32_t)1 << dialect;
	const struct escape_set *set = &escape_sets[dialect];
	static const char lower[] = "0123456789abcdef", upper[] = "0123456789ABCDEF";
	const char *digits = bit & UPPER_HEX ? upper : lower;
	const uint8_t *p = utf8.data, *end = p + utf8.len;
	uint8_t piece[PIECE * 6 + ESCAPE_MOST + 32];
	while (p < end) {
		const uint8_t *stop = (size_t)(end - p) < PIECE ? end : p + PIECE;
		uint8_t *out = piece;
		while (p < stop) {
			size_t clean = copy_clean(out, p, (size_t)(stop - p), set), taken = 1;
			out += clean;
			p += clean;
			if (p == stop)
				break;
			switch (set->action[*p]) {
			case ACT_HEX:
				out += put_hex(out, *p, bit & upper_dialects(*p) ? upper : lower);
				break;
			case ACT_HIGH: /* its bytes may lie past stop */
				out += escape_high(p, end, bit, digits, out, &taken);
				break;
			case ACT_ANGLE:
				*out++ = '<';
				if (end - p > 1 && p[1] == '/') {
					memcpy(out, "\\/", 2);
					out += 2;
					taken = 2;
				}
				break;
			default:
				*out++ = '\\';
				*out++ = set->action[*p];
			}
			p += taken;
		}
		buf_append(ret, piece, (size_t)(out - piece));
	}
}
