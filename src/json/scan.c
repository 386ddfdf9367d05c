#include "json/scan_internal.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* 1: stands for itself in a string (not a control, quote, backslash or beyond ASCII). */
static const uint8_t scan_plain[256] = {
	[0x20 ... 0x21] = 1, [0x23 ... 0x5b] = 1, [0x5d ... 0x7f] = 1,
};
/* 1: hex digit. */
static const uint8_t scan_hex[256] = { ['0' ... '9'] = 1, ['a' ... 'f'] = 1, ['A' ... 'F'] = 1 };

static const uint8_t *scan_fault(struct scan *s, const uint8_t *at, const char *message, bool truncated)
{
	s->at = at;
	s->message = message;
	s->truncated = truncated;
	return NULL;
}

/* Is any of the 8 bytes a control, quote, backslash or beyond ASCII? May say yes wrongly only behind a byte that is one. */
static inline bool scan_word_special(uint64_t v)
{
	const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
	uint64_t quote = v ^ ones * '"', backslash = v ^ ones * '\\';
	return (((quote - ones) & ~quote) | ((backslash - ones) & ~backslash) | (v - ones * 0x20) | v) & tops;
}

/* p: a backslash inside a string. Returns the byte behind the escape, or NULL. */
static const uint8_t *scan_escape(const uint8_t *p, struct scan *s)
{
	p++;
	if (p >= s->end)
		return scan_fault(s, s->end, "the text ends inside an escape", true);
	switch (*p) {
	case '"': case '\\': case '/': case 'b': case 'f': case 'n': case 'r': case 't':
		return p + 1;
	case 'u':
		p++;
		for (int i = 0; i < 4; i++, p++) {
			if (p >= s->end)
				return scan_fault(s, s->end, "the text ends inside an escape", true);
			if (!scan_hex[*p])
				return scan_fault(s, p, "\\u must be followed by four hex digits", false);
		}
		return p;
	default:
		return scan_fault(s, p, "unknown escape in a string", false);
	}
}

/* p: t, f or n. Returns the byte behind true, false or null, or NULL. */
static const uint8_t *scan_literal(const uint8_t *p, struct scan *s)
{
	const char *word = *p == 't' ? "true" : *p == 'f' ? "false" : "null";
	for (; *word; word++, p++) {
		if (p >= s->end)
			return scan_fault(s, s->end, "the text ends inside true, false or null", true);
		if (*p != (uint8_t)*word)
			return scan_fault(s, p, "expected true, false or null", false);
	}
	return p;
}

/* May a number or literal that stands alone end here? */
static bool scan_delimited(const uint8_t *p, struct scan *s)
{
	if (p >= s->end || json_is_space(*p) || memchr(",]}{[\"", *p, 6))
		return true;
	scan_fault(s, p, "unexpected character behind a number or literal", false);
	return false;
}

#if defined(__x86_64__)
/* The step whose text is these bytes, zeros behind them; a new one if there is none; NULL if there is no room for it. */
static struct scan_step *scan_step_find(struct scan_memo *memo, const uint8_t text[SCAN_STEP_TEXT], uint8_t len)
{
	uint64_t w[SCAN_STEP_TEXT / 8], h = len;
	memcpy(w, text, sizeof w);
	for (size_t i = 0; i < SCAN_STEP_TEXT / 8; i++)
		h = (h ^ w[i]) * 0x9e3779b97f4a7c15u;
	const size_t mask = 2 * SCAN_STEPS - 1;
	size_t at = (size_t)(h >> 40) & mask;
	for (; memo->table[at]; at = (at + 1) & mask) {
		struct scan_step *step = &memo->steps[memo->table[at]];
		if (memcmp(step->text, text, SCAN_STEP_TEXT) == 0)
			return step;
	}
	if (memo->count == SCAN_STEPS)
		return NULL;
	struct scan_step *step = &memo->steps[memo->count];
	memcpy(step->text, text, SCAN_STEP_TEXT);
	step->mask = len < 32 ? (1u << len) - 1 : UINT32_MAX;
	step->next = memo->steps;
	step->len = len;
	step->string = text[len - 1] == '"';
	memo->table[at] = memo->count++;
	return step;
}

/* The member [from, to) was scanned: it is what follows the last step. */
static void scan_learn(struct scan *s, const uint8_t *from, const uint8_t *to)
{
	to += to < s->end && *to == '"';
	if (to - from > SCAN_STEP_TEXT)
		return;
	uint8_t text[SCAN_STEP_TEXT] = { 0 };
	memcpy(text, from, (size_t)(to - from));
	struct scan_step *step = scan_step_find(s->memo, text, (uint8_t)(to - from));
	if (!step) {
		s->memo = NULL; /* ever new keys */
		return;
	}
	s->step->next = step;
	s->step = step;
}
#endif

#define SCAN_NAME(x) x##_portable
#define SCAN_TARGET
#define SCAN_AVX2 0
#include "json/scan_kernel_internal.h"
#undef SCAN_NAME
#undef SCAN_TARGET
#undef SCAN_AVX2

bool json_scan_simd;

#if defined(__x86_64__)
#define SCAN_NAME(x) x##_avx2
#define SCAN_TARGET __attribute__((target("avx2,bmi")))
#define SCAN_AVX2 1
#include "json/scan_kernel_internal.h"

__attribute__((constructor)) static void scan_detect(void)
{
	json_scan_use_simd(true);
}

void json_scan_use_simd(bool use)
{
	__builtin_cpu_init();
	json_scan_simd = use && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}
