/* Any bytes: both code paths agree with each other and with jansson, nothing outside is read, and what is accepted is given back by value
 * end, dialects, numbers and times. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "json/number.h"
#include "json/scan_internal.h"
#include "json/string.h"
#include "json/time.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must_hold(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "scan_fuzz: does not hold: %s\n", what);
	abort();
}
#define must(what) must_hold((what), #what)

/* What jansson cannot hold, though it is legal: lone surrogates, numbers beyond a double, U+0000 in a key. */
static bool jansson_abstains(struct slice text, const json_error_t *e)
{
	enum json_error_code code = json_error_code(e);
	if (code == json_error_numeric_overflow || code == json_error_null_byte_in_key)
		return true;
	for (size_t i = 0; i + 4 <= text.len; i++)
		if (memcmp(text.data + i, "\\u", 2) == 0 && (text.data[i + 2] | 0x20) == 'd' && text.data[i + 3] >= '8')
			return true;
	return false;
}

static void check_against_jansson(struct slice text, rc_t rc)
{
	json_error_t e;
	if (text.len && memchr(text.data, 0, text.len))
		return; /* jansson takes a NUL outside of strings for the end */
	json_t *j = json_loadb((const char *)text.data, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &e);
	bool accepted = j != NULL;
	json_decref(j);
	must(rc == RC_LIMIT || accepted == (rc == RC_OK) || (!accepted && jansson_abstains(text, &e)));
}

struct answer {
	rc_t rc;
	size_t end;
	struct json_error error;
	uint32_t dialects;
};

static void check_same(const struct answer *a, const struct answer *b)
{
	must(a->rc == b->rc && a->end == b->end && a->dialects == b->dialects);
	must(a->error.offset == b->error.offset && a->error.message == b->error.message && a->error.truncated == b->error.truncated);
}

static rc_t check_paths(struct slice text, const struct json_limits *limits)
{
	struct answer a[2] = { 0 };
	for (int simd = 0; simd < 2; simd++) {
		json_scan_use_simd(simd);
		a[simd].rc = json_validate(text, limits, &a[simd].end, &a[simd].error);
		a[simd].dialects = json_text_dialects(text);
	}
	check_same(&a[0], &a[1]);
	must(a[0].rc == RC_OK ? a[0].end <= text.len : a[0].error.offset <= text.len && a[0].error.message);
	/* The start of a legal text is legal or cut off, nothing else. */
	if (a[0].rc == RC_OK && a[0].end) {
		struct json_error e;
		size_t end, cut = text.len * 7 % a[0].end;
		rc_t rc = json_validate(slice_of(text.data, cut), limits, &end, &e);
		must(rc == RC_OK || (rc == RC_INVALID && e.truncated));
	}
	return a[0].rc;
}

/* A line whose neighbours may be loaded is judged as if it stood alone. */
static void check_within(struct slice text)
{
	const uint8_t *lf = memchr(text.data, '\n', text.len);
	if (!lf)
		return;
	struct slice line = slice_of(text.data, (size_t)(lf - text.data));
	for (int simd = 0; simd < 2; simd++) {
		struct answer a[2] = { 0 };
		json_scan_use_simd(simd);
		a[0].rc = json_validate(line, NULL, &a[0].end, &a[0].error);
		a[1].rc = json_validate_within(line, text.data + text.len, NULL, NULL, &a[1].end, &a[1].error);
		check_same(&a[0], &a[1]);
		struct scan_memo memo;
		scan_memo_init(&memo);
		for (int again = 0; again < 2; again++) {
			a[1] = (struct answer){ 0 };
			a[1].rc = json_validate_within(line, text.data + text.len, NULL, &memo, &a[1].end, &a[1].error);
			check_same(&a[0], &a[1]);
		}
		/* The next line, by what this one has taught. */
		struct slice rest = slice_skip(text, line.len + 1);
		const uint8_t *next = memchr(rest.data, '\n', rest.len);
		line = slice_of(rest.data, next ? (size_t)(next - rest.data) : rest.len);
		a[0] = a[1] = (struct answer){ 0 };
		a[0].rc = json_validate(line, NULL, &a[0].end, &a[0].error);
		a[1].rc = json_validate_within(line, text.data + text.len, NULL, &memo, &a[1].end, &a[1].error);
		check_same(&a[0], &a[1]);
		line = slice_of(text.data, (size_t)(lf - text.data));
	}
}

static void check_utf8(struct slice text)
{
	size_t valid = 0, again;
	bool ok = json_utf8_valid(text, &valid);
	must(ok == (valid == text.len) && valid <= text.len);
	must(json_utf8_valid(slice_of(text.data, valid), &again) && again == valid);
	json_t *s = json_stringn((const char *)text.data, text.len);
	must(ok == (s != NULL));
	json_decref(s);
}

static void check_line_column(struct slice text)
{
	uint64_t line, column, want_line = 1, want_column = 1;
	size_t at = text.len / 2;
	json_line_column(text, at, &line, &column);
	for (size_t i = 0; i < at; i++) {
		if (text.data[i] == '\n') {
			want_line++;
			want_column = 1;
		} else {
			want_column += (text.data[i] & 0xc0) != 0x80;
		}
	}
	must(line == want_line && column == want_column);
	json_line_column(text, SIZE_MAX, &line, &column); /* is taken as the end */
}

