#include "json/string.h"

#include "json/dialect_internal.h"
#include "json/scan_internal.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* Those that write this byte as itself; quotes around strings count so, too. Filled once when the program starts. */
static uint32_t raw_dialects[256];

__attribute__((constructor)) static void raw_tables(void)
{
	for (uint32_t c = 0; c < 256; c++) {
		raw_dialects[c] = c >= 0x80 ? ALL & ~ESCAPE_HIGH : c == '/' ? ALL & ~ESCAPE_SLASH : c == '"' ? ALL : ALL & ~hex_dialects(c);
		if (c < 0x20)
			raw_dialects[c] = ALL; /* only as white space between values */
	}
}

static int hex_value(uint8_t c)
{
	if ((uint8_t)(c - '0') < 10)
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four hex digits at p; -1 if there are none before end. */
static int32_t hex4(const uint8_t *p, const uint8_t *end)
{
	if (end - p < 4)
		return -1;
	int a = hex_value(p[0]), b = hex_value(p[1]), c = hex_value(p[2]), d = hex_value(p[3]);
	return (a | b | c | d) < 0 ? -1 : a << 12 | b << 8 | c << 4 | d;
}

/* p: the backslash of \uXXXX in valid text. The code point, a lone surrogate as such; *ret_len: bytes of the escape or the pair. */
static uint32_t unicode_escape(const uint8_t *p, const uint8_t *end, size_t *ret_len)
{
	int32_t cp = hex4(p + 2, end);
	*ret_len = 6;
	if (cp < 0) { /* not valid text: eat what is there */
		*ret_len = (size_t)(end - p) < 6 ? (size_t)(end - p) : 6;
		return 0xfffd;
	}
	if (cp >= 0xd800 && cp < 0xdc00 && end - p >= 12 && p[6] == '\\' && p[7] == 'u') {
		int32_t low = hex4(p + 8, end);
		if (low >= 0xdc00 && low < 0xe000) {
			*ret_len = 12;
			return 0x10000 + ((uint32_t)(cp - 0xd800) << 10) + (uint32_t)(low - 0xdc00);
		}
	}
	return (uint32_t)cp;
}

/* The dialects that write the hex letters among these digits in the case they have; upper: those that write A … F. */
static uint32_t case_dialects(const uint8_t *digits, uint32_t upper)
{
	uint32_t mask = ALL;
	for (int i = 0; i < 4; i++)
		if (digits[i] >= 'a')
			mask &= ~upper;
		else if (digits[i] >= 'A')
			mask &= upper;
	return mask;
}

/* p: a backslash in valid text, behind the byte `before`. The dialects that would have written this escape; *ret_len: its bytes. */
static uint32_t escape_dialects(const uint8_t *p, const uint8_t *end, uint8_t before, size_t *ret_len)
{
	*ret_len = 2;
	if (end - p < 2)
		return *ret_len = 1, 0;
	switch (p[1]) {
	case 'n': case 'r': case 't': case '\\':
		return ALL;
	case 'b': case 'f':
		return ALL & ~HEX_BF;
	case '"':
		return ALL & ~HEX_QUOTE;
	case '/':
		return ESCAPE_SLASH | (before == '<' ? ESCAPE_CLOSING : 0);
	case 'u':
		break;
	default:
		return 0;
	}
	uint32_t cp = unicode_escape(p, end, ret_len);
	if (*ret_len == 12)
		return ESCAPE_HIGH & case_dialects(p + 2, UPPER_HEX) & case_dialects(p + 8, UPPER_HEX);
	if (*ret_len < 6 || (cp >= 0xd800 && cp < 0xe000))
		return 0;
	return hex_dialects(cp) & case_dialects(p + 2, upper_dialects(cp));
}

/* p: a byte that stands for itself. The dialects that would have escaped it, or the / behind it. */
static uint32_t missed_dialects(const uint8_t *p, const uint8_t *end)
{
	if (*p == '<')
		return end - p >= 2 && p[1] == '/' ? ESCAPE_CLOSING : 0;
	if (*p == 0xc2)
		return end - p >= 2 ? hex_dialects(0x80 | (p[1] & 0x3f)) : 0;
	if (*p == 0xe2)
		return end - p >= 3 ? hex_dialects(0x2000 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3f)) : 0;
	return 0;
}

