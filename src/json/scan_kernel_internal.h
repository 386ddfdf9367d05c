/* The state machine of json_validate, included once for each instruction set by scan.c with
 *   SCAN_NAME(x)  x with the set's suffix
 *   SCAN_TARGET   function attribute
 *   SCAN_AVX2     1 or 0
 * so that its string and number loops are inlined in the set's own code. No guard: it is a template. */

#if SCAN_AVX2
/* A bit for each of 32 bytes that is a control, quote, backslash or beyond ASCII. */
SCAN_TARGET static inline uint32_t SCAN_NAME(scan_specials)(const uint8_t *p)
{
	__m256i v = _mm256_loadu_si256((const __m256i *)p);
	__m256i hit = _mm256_or_si256(_mm256_cmpeq_epi8(v, _mm256_set1_epi8('"')), _mm256_cmpeq_epi8(v, _mm256_set1_epi8('\\')));
	return (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(hit, _mm256_cmpgt_epi8(_mm256_set1_epi8(0x20), v))); /* from 0x80 on: negative */
}
#endif

/* p: behind the opening quote. Returns the byte behind the closing one, or NULL. */
SCAN_TARGET static inline const uint8_t *SCAN_NAME(scan_string)(const uint8_t *p, struct scan *s)
{
	for (;;) {
#if SCAN_AVX2
		while (s->readable - p >= 32) {
			uint32_t m = SCAN_NAME(scan_specials)(p);
			if (m) {
				p += __builtin_ctz(m);
				if (*p == '"' && p < s->end) /* nearly always */
					return p + 1;
				break;
			}
			p += 32;
		}
#else
		while (s->readable - p >= 8) {
			uint64_t v;
			memcpy(&v, p, 8);
			if (scan_word_special(v))
				break;
			p += 8;
		}
#endif
		while (p < s->end && scan_plain[*p])
			p++;
		if (p >= s->end)
			return scan_fault(s, s->end, "the text ends inside a string", true);
		if (*p == '"')
			return p + 1;
		if (*p == '\\') {
			p = scan_escape(p, s);
			if (!p)
				return NULL;
		} else if (*p >= 0x80) {
			do {
				int n = utf8_step(p, s->end);
				if (n <= 0)
					return n < 0 ? scan_fault(s, s->end, "the text ends inside a UTF-8 character", true)
					             : scan_fault(s, p, "invalid UTF-8", false);
				p += n;
			} while (p < s->end && *p >= 0x80);
		} else {
			return scan_fault(s, p, "control character in a string (it must be written as an escape)", false);
		}
	}
}

SCAN_TARGET static inline const uint8_t *SCAN_NAME(scan_digits)(const uint8_t *p, const struct scan *s)
{
#if SCAN_AVX2
	while (s->end - p >= 16) {
		__m128i v = _mm_sub_epi8(_mm_loadu_si128((const __m128i *)p), _mm_set1_epi8('0'));
		uint32_t digits = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(9)), v));
		if (digits != 0xffff)
			return p + __builtin_ctz(~digits);
		p += 16;
	}
#endif
	while (p < s->end && (uint8_t)(*p - '0') < 10)
		p++;
	return p;
}

#if SCAN_AVX2
/* A number as nearly all are: up to 31 digits, with a point or not. NULL: any other, or none. */
SCAN_TARGET static inline const uint8_t *SCAN_NAME(scan_short_number)(const uint8_t *p, const struct scan *s)
{
	p += *p == '-';
	if (s->readable - p < 32)
		return NULL;
	__m256i v = _mm256_sub_epi8(_mm256_loadu_si256((const __m256i *)p), _mm256_set1_epi8('0'));
	uint32_t digits = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_min_epu8(v, _mm256_set1_epi8(9)), v));
	uint32_t others = ~digits & 0x7fffffff;
	unsigned n = (unsigned)__builtin_ctz(others | 0x80000000);
	if (n == 0 || (*p == '0' && n > 1) || n == 31)
		return NULL;
	if (p[n] == '.') {
		unsigned point = n;
		others &= others - 1;
		n = (unsigned)__builtin_ctz(others | 0x80000000);
		if (n == point + 1 || n == 31)
			return NULL;
	}
	return (p[n] | 0x20) == 'e' ? NULL : p + n;
}
#endif

