/* The state machine of json_validate, included once for each instruction set by scan.c with
 *   SCAN_NAME(x)  x with the set's suffix
 *   SCAN_TARGET   function attribute
 *   SCAN_AVX2     1 or 0
 * so that its string and number loops are inlined in the set's own code. No guard: it is a template. */

/* p: behind the opening quote. Returns the byte behind the closing one, or NULL. */
SCAN_TARGET static inline const uint8_t *SCAN_NAME(scan_string)(const uint8_t *p, struct scan *s)
{
	for (;;) {
#if SCAN_AVX2
		while (s->readable - p >= 32) {
			__m256i v = _mm256_loadu_si256((const __m256i *)p);
			__m256i hit = _mm256_or_si256(_mm256_cmpeq_epi8(v, _mm256_set1_epi8('"')),
			                              _mm256_cmpeq_epi8(v, _mm256_set1_epi8('\\')));
			hit = _mm256_or_si256(hit, _mm256_cmpeq_epi8(_mm256_min_epu8(v, _mm256_set1_epi8(0x1f)), v));
			uint32_t m = (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(hit, v)); /* v: bytes ≥ 0x80 */
			if (m) {
				p += __builtin_ctz(m);
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

/* p: a digit or '-'. Returns the byte behind the number, or NULL. */
SCAN_TARGET static inline const uint8_t *SCAN_NAME(scan_number)(const uint8_t *p, struct scan *s)
{
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
	if (object && !(p = SCAN_NAME(scan_key)(p, s)))
		return NULL;
	goto value;

after:
	if (depth == 0)
		return p;
	p = json_space(p, end);
	if (p >= end)
		return scan_fault(s, end, object ? "the text ends inside an object" : "the text ends inside an array", true);
	if (*p == ',') {
		p++;
		if (object && !(p = SCAN_NAME(scan_key)(p, s)))
			return NULL;
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