#else
const uint8_t *scan_value_avx2(const uint8_t *p, struct scan *s)
{
	return scan_value_portable(p, s);
}

void json_scan_use_simd(bool use)
{
	json_scan_simd = use;
}
#endif

bool json_scan_has_simd(void)
{
	return json_scan_simd;
}

rc_t json_validate_within(struct slice text, const uint8_t *readable, const struct json_limits *limits, struct scan_memo *memo,
                          size_t *ret_end, struct json_error *ret_error)
{
	static const uint8_t nothing[1];
	const uint8_t *from = text.data ? text.data : nothing;
	uint32_t depth = limits && limits->depth ? limits->depth : JSON_DEPTH_DEFAULT;
	struct scan s = { .end = from + text.len,
		          .readable = text.data ? readable : from,
		          .memo = memo,
		          .step = memo ? memo->steps : NULL,
		          .depth_max = depth < JSON_DEPTH_MAX ? depth : JSON_DEPTH_MAX };
	const uint8_t *behind = json_scan_simd ? scan_value_avx2(from, &s) : scan_value_portable(from, &s);
	if (behind) {
		*ret_end = (size_t)(behind - from);
		return RC_OK;
	}
	if (ret_error)
		*ret_error = (struct json_error){ (size_t)(s.at - from), s.message, s.truncated };
	return s.too_deep ? RC_LIMIT : RC_INVALID;
}

rc_t json_validate(struct slice text, const struct json_limits *limits, size_t *ret_end, struct json_error *ret_error)
{
	return json_validate_within(text, text.data + text.len, limits, NULL, ret_end, ret_error);
}

rc_t json_validate_all(struct slice text, const struct json_limits *limits, struct slice *ret_value, struct json_error *ret_error)
{
	size_t behind;
	TRY(json_validate(text, limits, &behind, ret_error));
	const uint8_t *end = text.data + text.len, *rest = json_space(text.data + behind, end);
	if (rest < end) {
		if (ret_error)
			*ret_error = (struct json_error){ (size_t)(rest - text.data), "unexpected text behind the value", false };
		return RC_INVALID;
	}
	if (ret_value) {
		const uint8_t *from = json_space(text.data, end);
		*ret_value = slice_of(from, (size_t)(text.data + behind - from));
	}
	return RC_OK;
}

bool json_utf8_valid(struct slice text, size_t *ret_valid)
{
	const uint8_t *p = text.data, *end = text.data + text.len;
	while (p < end) {
		while (end - p >= 16) {
			uint64_t a, b;
			memcpy(&a, p, 8);
			memcpy(&b, p + 8, 8);
			if ((a | b) & 0x8080808080808080u)
				break;
			p += 16;
		}
		while (p < end && *p < 0x80)
			p++;
		while (p < end && *p >= 0x80) {
			int n = utf8_step(p, end);
			if (n <= 0) {
				if (ret_valid)
					*ret_valid = (size_t)(p - text.data);
				return false;
			}
			p += n;
		}
	}
	if (ret_valid)
		*ret_valid = text.len;
	return true;
}

void json_line_column(struct slice text, size_t offset, uint64_t *ret_line, uint64_t *ret_column)
{
	uint64_t line = 1, column = 1;
	if (offset > text.len)
		offset = text.len;
	const uint8_t *p = text.data, *at = text.data + offset;
	for (const uint8_t *lf; p < at && (lf = memchr(p, '\n', (size_t)(at - p))); p = lf + 1)
		line++;
	for (; p < at; p++)
		column += (*p & 0xc0) != 0x80;
	*ret_line = line;
	*ret_column = column;
}

/* A string, number or literal. */
static const uint8_t *scalar_end(const uint8_t *p, const uint8_t *end)
{
	uint32_t marks;
	switch (*p) {
	case '"':
		p = json_string_end(p + 1, end, &marks);
		return p < end ? p + 1 : end;
	case 't':
	case 'n':
		return end - p < 4 ? end : p + 4;
	case 'f':
		return end - p < 5 ? end : p + 5;
	default:
		return json_number_end(p, end);
	}
}

const uint8_t *json_value_end(const uint8_t *p, const uint8_t *end)
{
	if (p >= end)
		return end;
	if (*p != '{' && *p != '[')
		return scalar_end(p, end);
	size_t depth = 0;
	uint32_t marks;
	while (p < end) {
#ifdef __SSE2__
		/* brackets and quotes: [ { differ from each other in bit 5 only, and so do ] } */
		if (end - p >= 16) {
			__m128i v = _mm_loadu_si128((const __m128i *)p), folded = _mm_or_si128(v, _mm_set1_epi8(0x20));
			__m128i hit = _mm_or_si128(_mm_cmpeq_epi8(folded, _mm_set1_epi8('{')), _mm_cmpeq_epi8(folded, _mm_set1_epi8('}')));
			uint32_t m = (uint32_t)_mm_movemask_epi8(_mm_or_si128(hit, _mm_cmpeq_epi8(v, _mm_set1_epi8('"'))));
			if (!m) {
				p += 16;
				continue;
			}
			p += __builtin_ctz(m);
		}
#endif
		uint8_t c = *p++;
		if (c == '"') {
			p = json_string_end(p, end, &marks);
			p += p < end;
		} else if (c == '{' || c == '[') {
			depth++;
		} else if ((c == '}' || c == ']') && --depth == 0) {
			return p;
		}
	}
	return end;
}
