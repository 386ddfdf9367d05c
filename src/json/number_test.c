#include <math.h>

#include "base/test.h"
#include "json/double_internal.h"
#include "json/number.h"

static uint64_t seed = 88172645463325252u;
static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static double random_double(void)
{
	uint64_t bits = rnd() * 0x9e3779b97f4a7c15u;
	double v;
	switch (rnd() % 4) {
	case 0: /* near ordinary magnitudes */
		return (double)(int64_t)(rnd() % 2000000000000) / (double[]){ 1, 10, 100, 1e3, 1e6, 3, 7 }[rnd() % 7];
	case 1: /* few mantissa bits: powers of two and their like */
		bits &= 0xfff0000000000000u | (uint64_t)(rnd() & 3);
		break;
	}
	memcpy(&v, &bits, 8);
	return isfinite(v) ? v : 1.5;
}

static const char *format(double v, enum format f)
{
	static char out[4][JSON_DOUBLE_CHARS + 1];
	static int turn;
	char *o = out[turn++ & 3];
	o[json_number_format_double(v, f, o)] = 0;
	return o;
}

TEST(doubles_are_written_as_javascript_and_python_write_them)
{
	static const struct { double v; const char *js, *py; } cases[] = {
		{ 0.0, "0", "0.0" }, { -0.0, "-0", "-0.0" }, { 1, "1", "1.0" }, { 10, "10", "10.0" }, { 10.5, "10.5", "10.5" }, { -1.5, "-1.5", "-1.5" },
		{ 0.1, "0.1", "0.1" }, { 0.3, "0.3", "0.3" }, { 0.1 + 0.2, "0.30000000000000004", "0.30000000000000004" },
		{ 1e15, "1000000000000000", "1000000000000000.0" }, { 1e16, "10000000000000000", "1e+16" }, { 123456789012345680.0, "123456789012345680", "1.2345678901234568e+17" },
		{ 9999999999999998.0, "9999999999999998", "9999999999999998.0" }, { 1e20, "100000000000000000000", "1e+20" }, { 1e21, "1e+21", "1e+21" },
		{ 1.5e300, "1.5e+300", "1.5e+300" }, { 1e100, "1e+100", "1e+100" }, { 0.001, "0.001", "0.001" }, { 0.0001, "0.0001", "0.0001" }, { 0.00012, "0.00012", "0.00012" },
		{ 1e-5, "0.00001", "1e-05" }, { 1.25e-6, "0.00000125", "1.25e-06" }, { 1e-6, "0.000001", "1e-06" }, { 1e-7, "1e-7", "1e-07" }, { 1.5e-10, "1.5e-10", "1.5e-10" },
		{ 5e-324, "5e-324", "5e-324" }, { 1.7976931348623157e308, "1.7976931348623157e+308", "1.7976931348623157e+308" },
		{ 2.2250738585072014e-308, "2.2250738585072014e-308", "2.2250738585072014e-308" }, { 9007199254740993.0, "9007199254740992", "9007199254740992.0" },
		{ 1e23, "1e+23", "1e+23" }, { 9.5367431640625e-7, "9.5367431640625e-7", "9.5367431640625e-07" }, { 2e-323, "2e-323", "2e-323" },
		{ 4.35, "4.35", "4.35" }, { 123456.789e3, "123456789", "123456789.0" }, { 18014398509481984.0, "18014398509481984", "1.8014398509481984e+16" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		CHECK_STR(format(cases[i].v, FORMAT_DOUBLE_SHORT), cases[i].js);
		CHECK_STR(format(cases[i].v, FORMAT_DOUBLE_DOT), cases[i].py);
	}
	CHECK_STR(format(NAN, FORMAT_DOUBLE_SHORT), "null");
	CHECK_STR(format(-INFINITY, FORMAT_DOUBLE_DOT), "null");
}

TEST(shortest_is_shortest_closest_and_reads_back)
{
	for (int round = 0; round < 300000; round++) {
		double v = fabs(random_double());
		if (v == 0)
			continue;
		struct decimal d = double_shortest(v);
		char text[64], want[64];
		int digits = snprintf(text, sizeof text, "%llu", (unsigned long long)d.digits);
		CHECK(d.digits % 10 != 0 && digits <= 17);
		snprintf(text, sizeof text, "%llue%d", (unsigned long long)d.digits, d.exponent);
		CHECK(strtod(text, NULL) == v);
		/* the C library's correctly rounded digits: one fewer must not read back; of as many, ours is the nearest or reads back
		 * where the nearest does not */
		if (digits > 1) {
			snprintf(want, sizeof want, "%.*e", digits - 2, v);
			if (strtod(want, NULL) == v)
				TEST_FAIL_("%s: %s is shorter", text, want);
		}
		snprintf(want, sizeof want, "%.*e", digits - 1, v);
		if (strtod(want, NULL) == v) {
			char digits_want[32];
			size_t n = 0;
			for (const char *p = want; *p != 'e'; p++)
				if (*p != '.')
					digits_want[n++] = *p;
			digits_want[n] = 0;
			char ours[32];
			snprintf(ours, sizeof ours, "%llu", (unsigned long long)d.digits);
			if (strcmp(ours, digits_want) != 0 && d.digits != strtoull(digits_want, NULL, 10))
				TEST_FAIL_("%s: %s is nearer", text, want);
		}
	}
}

TEST(every_formatted_double_parses_to_itself_and_says_so)
{
	for (int round = 0; round < 300000; round++) {
		double v = random_double();
		for (int i = 0; i < NUM_FORMATS; i++) {
			unsigned f = (unsigned)NUM_FORMAT_OF_BIT(i);
			const char *text = format(v, (enum format)f);
			struct json_number n = json_number_parse(slice_str(text));
			if (n.f64 != v || signbit(n.f64) != signbit(v))
				TEST_FAIL_("%s: %.17g", text, n.f64);
			bool wide = n.kind == NUM_INT64 && fabs(v) > 9007199254740992.0;
			if (n.kind == NUM_ODD || (!wide && !(n.formats & json_number_format_bit(f))))
				TEST_FAIL_("%s: kind %d formats %d", text, n.kind, n.formats);
			if (!n.lossless && n.kind != NUM_INT64 && strcmp(text, "4.9E-324") != 0 && strcmp(text, "-4.9E-324") != 0)
				TEST_FAIL_("%s: not lossless", text);
		}
	}
}

/* A random legal number text. */
static struct slice random_text(char out[80])
{
	size_t len = 0;
	if (rnd() % 4 == 0)
		out[len++] = '-';
	size_t ints = rnd() % 3 ? rnd() % 6 : rnd() % 24, fractions = rnd() % 3 ? rnd() % 8 : rnd() % 24;
	if (ints == 0)
		out[len++] = '0';
	for (size_t i = 0; i < ints; i++)
		out[len++] = (char)('0' + (i == 0 ? 1 + rnd() % 9 : rnd() % 3 ? rnd() % 10 : 0));
	if (fractions)
		out[len++] = '.';
	for (size_t i = 0; i < fractions; i++)
		out[len++] = (char)('0' + (rnd() % 3 ? rnd() % 10 : 0));
	if (rnd() % 8 == 0)
		len += (size_t)snprintf(out + len, 10, "%c%s%d", rnd() % 2 ? 'e' : 'E', (const char *[]){ "", "+", "-" }[rnd() % 3], (int)(rnd() % 340));
	out[len] = 0;
	return slice_of(out, len);
}

TEST(flags_say_exactly_what_formatting_does)
{
	for (int round = 0; round < 500000; round++) {
		char text[80], out[JSON_DECIMAL_CHARS + 1];
		struct slice s = random_text(text);
		struct json_number n = json_number_parse(s);
		double want = strtod(text, NULL);
		if (n.f64 != want || signbit(n.f64) != signbit(want))
			TEST_FAIL_("%s: %.17g, want %.17g", text, n.f64, want);
		unsigned formats = 0;
		for (unsigned i = 0; i < NUM_FORMATS; i++)
			formats |= strcmp(format(want, (enum format)NUM_FORMAT_OF_BIT(i)), text) == 0 ? 1u << i : 0;
		bool wide = n.kind == NUM_INT64 && fabs(want) > 9007199254740992.0;
		if (!wide && n.formats != formats)
			TEST_FAIL_("%s: formats %x, but %x give it back", text, n.formats, formats);
		if (n.kind == NUM_INT64 && !wide && json_number_int_formats(n.i64) != formats)
			TEST_FAIL_("%s: formats of integers %x, but %x give it back", text, json_number_int_formats(n.i64), formats);
		int64_t i64 = -7;
		bool is_int = json_number_int64(s, &i64);
		CHECK(is_int == (n.kind == NUM_INT64));
		if (n.kind == NUM_INT64) {
			CHECK_INT(i64, n.i64);
			out[json_number_format_int(n.i64, out)] = 0;
			CHECK_STR(out, text);
		} else if (n.kind == NUM_DECIMAL) {
			CHECK(n.digits <= 18 && n.scale > 0 && n.scale <= n.digits);
			out[json_format_decimal(n.i64, n.scale, out)] = 0;
			CHECK_STR(out, text);
			int64_t limit = 1;
			for (int i = 0; i < n.digits; i++)
				limit *= 10;
			CHECK(n.i64 < limit && -n.i64 < limit);
		} else if (n.kind == NUM_ODD) {
			CHECK(!n.formats);
		}
		__int128 big;
		uint8_t scale;
		if (json_number_int128(s, &big, &scale)) {
			out[json_format_decimal(big, scale, out)] = 0;
			CHECK_STR(out, text);
		} else {
			CHECK(strpbrk(text, "eE") || n.digits > 38 || n.f64 == 0);
		}
		if (n.lossless) { /* the shortest form has the same value: compare in higher precision through a decimal of the text */
			const char *again = format(want, FORMAT_DOUBLE_SHORT);
			struct json_number m = json_number_parse(slice_str(again));
			__int128 a, b;
			uint8_t sa, sb;
			if (json_number_int128(s, &a, &sa) && json_number_int128(slice_str(again), &b, &sb) && sb <= sa && sa < 19) {
				while (sb++ < sa)
					b *= 10;
				if (a != b)
					TEST_FAIL_("%s is not %s", text, again);
			}
			CHECK(m.f64 == n.f64);
		}
	}
}

TEST(doubles_are_written_as_other_writers_write_them)
{
	static const enum format formats[] = { FORMAT_DOUBLE_RYU, FORMAT_DOUBLE_SERDE, FORMAT_DOUBLE_JQ, FORMAT_DOUBLE_PHP, FORMAT_DOUBLE_PHP_DOT,
		FORMAT_DOUBLE_RUBY, FORMAT_DOUBLE_JAVA, FORMAT_DOUBLE_JAVA_WHOLE, FORMAT_DOUBLE_DOTNET };
	/* orjson 3, serde_json 1.0.150, jq 1.6, PHP 8.2, Ruby 3.1, Java 17 and org.json, .NET as documented */
	static const struct { double v; const char *want[9]; } cases[] = {
		{ 0.0, { "0.0", "0.0", "0", "0", "0.0", "0.0", "0.0", "0", "0" } },
		{ -0.0, { "-0.0", "-0.0", "-0", "-0", "-0.0", "-0.0", "-0.0", "-0", "-0" } },
		{ 100, { "100.0", "100.0", "100", "100", "100.0", "100.0", "100.0", "100", "100" } },
		{ 0.1, { "0.1", "0.1", "0.1", "0.1", "0.1", "0.1", "0.1", "0.1", "0.1" } },
		{ 0.001, { "0.001", "0.001", "0.001", "0.001", "0.001", "0.001", "0.001", "0.001", "0.001" } },
		{ 1e-4, { "0.0001", "0.0001", "0.0001", "0.0001", "0.0001", "0.0001", "1.0E-4", "1.0E-4", "0.0001" } },
		{ -1e-5, { "-0.00001", "-0.00001", "-1e-05", "-1.0e-5", "-1.0e-5", "-1.0e-05", "-1.0E-5", "-1.0E-5", "-1E-05" } },
		{ 1e-6, { "1e-6", "1e-6", "1e-06", "1.0e-6", "1.0e-6", "1.0e-06", "1.0E-6", "1.0E-6", "1E-06" } },
		{ 9999999, { "9999999.0", "9999999.0", "9999999", "9999999", "9999999.0", "9999999.0", "9999999.0", "9999999", "9999999" } },
		{ 1e7, { "10000000.0", "10000000.0", "10000000", "10000000", "10000000.0", "10000000.0", "1.0E7", "1.0E7", "10000000" } },
		{ 12345678.9, { "12345678.9", "12345678.9", "12345678.9", "12345678.9", "12345678.9", "12345678.9", "1.23456789E7", "1.23456789E7", "12345678.9" } },
		{ 1e14, { "100000000000000.0", "100000000000000.0", "100000000000000", "100000000000000", "100000000000000.0", "100000000000000.0", "1.0E14", "1.0E14", "100000000000000" } },
		{ 1e15, { "1000000000000000.0", "1000000000000000.0", "1000000000000000", "1000000000000000", "1000000000000000.0", "1.0e+15", "1.0E15", "1.0E15", "1E+15" } },
		{ 1e16, { "1e16", "1e+16", "1e+16", "10000000000000000", "10000000000000000.0", "1.0e+16", "1.0E16", "1.0E16", "1E+16" } },
		{ 123456789012345680.0, { "1.2345678901234568e17", "1.2345678901234568e+17", "123456789012345680", "1.2345678901234568e+17", "1.2345678901234568e+17",
			"1.2345678901234568e+17", "1.2345678901234568E17", "1.2345678901234568E17", "1.2345678901234568E+17" } },
		{ 1e21, { "1e21", "1e+21", "1e+21", "1.0e+21", "1.0e+21", "1.0e+21", "1.0E21", "1.0E21", "1E+21" } },
		{ 1.5e300, { "1.5e300", "1.5e+300", "1.5e+300", "1.5e+300", "1.5e+300", "1.5e+300", "1.5E300", "1.5E300", "1.5E+300" } },
		{ 5e-324, { "5e-324", "5e-324", "5e-324", "5.0e-324", "5.0e-324", "5.0e-324", "4.9E-324", "4.9E-324", "5E-324" } },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (size_t f = 0; f < 9; f++)
			CHECK_STR(format(cases[i].v, formats[f]), cases[i].want[f]);
}

TEST(kinds_of_known_texts)
{
	/* formats: of SHORT and DOT */
	static const struct { const char *text; int kind, digits, scale, formats, lossless; } cases[] = {
		{ "0", NUM_INT64, 1, 0, 1, 1 }, { "-0", NUM_DOUBLE, 1, 0, 1, 1 }, { "10", NUM_INT64, 2, 0, 1, 1 }, { "-7", NUM_INT64, 1, 0, 1, 1 },
		{ "9223372036854775807", NUM_INT64, 19, 0, 0, 0 }, { "-9223372036854775808", NUM_INT64, 19, 0, 0, 0 },
		{ "9223372036854775808", NUM_BIGINT, 19, 0, 0, 0 }, { "-9223372036854775809", NUM_BIGINT, 19, 0, 0, 0 },
		{ "100000000000000000000", NUM_BIGINT, 21, 0, 1, 1 }, { "9007199254740992", NUM_INT64, 16, 0, 1, 1 },
		{ "0.120", NUM_DECIMAL, 3, 3, 0, 1 }, { "0.05", NUM_DECIMAL, 2, 2, 3, 1 }, { "10.5", NUM_DECIMAL, 3, 1, 3, 1 }, { "10.0", NUM_DECIMAL, 3, 1, 2, 1 },
		{ "0.0", NUM_DECIMAL, 1, 1, 2, 1 }, { "-0.0", NUM_DOUBLE, 1, 1, 2, 1 }, { "-0.00", NUM_ODD, 2, 2, 0, 1 }, { "0.00001", NUM_DECIMAL, 5, 5, 1, 1 },
		{ "0.0001", NUM_DECIMAL, 4, 4, 3, 1 }, { "0.0000001", NUM_DECIMAL, 7, 7, 0, 1 }, { "1e-7", NUM_DOUBLE, 1, 0, 1, 1 }, { "1e-07", NUM_DOUBLE, 1, 0, 2, 1 },
		{ "1e+21", NUM_DOUBLE, 1, 0, 3, 1 }, { "1E5", NUM_ODD, 1, 0, 0, 1 }, { "1.50e3", NUM_ODD, 3, 2, 0, 1 }, { "1e400", NUM_ODD, 1, 0, 0, 0 },
		{ "0.30000000000000004", NUM_DECIMAL, 17, 17, 3, 1 }, { "0.1234567890123456789", NUM_ODD, 19, 19, 0, 0 }, { "123456789012345678.9", NUM_ODD, 19, 1, 0, 0 },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct json_number n = json_number_parse(slice_str(cases[i].text));
		if (n.kind != cases[i].kind || n.digits != cases[i].digits || (n.kind == NUM_DECIMAL && n.scale != cases[i].scale) || (n.formats & 3) != cases[i].formats ||
		    n.lossless != cases[i].lossless)
			TEST_FAIL_("%s: kind %d digits %d scale %d formats %d lossless %d", cases[i].text, n.kind, n.digits, n.scale, n.formats, n.lossless);
	}
}

TEST(hard_roundings_are_exact)
{
	static const char *const texts[] = { "9007199254740993", "9007199254740993.0000000000000000000000000000001", "9007199254740992.9999999999999999999999", "1e23", "8.5e22",
		"2.4703282292062327208e-324", "2.4703282292062328e-324", "4.9406564584124654e-324", "2.2250738585072011e-308", "2.2250738585072012e-308", "1.7976931348623158e308",
		"1.7976931348623159e308", "179769313486231580793728971405303415079934132710037826936173778980444968292764750946649017977587207096330286416692887910946555547851940402630657488671505820681908902000708383676273854845817711531764475730270069855571366959622842914819860834936475292719074168444365510704342711559699508093042880",
		"0.500000000000000166533453693773481063544750213623046875", "3.518437208883201171875e13", "62.5364939768271845828", "8.10109172351e-10", "1.50000000000000011102230246251565", "0.0000000000000000000000000000000000000000000000000000000000000000000001",
		"1234567890123456.5", "5e-324", "123456789012345678901234567890e-310", "1e-400", "1e309", "0e99999999999999999999", "1e99999999999999999999", "1e-99999999999999999999",
		"6929495644600919.5", "3.7455744005952583e15", "1448997445238699", "9.2233720368547758079e18", "0.000000000000000000000000000000000000000000000000000000000000000000000000000000e5" };
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		double got = json_number_double(slice_str(texts[i])), want = strtod(texts[i], NULL);
		if (got != want)
			TEST_FAIL_("%s: %.17g, want %.17g", texts[i], got, want);
	}
	for (int round = 0; round < 200000; round++) { /* exactly half-way between two doubles, and a hair beside it */
		uint64_t bits = rnd() * 0x9e3779b97f4a7c15u >> 1;
		double v, up;
		memcpy(&v, &bits, 8);
		bits++;
		memcpy(&up, &bits, 8);
		if (!isfinite(up) || v < 1e-280 || v > 1e280)
			continue;
		char text[1200];
		long double half = ((long double)v + (long double)up) / 2; /* exact: 64 bits */
		int n = snprintf(text, sizeof text, "%.*Le", (int)(rnd() % 2 ? 800 : 10 + rnd() % 40), half);
		double got = json_number_double(slice_of(text, (size_t)n)), want = strtod(text, NULL);
		if (got != want)
			TEST_FAIL_("%s: %.17g, want %.17g", text, got, want);
	}
}

TEST(long_numbers_are_read_whole_and_their_digits_counted)
{
	enum { N = 100000 };
	char *text = malloc(N + 16);
	memset(text, '7', N);
	struct json_number n = json_number_parse(slice_of(text, N));
	CHECK_INT(n.kind, NUM_BIGINT);
	CHECK_INT(n.digits, 255);
	CHECK(isinf(n.f64));
	text[1] = '.';
	n = json_number_parse(slice_of(text, N));
	CHECK_INT(n.kind, NUM_ODD);
	CHECK(n.f64 == 7.777777777777777777777);
	memset(text, '0', N);
	text[1] = '.';
	memcpy(text + N - 1, "1e99998", 8);
	n = json_number_parse(slice_of(text, N + 6));
	CHECK(n.f64 == 1.0);
	free(text);
}

TEST(integers_and_decimals_are_written_exactly)
{
	char out[JSON_DECIMAL_CHARS + 1];
	out[json_number_format_int(INT64_MIN, out)] = 0;
	CHECK_STR(out, "-9223372036854775808");
	out[json_number_format_int(INT64_MAX, out)] = 0;
	CHECK_STR(out, "9223372036854775807");
	out[json_number_format_int(0, out)] = 0;
	CHECK_STR(out, "0");
	out[json_format_decimal(120, 3, out)] = 0;
	CHECK_STR(out, "0.120");
	out[json_format_decimal(-5, 0, out)] = 0;
	CHECK_STR(out, "-5");
	out[json_format_decimal(0, 2, out)] = 0;
	CHECK_STR(out, "0.00");
	out[json_format_decimal(-1, 38, out)] = 0;
	CHECK_STR(out, "-0.00000000000000000000000000000000000001");
	__int128 nines = 0;
	for (int i = 0; i < 38; i++)
		nines = nines * 10 + 9;
	out[json_format_decimal(nines, 10, out)] = 0;
	CHECK_STR(out, "9999999999999999999999999999.9999999999");
}

/* The plainest way: digit by digit from the end. */
static size_t decimal_slowly(__int128 unscaled, unsigned scale, char out[64])
{
	char text[64];
	size_t at = sizeof text;
	unsigned __int128 v = unscaled < 0 ? 0 - (unsigned __int128)unscaled : (unsigned __int128)unscaled;
	for (unsigned n = 0; v || n <= scale; n++, v /= 10) {
		if (n == scale && scale)
			text[--at] = '.';
		text[--at] = (char)('0' + (int)(v % 10));
	}
	if (unscaled < 0)
		text[--at] = '-';
	memcpy(out, text + at, sizeof text - at);
	return sizeof text - at;
}

TEST(integers_of_every_length_are_written_like_digit_by_digit)
{
	char fast[JSON_DECIMAL_CHARS], slow[64];
	uint64_t state = 9;
	for (int round = 0; round < 200000; round++) {
		unsigned __int128 v = 0;
		for (int i = 0; i < 2; i++) {
			state = state * 6364136223846793005u + 1442695040888963407u;
			v = v << 64 | (state ^ state >> 33);
		}
		v >>= state >> 57;
		if (round % 3 == 0) { /* around powers of ten */
			v = 1;
			for (unsigned n = (unsigned)(state >> 40) % 39; n--;)
				v *= 10;
			v = v + (unsigned)(state >> 20) % 3 - 1;
		}
		__int128 value = state >> 31 & 1 ? (__int128)v : (__int128)(0 - v);
		unsigned scale = (unsigned)(state >> 50) % 39;
		CHECK_SLICE(slice_of(fast, json_format_decimal(value, scale, fast)), slice_of(slow, decimal_slowly(value, scale, slow)));
		CHECK_SLICE(slice_of(fast, json_number_format_int((int64_t)value, fast)), slice_of(slow, decimal_slowly((int64_t)value, 0, slow)));
	}
}

TEST_MAIN()