/* p: a digit or '-'. Returns the byte behind the number, or NULL. */
SCAN_TARGET static inline const uint8_t *SCAN_NAME(scan_number)(const uint8_t *p, struct scan *s)
{
#if SCAN_AVX2
	const uint8_t *behind = SCAN_NAME(scan_short_number)(p, s);
	if (behind)
		return behind;
#endif
	if (*p == '-')
		p++;
	if (p < s->end && *p == '0') {
		p++;
		if (p < s->end && (uint8_t)(*p - '0') < 10)
			return scan_fault(s, p, "a number must not begin with 0 and another digit", false);
	} else {
		const uint8_t *from = p;
		p = SCAN_NAME(scan_digits)(p, s);
		if (p == from)
			return scan_fault(s, p, "expected a digit", p >= s->end);
	}
	if (p < s->end && *p == '.') {
		const uint8_t *from = ++p;
		p = SCAN_NAME(scan_digits)(p, s);
		if (p == from)
			return scan_fault(s, p, "expected a digit after the decimal point", p >= s->end);
	}
	if (p < s->end && (*p | 0x20) == 'e') {
		p++;
		if (p < s->end && (*p == '+' || *p == '-'))
			p++;
		const uint8_t *from = p;
		p = SCAN_NAME(scan_digits)(p, s);
		if (p == from)
			return scan_fault(s, p, "expected a digit in the exponent", p >= s->end);
	}
	return p;
}

/* p: where a key is expected (white space allowed). Returns the byte behind its colon, or NULL. */
SCAN_TARGET static inline const uint8_t *SCAN_NAME(scan_key)(const uint8_t *p, struct scan *s)
{
	const uint8_t *const end = s->end;
	p = json_space(p, end);
	if (p >= end)
		return scan_fault(s, end, "the text ends inside an object", true);
	if (*p != '"')
		return scan_fault(s, p, *p == '}' ? "a comma must be followed by a member" : "expected a key in double quotes", false);
	if (!(p = SCAN_NAME(scan_string)(p + 1, s)))
		return NULL;
	if (p < end && *p == ':') /* nearly always */
		return p + 1;
	p = json_space(p, end);
	if (p >= end)
		return scan_fault(s, end, "the text ends inside an object", true);
	return *p == ':' ? p + 1 : scan_fault(s, p, "expected : after a key", false);
}

#if SCAN_AVX2
/* Do the bytes at p, of which 32 can be read, begin with the step's text? */
SCAN_TARGET static inline bool SCAN_NAME(scan_step_fits)(const struct scan_step *step, const uint8_t *p, const struct scan *s)
{
	__m256i same = _mm256_cmpeq_epi8(_mm256_loadu_si256((const __m256i *)p), _mm256_loadu_si256((const __m256i *)step->text));
	return !(~(uint32_t)_mm256_movemask_epi8(same) & step->mask) && step->len <= s->end - p;
}

/* p: before a value, 32 bytes readable. The byte behind it if it is a short number, true, false or null; else NULL. */
SCAN_TARGET static inline const uint8_t *SCAN_NAME(scan_short_scalar)(const uint8_t *p, const struct scan *s)
{
	const uint8_t *behind = SCAN_NAME(scan_short_number)(p, s);
	if (behind)
		return behind;
	if (memcmp(p, "null", 4) == 0 || memcmp(p, "true", 4) == 0)
		behind = p + 4;
	else if (memcmp(p, "false", 5) == 0)
		behind = p + 5;
	return behind && behind <= s->end ? behind : NULL;
}

/* p: behind a value in an object. Goes over members with plain values as long as they come as they were foretold. Returns where it stopped: behind a
 * value or, *ret_value, before one; NULL: a fault. */
SCAN_TARGET static inline const uint8_t *SCAN_NAME(scan_foretold)(const uint8_t *p, struct scan *s, bool *ret_value)
{
	struct scan_step *step = s->step;
	while (s->readable - p >= 2 * SCAN_STEP_TEXT && *p == ',' && SCAN_NAME(scan_step_fits)(step->next, p, s)) {
		step = step->next;
		p += step->len;
		const uint8_t *behind;
		if (step->string) {
			uint32_t m = SCAN_NAME(scan_specials)(p);
			behind = p + (m ? __builtin_ctz(m) : 0);
			behind = m && *behind == '"' && behind < s->end ? behind + 1 : SCAN_NAME(scan_string)(p, s);
		} else {
			behind = SCAN_NAME(scan_short_scalar)(p, s);
			*ret_value = !behind;
			behind = behind ? behind : p;
		}
		p = behind;
		if (!p || *ret_value)
			break;
	}
	s->step = step;
	return p;
}
#endif