/* Bytes from p until `stop` is reached or passed, one by one; returns where it stands. */
static const uint8_t *dialects_bytewise(struct slice text, const uint8_t *p, const uint8_t *stop, uint32_t *mask)
{
	const uint8_t *end = text.data + text.len;
	uint32_t m = *mask;
	while (p < stop) {
		if (*p == '\\') {
			size_t len;
			m &= escape_dialects(p, end, p > text.data ? p[-1] : 0, &len);
			p += len;
		} else {
			m &= raw_dialects[*p] & ~missed_dialects(p, end);
			p++;
		}
	}
	*mask = m;
	return p;
}

#if defined(__x86_64__)
static const uint8_t keep_bytes[64] = { 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
					255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255 };

/* Up to 32 bytes a step: each byte's class by two table look-ups on its halves; an escape, or a byte 0xc2 or 0xe2, goes by itself. */
__attribute__((target("avx2"))) static const uint8_t *dialects_avx2(struct slice text, uint32_t *mask)
{
	const uint8_t *p = text.data, *end = p + text.len;
	enum { SLASH = 1, ANGLE = 2, AMP = 4, EQUALS = 8, APOS = 16, PLUS = 32, TICK = 64, DEL = 128 };
	const __m256i by_low = _mm256_broadcastsi128_si256(_mm_setr_epi8(TICK, 0, 0, 0, 0, 0, AMP, APOS, 0, 0, 0, PLUS, ANGLE, EQUALS, ANGLE,
	                                                                 (char)(SLASH | DEL)));
	const __m256i by_high = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 0, SLASH | AMP | APOS | PLUS, ANGLE | EQUALS, 0, 0, TICK, (char)DEL,
	                                                                  0, 0, 0, 0, 0, 0, 0, 0));
	const __m256i low4 = _mm256_set1_epi8(15);
	__m256i classes = _mm256_setzero_si256(), any = classes, closing = classes;
	while (end - p > 32) {
		__m256i v = _mm256_loadu_si256((const __m256i *)p), next = _mm256_loadu_si256((const __m256i *)(p + 1));
		__m256i c2_e2 = _mm256_cmpeq_epi8(_mm256_and_si256(v, _mm256_set1_epi8((char)~0x20)), _mm256_set1_epi8((char)0xc2));
		__m256i odd = _mm256_or_si256(_mm256_cmpeq_epi8(v, _mm256_set1_epi8('\\')), c2_e2);
		uint32_t odd_bits = (uint32_t)_mm256_movemask_epi8(odd), n = odd_bits ? (uint32_t)__builtin_ctz(odd_bits) : 32;
		if (__builtin_expect(odd_bits, 0))
			v = _mm256_and_si256(v, _mm256_loadu_si256((const __m256i *)(keep_bytes + 32 - n)));
		__m256i high = _mm256_and_si256(_mm256_srli_epi16(v, 4), low4);
		/* pshufb gives 0 for bytes ≥ 0x80 */
		classes = _mm256_or_si256(classes, _mm256_and_si256(_mm256_shuffle_epi8(by_low, v), _mm256_shuffle_epi8(by_high, high)));
		any = _mm256_or_si256(any, v);
		closing = _mm256_or_si256(closing, _mm256_and_si256(_mm256_cmpeq_epi8(v, _mm256_set1_epi8('<')), _mm256_cmpeq_epi8(next, _mm256_set1_epi8('/'))));
		p += n;
		if (odd_bits)
			do
				p = dialects_bytewise(text, p, p + 1, mask);
			while (end - p > 32 && *p == '\\');
	}
	uint8_t seen[32], all = 0;
	_mm256_storeu_si256((__m256i *)seen, classes);
	for (int i = 0; i < 32; i++)
		all |= seen[i];
	*mask &= ~((all & SLASH ? ESCAPE_SLASH : 0) | (all & (ANGLE | AMP) ? ESCAPE_HTML : 0) | (all & EQUALS ? ESCAPE_EQUALS : 0) |
	           (all & APOS ? ESCAPE_APOSTROPHE : 0) | (all & PLUS ? ESCAPE_PLUS : 0) | (all & TICK ? ESCAPE_BACKTICK : 0) |
	           (all & DEL ? ESCAPE_DEL : 0) | (_mm256_movemask_epi8(any) ? ESCAPE_HIGH : 0) |
	           (_mm256_movemask_epi8(closing) ? ESCAPE_CLOSING : 0));
	return p;
}
#endif

