#include "json/number.h"

#include <locale.h>
#include <stdlib.h>

#include "json/digits_internal.h"
#include "json/double_internal.h"

/* A number text taken apart: (-1)^negative × (w and what was cut off) × 10^exponent. */
struct parts {
	bool negative, has_point, has_exponent;
	uint64_t w;            /* the first 19 significant digits */
	size_t significant;    /* digits from the first that is not 0, fraction included */
	bool cut, cut_nonzero; /* there are more than 19; one of the others is not 0 */
	size_t int_digits, fraction_digits;
	size_t last_nonzero;   /* significant digits up to the last that is not 0 */
	int64_t exponent;      /* of w's last digit; saturated */
	struct slice text;
};

#define EXPONENT_FAR 1000000000 /* beyond any double for any text that fits in memory */

static void take_digit(struct parts *n, uint8_t digit)
{
	if (n->significant == 0 && digit == 0)
		return;
	n->significant++;
	if (digit)
		n->last_nonzero = n->significant;
	if (n->significant <= 19) {
		n->w = n->w * 10 + digit;
	} else {
		n->cut = true;
		n->cut_nonzero |= digit != 0;
	}
}

static struct parts take_apart(struct slice text)
{
	struct parts n = { .text = text };
	const uint8_t *p = text.data, *end = p + text.len;
	if (p < end && *p == '-') {
		n.negative = true;
		p++;
	}
	for (; p < end && (uint8_t)(*p - '0') < 10; p++, n.int_digits++)
		take_digit(&n, (uint8_t)(*p - '0'));
	if (p < end && *p == '.') {
		n.has_point = true;
		for (p++; p < end && (uint8_t)(*p - '0') < 10; p++, n.fraction_digits++)
			take_digit(&n, (uint8_t)(*p - '0'));
	}
	if (n.significant > 19)
		n.exponent = (int64_t)n.significant - 19;
	n.exponent -= (int64_t)n.fraction_digits;
	if (p < end && (*p | 0x20) == 'e') {
		bool minus = false;
		int64_t e = 0;
		n.has_exponent = true;
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			minus = *p++ == '-';
		for (; p < end && (uint8_t)(*p - '0') < 10; p++)
			e = e < (int64_t)EXPONENT_FAR << 20 ? e * 10 + (*p - '0') : e; /* no overflow, and far beyond any text's length */
		n.exponent += minus ? -e : e;
	}
	return n;
}

/* For what 128 bits cannot decide: the C library's exact conversion, on a text of bounded length. Digits past the 800th only matter
 * by not being all 0 (a double's half-way points have at most 767 digits). */