/* p: the comma before a member, or its key's quote. Returns the byte behind its colon, and behind the quote of a string (*ret_string), or NULL. */
SCAN_TARGET static inline const uint8_t *SCAN_NAME(scan_member)(const uint8_t *p, struct scan *s, bool *ret_string)
{
	*ret_string = false;
#if SCAN_AVX2
	const uint8_t *from = p;
	if (s->memo && s->readable - p >= SCAN_STEP_TEXT) {
		struct scan_step *step = s->step->next;
		if (SCAN_NAME(scan_step_fits)(step, p, s)) {
			s->step = step;
			*ret_string = step->string;
			return p + step->len;
		}
	}
	p = SCAN_NAME(scan_key)(p + (*p == ','), s);
	if (p && s->memo)
		scan_learn(s, from, p);
	return p;
#else
	return SCAN_NAME(scan_key)(p + (*p == ','), s);
#endif
}

/* p: first byte of a value that is no container. Returns the byte behind it, or NULL. */
SCAN_TARGET static inline const uint8_t *SCAN_NAME(scan_scalar)(const uint8_t *p, struct scan *s, bool alone)
{
	switch (*p) {
	case '"':
		return SCAN_NAME(scan_string)(p + 1, s);
	case '-': case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
		p = SCAN_NAME(scan_number)(p, s);
		break;
	case 't':
	case 'f':
	case 'n':
		p = scan_literal(p, s);
		break;
	default:
		return scan_fault(s, p, *p == ']' && !alone ? "a comma must be followed by a value" : "expected a value", false);
	}
	return p && alone && !scan_delimited(p, s) ? NULL : p;
}

SCAN_TARGET const uint8_t *SCAN_NAME(scan_value)(const uint8_t *p, struct scan *s)
{
	const uint8_t *const end = s->end;
	uint64_t stack[JSON_DEPTH_MAX / 64]; /* a bit a level below the current one: is it an object? */
	uint32_t depth = 0;
	bool object = false; /* the innermost open container is one */
	bool string;

value:
	p = json_space(p, end);
	if (p >= end)
		return scan_fault(s, end, depth ? "the text ends where a value is expected" : "there is no value", true);
	if (*p != '{' && *p != '[') {
		if (!(p = SCAN_NAME(scan_scalar)(p, s, depth == 0)))
			return NULL;
		goto after;
	}
	if (depth >= s->depth_max) {
		s->too_deep = true;
		return scan_fault(s, p, "nested too deeply", false);
	}
	stack[depth >> 6] = (depth & 63 ? stack[depth >> 6] & ~((uint64_t)1 << (depth & 63)) : 0) | (uint64_t)object << (depth & 63);
	depth++;
	object = *p == '{';
	p = json_space(p + 1, end);
	if (p >= end)
		return scan_fault(s, end, object ? "the text ends inside an object" : "the text ends inside an array", true);
	if (*p == (object ? '}' : ']'))
		goto close;
	if (!object)
		goto value;
	if (*p != '"')
		return SCAN_NAME(scan_key)(p, s); /* says what is wrong */

member: /* p: its key, or the comma before it */
	if (!(p = SCAN_NAME(scan_member)(p, s, &string)))
		return NULL;
	if (!string)
		goto value;
	if (!(p = SCAN_NAME(scan_string)(p, s)))
		return NULL;

after:
	if (depth == 0)
		return p;
#if SCAN_AVX2
	if (object && s->memo) {
		bool before = false;
		if (!(p = SCAN_NAME(scan_foretold)(p, s, &before)))
			return NULL;
		if (before)
			goto value;
	}
#endif
	p = json_space(p, end);
	if (p >= end)
		return scan_fault(s, end, object ? "the text ends inside an object" : "the text ends inside an array", true);
	if (*p == ',' && object)
		goto member;
	if (*p == ',') {
		p++;
		goto value;
	}
	if (*p != (object ? '}' : ']'))
		return scan_fault(s, p, object ? "expected , or } after a member" : "expected , or ] after an element", false);
close:
	p++;
	depth--;
	object = stack[depth >> 6] >> (depth & 63) & 1;
	goto after;
}