static void check_string(struct slice raw)
{
	AUTO_BUF struct buf plain, again;
	buf_init(&plain, BUF_MAX_DEFAULT);
	buf_init(&again, BUF_MAX_DEFAULT);
	uint32_t dialects = json_string_dialects(raw);
	bool restorable = json_string_unescape(raw, &plain);
	must(json_utf8_valid(buf_slice(&plain), NULL) && (restorable || !dialects));
	for (int d = 0; d < JSON_DIALECT_COUNT; d++) {
		buf_reset(&again);
		json_string_escape(buf_slice(&plain), (enum json_dialect)d, &again);
		bool same = restorable && slice_eq(buf_slice(&again), raw);
		must(same == (dialects >> d & 1));
	}
}

static double libc_double(const char *text)
{
	return strtod(text, NULL); /* correctly rounded in glibc, and the locale is never set */
}

/* The shortest text that reads back as the same double. */
static void check_double(double d)
{
	char out[JSON_DOUBLE_CHARS + 1], plain[64];
	for (enum format f = FORMAT_DOUBLE_SHORT; f <= FORMAT_DOUBLE_DOT; f++) {
		out[json_number_format_double(d, f, out)] = 0;
		if (!isfinite(d)) {
			must(strcmp(out, "null") == 0);
			continue;
		}
		double back = libc_double(out);
		must(memcmp(&back, &d, sizeof d) == 0 && json_number_restores(slice_str(out), d, f));
		int digits = 0;
		for (const char *p = out; *p && *p != 'e'; p++)
			digits += *p != '.' && *p != '-' && (digits || *p != '0');
		for (const char *p = strcspn(out, "e") + out - 1; p > out && (*p == '0' || *p == '.') && digits; p--)
			digits -= *p == '0';
		if (digits < 2)
			continue;
		snprintf(plain, sizeof plain, "%.*e", digits - 2, d);
		must(libc_double(plain) != d);
	}
}

static void check_number(struct slice text)
{
	struct json_number n = json_number_parse(text);
	char out[JSON_DECIMAL_CHARS];
	__int128 wide;
	uint8_t scale;
	int64_t i;
	AUTO_MEM char *copy = mem_printf("%.*s", SLICE_ARG(text));
	double want = libc_double(copy), got = json_number_double(text);
	must(memcmp(&want, &got, sizeof got) == 0 && memcmp(&want, &n.f64, sizeof want) == 0);
	must(json_number_int64(text, &i) == (n.kind == NUM_INT64) && (n.kind != NUM_INT64 || i == n.i64));
	if (n.kind == NUM_DECIMAL)
		must(slice_eq(text, slice_of(out, json_format_decimal(n.i64, n.scale, out))));
	if (n.kind == NUM_INT64) {
		must(slice_eq(text, slice_of(out, json_number_format_int(n.i64, out))));
		if (n.i64 >= -((int64_t)1 << 53) && n.i64 <= (int64_t)1 << 53)
			must(!(json_number_int_formats(n.i64) & ~n.formats));
	}
	if (json_number_int128(text, &wide, &scale))
		must(slice_eq(text, slice_of(out, json_format_decimal(wide, scale, out))));
	must(!(n.formats & NUM_FORMAT_SHORT) || json_number_restores(text, n.f64, FORMAT_DOUBLE_SHORT));
	must(!(n.formats & NUM_FORMAT_DOT) || json_number_restores(text, n.f64, FORMAT_DOUBLE_DOT));
	check_double(n.f64);
}

/* Whatever was read last, the answer is the same. */
static void check_near(struct slice text, unsigned format, bool parsed, int64_t us)
{
	struct json_time_minute last = { 0 };
	char first[JSON_TIME_CHARS];
	int64_t near;
	if (text.len == 24) { /* a time of the same minute */
		memcpy(first, text.data, 16);
		memcpy(first + 16, ":59.999Z", 8);
		json_time_parse_near(slice_of(first, 24), format, &last, &near);
	}
	for (int again = 0; again < 2; again++) {
		must(json_time_parse_near(text, format, &last, &near) == parsed);
		must(!parsed || near == us);
	}
}

static void check_time(struct slice text)
{
	int64_t us;
	char out[JSON_TIME_CHARS];
	json_time_parse_any(text, &us);
	uint64_t candidates = json_time_candidates(text);
	for (unsigned row = 0; row < TIME_FORMATS; row++) {
		unsigned format = FORMAT_TIME_BASE + row;
		bool parsed = json_time_parse(text, format, &us);
		must(parsed == (candidates >> row & 1));
		check_near(text, format, parsed, us);
		if (parsed)
			must(slice_eq(text, slice_of(out, json_time_format(us, format, out))) && json_time_zoned(format) == (row < 36));
	}
	must((json_time_detect(text) != 0) == (candidates != 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice text = slice_of(data, size), value;
	const struct json_limits shallow = { .depth = 1 + (uint32_t)size % 7 };
	rc_t rc = check_paths(text, NULL);
	rc_t shallow_rc = check_paths(text, &shallow);
	must(shallow_rc == rc || shallow_rc == RC_LIMIT);
	check_within(text);
	check_utf8(text);
	check_line_column(text);
	check_time(text);
	must(json_value_end(data, data + size) <= data + size);
	AUTO_BUF struct buf plain;
	buf_init(&plain, BUF_MAX_DEFAULT);
	json_string_unescape(text, &plain);
	if (size >= sizeof(double)) {
		double d;
		memcpy(&d, data, sizeof d);
		check_double(d);
	}
	rc = json_validate_all(text, NULL, &value, NULL);
	check_against_jansson(text, rc);
	if (rc != RC_OK)
		return 0;
	must(json_value_end(value.data, value.data + value.len) == value.data + value.len);
	if (*value.data == '"')
		check_string(slice_of(value.data + 1, value.len - 2));
	else if (*value.data == '-' || (uint8_t)(*value.data - '0') < 10)
		check_number(value);
	return 0;
}