uint32_t json_text_dialects(struct slice text)
{
	uint32_t mask = ALL;
	const uint8_t *p = text.data;
#if defined(__x86_64__)
	if (text.len > 32 && json_scan_simd)
		p = dialects_avx2(text, &mask);
#endif
	dialects_bytewise(text, p, text.data + text.len, &mask);
	return mask;
}

static size_t put_utf8(uint8_t *out, uint32_t cp)
{
	if (cp < 0x80) {
		out[0] = (uint8_t)cp;
		return 1;
	}
	if (cp < 0x800) {
		out[0] = (uint8_t)(0xc0 | cp >> 6);
		out[1] = (uint8_t)(0x80 | (cp & 0x3f));
		return 2;
	}
	if (cp < 0x10000) {
		out[0] = (uint8_t)(0xe0 | cp >> 12);
		out[1] = (uint8_t)(0x80 | (cp >> 6 & 0x3f));
		out[2] = (uint8_t)(0x80 | (cp & 0x3f));
		return 3;
	}
	out[0] = (uint8_t)(0xf0 | cp >> 18);
	out[1] = (uint8_t)(0x80 | (cp >> 12 & 0x3f));
	out[2] = (uint8_t)(0x80 | (cp >> 6 & 0x3f));
	out[3] = (uint8_t)(0x80 | (cp & 0x3f));
	return 4;
}

bool json_string_unescape(struct slice raw, struct buf *ret)
{
	bool restorable = true;
	const uint8_t *p = raw.data, *end = p + raw.len;
	if (raw.len == 0 || !buf_reserve(ret, raw.len)) { /* the result is never longer than the text */
		if (raw.len)
			ret->overflow = true;
		return true;
	}
	uint8_t *out = ret->data + ret->len;
	while (p < end) {
		const uint8_t *slash = memchr(p, '\\', (size_t)(end - p));
		size_t run = (size_t)((slash ? slash : end) - p);
		memcpy(out, p, run);
		out += run;
		p += run;
		if (!slash || end - p < 2)
			break;
		size_t len = 2;
		uint32_t cp = p[1];
		switch (p[1]) {
		case 'b': cp = '\b'; break;
		case 'f': cp = '\f'; break;
		case 'n': cp = '\n'; break;
		case 'r': cp = '\r'; break;
		case 't': cp = '\t'; break;
		case 'u':
			cp = unicode_escape(p, end, &len);
			if (cp >= 0xd800 && cp < 0xe000) {
				cp = 0xfffd;
				restorable = false;
			}
			break;
		default:
			cp = p[1] < 0x80 ? p[1] : '?'; /* one of " \ / in valid text */
		}
		if (p[1] == 'u' && len < 6) /* not valid text: a broken \u at the end has no room for U+FFFD */
			cp = '?';
		out += put_utf8(out, cp);
		p += len;
	}
	ret->len = (size_t)(out - ret->data);
	return restorable;
}