static double nearest_slow(const struct parts *n)
{
	enum { KEEP = 800 };
	static locale_t c_locale;
	char text[KEEP + 32];
	size_t len = 0, seen = 0;
	const uint8_t *p = n->text.data, *end = p + n->text.len;
	for (; p < end && (*p | 0x20) != 'e' && len < KEEP; p++) {
		if ((uint8_t)(*p - '0') >= 10 || (seen == 0 && *p == '0'))
			continue;
		seen++;
		text[len++] = (char)*p;
	}
	int64_t exponent = n->exponent; /* of the 19th significant digit, or of the last */
	exponent += (int64_t)(n->significant < 19 ? n->significant : 19) - (int64_t)len;
	if (n->last_nonzero > len) {
		text[len++] = '1';
		exponent--;
	}
	if (exponent > EXPONENT_FAR || exponent < -EXPONENT_FAR)
		exponent = exponent < 0 ? -EXPONENT_FAR : EXPONENT_FAR;
	text[len++] = 'e';
	if (exponent < 0) {
		text[len++] = '-';
		exponent = -exponent;
	}
	len += json_number_format_int(exponent, text + len);
	text[len] = 0;
	locale_t locale = __atomic_load_n(&c_locale, __ATOMIC_ACQUIRE);
	if (!locale) {
		locale_t made = newlocale(LC_ALL_MASK, "C", (locale_t)0), none = (locale_t)0;
		if (__atomic_compare_exchange_n(&c_locale, &none, made, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			locale = made;
		else {
			freelocale(made);
			locale = none;
		}
	}
	return strtod_l(text, NULL, locale);
}

static double nearest(const struct parts *n)
{
	double value = 0.0, above;
	if (n->significant) {
		bool known = double_from_decimal(n->w, n->exponent, &value);
		if (known && n->cut_nonzero) /* the true value lies between w and w + 1 */
			known = double_from_decimal(n->w + 1, n->exponent, &above) && above == value;
		if (!known)
			value = nearest_slow(n);
	}
	return n->negative ? -value : value;
}

const char digit_pairs[201] = "0001020304050607080910111213141516171819202122232425262728293031323334353637383940414243444546474849"
			      "5051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899";
const uint64_t digit_powers[20] = { 1u,
				    10u,
				    100u,
				    1000u,
				    10000u,
				    100000u,
				    1000000u,
				    10000000u,
				    100000000u,
				    1000000000u,
				    10000000000u,
				    100000000000u,
				    1000000000000u,
				    10000000000000u,
				    100000000000000u,
				    1000000000000000u,
				    10000000000000000u,
				    100000000000000000u,
				    1000000000000000000u,
				    10000000000000000000u };

/* How a writer lays out the shortest digits d1 … dk of the value 0.d1…dk × 10^point. */
struct notation {
	int8_t above, to;   /* without an exponent if above < point ≤ to */
	bool dot;           /* whole numbers end in .0 */
	bool mantissa_dot;  /* 1.0e7, not 1e7 */
	bool plus;          /* 1e+21, not 1e21 */
	bool two;           /* 1e-07, not 1e-7 */
	char letter;
};
#define POINT_MIN (-6)
#define POINT_MAX 21 /* of any notation */
#define NOTATION_JQ 4 /* `to` is k + 15 */
static const struct notation notations[NUM_FORMATS] = {
	{ -6, 21, false, false, true, false, 'e' },           /* SHORT: ECMAScript 2024, 6.1.6.1.20 Number::toString */
	{ -4, 16, true, false, true, true, 'e' },             /* DOT: Python's float_repr_style 'short' (repr) */
	{ -5, 16, true, false, false, false, 'e' },           /* RYU */
	{ -5, 16, true, false, true, false, 'e' },            /* SERDE */
	{ -4, POINT_MAX, false, false, true, true, 'e' },     /* JQ */
	{ -4, 17, false, true, true, false, 'e' },            /* PHP */
	{ -4, 17, true, true, true, false, 'e' },             /* PHP_DOT */
	{ -4, 15, true, true, true, true, 'e' },              /* RUBY */
	{ -3, 7, true, true, false, false, 'E' },             /* JAVA */
	{ -3, 7, false, true, false, false, 'E' },            /* JAVA_WHOLE */
	{ -4, 15, false, false, true, true, 'E' },            /* DOTNET */
};
/* By point: the formats without exponent, of them those that add .0 to a whole number, and those that do not. */
static uint16_t fixed_formats[POINT_MAX - POINT_MIN + 1], dot_formats[POINT_MAX - POINT_MIN + 1], whole_formats[POINT_MAX - POINT_MIN + 1];

__attribute__((constructor)) static void number_tables(void)
{
	for (int point = POINT_MIN; point <= POINT_MAX; point++)
		for (int i = 0; i < NUM_FORMATS; i++)
			if (point > notations[i].above && point <= notations[i].to) {
				fixed_formats[point - POINT_MIN] |= (uint16_t)(1u << i);
				(notations[i].dot ? dot_formats : whole_formats)[point - POINT_MIN] |= (uint16_t)(1u << i);
			}
}

static uint16_t formats_at(const uint16_t *table, int64_t point)
{
	return point >= POINT_MIN && point <= POINT_MAX ? table[point - POINT_MIN] : 0;
}

uint16_t json_number_int_formats(int64_t i)
{
	int point = 1;
	for (uint64_t v = i < 0 ? 0 - (uint64_t)i : (uint64_t)i; v >= 10; v /= 10)
		point++;
	return formats_at(whole_formats, point);
}

static size_t put_exponent(const char *digits, int k, int e, const struct notation *as, char *out)
{
	size_t len = 1;
	out[0] = digits[0];
	if (k > 1 || as->mantissa_dot) {
		out[1] = '.';
		out[2] = '0';
		memcpy(out + 2, digits + 1, (size_t)k - 1);
		len = k > 1 ? (size_t)k + 1 : 3;
	}
	out[len++] = as->letter;
	if (e < 0 || as->plus)
		out[len++] = e < 0 ? '-' : '+';
	e = e < 0 ? -e : e;
	if (as->two && e < 10)
		out[len++] = '0';
	return len + digits_put((uint64_t)e, out + len);
}

static size_t put_double(struct decimal d, bool negative, const struct notation *as, char out[JSON_DOUBLE_CHARS])
{
	size_t len = 0;
	if (negative)
		out[len++] = '-';
	if (d.digits == 0) {
		memcpy(out + len, "0.0", 3);
		return len + (as->dot ? 3 : 1);
	}
	char digits[20];
	int k = (int)digits_put(d.digits, digits), point = k + d.exponent;
	int to = as == &notations[NOTATION_JQ] ? k + 15 : as->to;
	if (point <= as->above || point > to)
		return len + put_exponent(digits, k, point - 1, as, out + len);
	if (point <= 0) {
		memcpy(out + len, "0.00000", (size_t)(2 - point));
		len += (size_t)(2 - point);
		memcpy(out + len, digits, (size_t)k);
		return len + (size_t)k;
	}
	size_t whole = (size_t)(k < point ? k : point);
	memcpy(out + len, digits, whole);
	len += whole;
	for (; whole < (size_t)point; whole++)
		out[len++] = '0';
	if (k > point) {
		out[len++] = '.';
		memcpy(out + len, digits + point, (size_t)(k - point));
		len += (size_t)(k - point);
	} else if (as->dot) {
		memcpy(out + len, ".0", 2);
		len += 2;
	}
	return len;
}

/* Java's shortest has two digits at least: of those, the one closest to the smallest double is 4.9. */
static struct decimal java_digits(struct decimal d)
{
	return d.digits == 5 && d.exponent == -324 ? (struct decimal){ 49, -325 } : d;
}

/* Has the shortest form of the value exactly the text's numeric value? */
static bool is_lossless(const struct parts *n, double value, struct decimal shortest)
{
	if (n->significant == 0)
		return true;
	if (n->last_nonzero > 17 || !__builtin_isfinite(value) || value == 0)
		return false;
	uint64_t w = n->w;
	int64_t exponent = n->exponent;
	while (w % 10 == 0) {
		w /= 10;
		exponent++;
	}
	return shortest.digits == w && shortest.exponent == exponent;
}

static size_t put_format(struct decimal shortest, bool negative, unsigned bit, char out[JSON_DOUBLE_CHARS])
{
	const struct notation *as = &notations[bit];
	return put_double(as->letter == 'E' && as->mantissa_dot ? java_digits(shortest) : shortest, negative, as, out);
}

static uint16_t formats_by_trial(struct slice text, double value, struct decimal shortest)
{
	char out[JSON_DOUBLE_CHARS];
	uint16_t fit = 0;
	if (text.len >= JSON_DOUBLE_CHARS || !__builtin_isfinite(value))
		return 0;
	for (unsigned i = 0; i < NUM_FORMATS; i++)
		if (slice_eq(text, slice_of(out, put_format(shortest, __builtin_signbit(value), i, out))))
			fit |= (uint16_t)(1u << i);
	return fit;
}

/* digits '.' digits that are the shortest form of their double but for zeros at the end. point: of the value. That is a matter of
 * syntax then: a zero at the end is nobody's habit but in x.0. */
static uint16_t fraction_formats(int64_t point, size_t fraction_digits, bool zero_at_end)
{
	if (zero_at_end)
		return fraction_digits == 1 ? formats_at(dot_formats, point) : 0;
	return formats_at(fixed_formats, point);
}

static void classify_integer(const struct parts *n, struct decimal shortest, struct json_number *r)
{
	const uint64_t limit = (uint64_t)INT64_MAX + n->negative;
	if (n->significant == 0 && n->negative) { /* -0 */
		r->kind = NUM_DOUBLE;
		r->formats = formats_at(whole_formats, 1);
		return;
	}
	if (n->cut || n->w > limit) {
		r->kind = NUM_BIGINT;
		r->formats = formats_by_trial(n->text, r->f64, shortest);
		return;
	}
	r->kind = NUM_INT64;
	r->i64 = n->negative ? (int64_t)(0 - n->w) : (int64_t)n->w;
	r->formats = n->w <= (uint64_t)1 << 53 ? formats_at(whole_formats, n->significant ? (int64_t)n->significant : 1) : 0;
}

/* At most 18 digits, no exponent, at most 15 significant digits if there is a fraction: nearly every number there is, in one pass. False
 * for others, and for -0 in any form. */
static bool parse_plain(struct slice text, struct json_number *r)
{
	static const double powers[] = { 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18 };
	const uint8_t *p = text.data, *end = p + text.len;
	bool negative = p < end && *p == '-';
	uint64_t w = 0;
	unsigned leading = 0; /* zeros in front of the first other digit, the integer part's included */
	if (text.len > 20)
		return false;
	p += negative;
	const uint8_t *from = p;
	for (; p < end && (uint8_t)(*p - '0') < 10; p++)
		w = w * 10 + (*p - '0');
	unsigned ints = (unsigned)(p - from), fractions = 0;
	leading = w == 0 ? ints : 0;
	if (p < end && *p == '.') {
		for (p++; p < end && (uint8_t)(*p - '0') < 10; p++) {
			w = w * 10 + (*p - '0');
			leading += w == 0;
		}
		fractions = (unsigned)(p - from) - ints - 1;
	}
	if (p < end || ints + fractions > 18 || (negative && w == 0))
		return false;
	unsigned significant = ints + fractions - leading;
	r->i64 = negative ? -(int64_t)w : (int64_t)w;
	if (fractions == 0) {
		if (w > (uint64_t)1 << 53 || ints == 0)
			return false;
		r->kind = NUM_INT64;
		r->digits = (uint8_t)ints;
		r->formats = formats_at(whole_formats, ints);
		r->f64 = (double)r->i64;
		r->lossless = true;
		return true;
	}
	if (significant > 15)
		return false;
	r->kind = NUM_DECIMAL;
	r->digits = (uint8_t)(significant > fractions ? significant : fractions);
	r->scale = (uint8_t)fractions;
	r->f64 = (double)r->i64 / powers[fractions]; /* both exact: one rounding */
	r->lossless = true;
	r->formats = fraction_formats(w == 0 || !leading ? (int64_t)ints : 1 - (int64_t)leading, fractions, end[-1] == '0');
	return true;
}

struct json_number json_number_parse(struct slice text)
{
	struct json_number r = { 0 };
	if (parse_plain(text, &r))
		return r;
	struct parts n = take_apart(text);
	r = (struct json_number){ .f64 = nearest(&n) };
	struct decimal shortest = __builtin_isfinite(r.f64) ? double_shortest(r.f64) : (struct decimal){ 0, 0 };
	size_t digits = n.significant > n.fraction_digits ? n.significant : n.fraction_digits;
	r.digits = digits > 255 ? 255 : digits ? (uint8_t)digits : 1;
	if (n.has_exponent) {
		r.formats = formats_by_trial(text, r.f64, shortest);
		r.kind = r.formats ? NUM_DOUBLE : NUM_ODD;
	} else if (n.has_point) {
		/* With at most 15 significant digits every decimal is the shortest form of its double. */
		if (n.last_nonzero <= 15 || is_lossless(&n, r.f64, shortest))
			r.formats = fraction_formats(n.significant ? (int64_t)n.significant - (int64_t)n.fraction_digits : 1, n.fraction_digits,
						     n.last_nonzero < n.significant || !n.significant);
		if (digits <= 18 && (!n.negative || n.significant)) {
			r.kind = NUM_DECIMAL;
			r.scale = (uint8_t)n.fraction_digits;
			r.i64 = n.negative ? -(int64_t)n.w : (int64_t)n.w;
		} else {
			r.kind = r.formats ? NUM_DOUBLE : NUM_ODD;
		}
	} else {
		classify_integer(&n, shortest, &r);
	}
	r.lossless = is_lossless(&n, r.f64, shortest);
	return r;
}

double json_number_double(struct slice text)
{
	struct parts n = take_apart(text);
	return nearest(&n);
}

/* 8 ASCII digits, first in the lowest byte, to their value: pairs, then fours, then eights. */
static uint64_t eight_digits(uint64_t v)
{
	v = (v & 0x0f0f0f0f0f0f0f0fu) * 2561 >> 8;
	v = (v & 0x00ff00ff00ff00ffu) * 6553601 >> 16;
	return (v & 0x0000ffff0000ffffu) * 42949672960001u >> 32;
}

static bool all_digits(uint64_t v)
{
	return ((v & 0xf0f0f0f0f0f0f0f0u) | ((v + 0x0606060606060606u) & 0xf0f0f0f0f0f0f0f0u) >> 4) == 0x3333333333333333u;
}

bool json_number_int64(struct slice text, int64_t *ret)
{
	const uint8_t *p = text.data, *end = p + text.len;
	bool negative = text.len && *p == '-';
	p += negative;
	size_t digits = (size_t)(end - p);
	if (digits == 0 || digits > 19 || (*p == '0' && (digits > 1 || negative)))
		return false;
	uint64_t w = 0;
	while (end - p >= 8) {
		uint64_t v;
		memcpy(&v, p, 8);
		if (!all_digits(v))
			return false;
		w = w * 100000000 + eight_digits(v);
		p += 8;
	}
	for (; p < end; p++) {
		uint8_t digit = (uint8_t)(*p - '0');
		if (digit > 9)
			return false;
		w = w * 10 + digit;
	}
	if (w > (uint64_t)INT64_MAX + negative)
		return false;
	*ret = negative ? (int64_t)(0 - w) : (int64_t)w;
	return true;
}

bool json_number_int128(struct slice text, __int128 *ret, uint8_t *ret_scale)
{
	struct parts n = take_apart(text);
	if (n.has_exponent || n.significant > 38 || n.fraction_digits > 38 || (n.negative && n.significant == 0))
		return false;
	__int128 v = 0;
	for (size_t i = 0; i < text.len; i++)
		if ((uint8_t)(text.data[i] - '0') < 10)
			v = v * 10 + (text.data[i] - '0');
	*ret = n.negative ? -v : v;
	*ret_scale = (uint8_t)n.fraction_digits;
	return true;
}

bool json_number_restores(struct slice text, double value, enum format format)
{
	char out[JSON_DOUBLE_CHARS];
	return text.len < JSON_DOUBLE_CHARS && __builtin_isfinite(value) &&
	       slice_eq(text, slice_of(out, json_number_format_double(value, format, out)));
}

size_t json_number_format_int(int64_t value, char out[JSON_INT_CHARS])
{
	if (value >= 0)
		return digits_put((uint64_t)value, out);
	out[0] = '-';
	return 1 + digits_put(0 - (uint64_t)value, out + 1);
}

size_t json_format_decimal(__int128 unscaled, unsigned scale, char out[JSON_DECIMAL_CHARS])
{
	const uint64_t limb = digit_powers[19];
	unsigned __int128 v = unscaled < 0 ? 0 - (unsigned __int128)unscaled : (unsigned __int128)unscaled;
	char digits[JSON_DECIMAL_CHARS + 2]; /* below 2^128: three limbs of 19, 19 and 1 digits at most */
	size_t count, len = 0;
	if (scale > 38)
		scale = 38;
	if (v <= UINT64_MAX) {
		count = digits_put((uint64_t)v, digits);
	} else {
		unsigned __int128 high = v / limb;
		if (high <= UINT64_MAX) {
			count = digits_put((uint64_t)high, digits);
		} else {
			count = digits_put((uint64_t)(high / limb), digits);
			digits_put_fixed((uint64_t)(high % limb), 19, digits + count);
			count += 19;
		}
		digits_put_fixed((uint64_t)(v % limb), 19, digits + count);
		count += 19;
	}
	if (unscaled < 0)
		out[len++] = '-';
	size_t whole = count > scale ? count - scale : 0;
	if (whole) {
		memcpy(out + len, digits, whole);
		len += whole;
	} else {
		out[len++] = '0';
	}
	if (scale) {
		out[len++] = '.';
		size_t zeros = scale - (count - whole);
		memset(out + len, '0', zeros);
		memcpy(out + len + zeros, digits + whole, count - whole);
		len += scale;
	}
	return len;
}

size_t json_number_format_double(double value, enum format format, char out[JSON_DOUBLE_CHARS])
{
	if (!__builtin_isfinite(value)) {
		memcpy(out, "null", 4);
		return 4;
	}
	uint16_t bit = json_number_format_bit(format);
	return put_format(double_shortest(value), __builtin_signbit(value), bit ? (unsigned)__builtin_ctz(bit) : 0, out);
}
