#include <dirent.h>

#include "base/buf.h"
#include "base/test.h"
#include "json/scan_internal.h"

static uint64_t seed = 0x9e3779b97f4a7c15u;
static uint32_t rnd(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 32) % below;
}

/* What all texts of this test have taught, so that mutants meet steps of what they were made of. */
static struct scan_memo memo;

/* On a heap copy without a byte to spare, so that the address sanitizer sees every read outside. Both code paths must agree, and so must one that
 * remembers. */
static rc_t validate_copy(struct slice text, bool all, uint32_t depth, size_t *ret_end, struct json_error *ret_error)
{
	uint8_t *copy = mem_alloc(text.len ? text.len : 1);
	if (text.len)
		memcpy(copy, text.data, text.len);
	struct slice exact = slice_of(copy, text.len), value[2] = { { 0 }, { 0 } };
	struct json_limits limits = { depth };
	struct json_error e[3] = { { 0 }, { 0 }, { 0 } };
	size_t end[3] = { 0, 0, 0 };
	rc_t rc[3];
	for (int simd = 0; simd < 2; simd++) {
		json_scan_use_simd(simd);
		rc[simd] = all ? json_validate_all(exact, &limits, &value[simd], &e[simd]) : json_validate(exact, &limits, &end[simd], &e[simd]);
	}
	if (rc[0] != rc[1] || end[0] != end[1] || e[0].offset != e[1].offset || e[0].truncated != e[1].truncated ||
	    e[0].message != e[1].message || value[0].data != value[1].data || value[0].len != value[1].len) {
		fprintf(stderr, "portable and AVX2 differ on '%.*s'\n", SLICE_ARG(text));
		abort();
	}
	if (!memo.count || memo.count == SCAN_STEPS)
		scan_memo_init(&memo);
	for (int again = 0; again < 2 && !all; again++) {
		e[2] = (struct json_error){ 0 };
		end[2] = 0;
		rc[2] = json_validate_within(exact, copy + text.len, &limits, &memo, &end[2], &e[2]);
		if (rc[2] != rc[1] || end[2] != end[1] || e[2].offset != e[1].offset || e[2].truncated != e[1].truncated || e[2].message != e[1].message) {
			fprintf(stderr, "one that remembers differs on '%.*s'\n", SLICE_ARG(text));
			abort();
		}
	}
	if (ret_end)
		*ret_end = end[1];
	if (ret_error)
		*ret_error = e[1];
	free(copy);
	return rc[1];
}

static rc_t whole(const char *text)
{
	return validate_copy(slice_str(text), true, 0, NULL, NULL);
}

static const char *suite_folder(char *path, size_t cap)
{
	const char *shared = getenv("HYDRANT_SHARED"), *root = getenv("HYDRANT_ROOT");
	if (shared)
		snprintf(path, cap, "%s/data/json-test-suite/test_parsing", shared);
	else
		snprintf(path, cap, "%s/../shared/data/json-test-suite/test_parsing", root ? root : ".");
	return path;
}

static void read_file(const char *folder, const char *name, struct buf *ret)
{
	char path[2048];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *f = fopen(path, "rb");
	buf_reset(ret);
	if (!f)
		return;
	buf_reserve(ret, 1 << 20);
	ret->len = fread(ret->data, 1, 1 << 20, f);
	fclose(f);
}

/* The written rule for the i_ cases (scan.h): these are rejected, all others are legal text. */
static const char *const rejected_i[] = {
	"i_string_UTF-16LE_with_BOM.json", "i_string_UTF-8_invalid_sequence.json", "i_string_UTF8_surrogate_U+D800.json",
	"i_string_invalid_utf-8.json", "i_string_iso_latin_1.json", "i_string_lone_utf8_continuation_byte.json",
	"i_string_not_in_unicode_range.json", "i_string_overlong_sequence_2_bytes.json", "i_string_overlong_sequence_6_bytes.json",
	"i_string_overlong_sequence_6_bytes_null.json", "i_string_truncated-utf-8.json", "i_string_utf16BE_no_BOM.json",
	"i_string_utf16LE_no_BOM.json", "i_structure_500_nested_arrays.json",
	"i_structure_UTF-8_BOM_empty_object.json", /* as JSON text; as a body the mark is framing: frame_test.c */
};

TEST(json_test_suite_is_decided_as_written)
{
	char folder[900];
	DIR *d = opendir(suite_folder(folder, sizeof folder));
	if (!d)
		SKIP("no JSONTestSuite: set HYDRANT_SHARED");
	AUTO_BUF struct buf b;
	buf_init(&b, 1 << 21);
	int seen = 0;
	for (struct dirent *e; (e = readdir(d));) {
		const char *n = e->d_name;
		if ((n[0] != 'y' && n[0] != 'n' && n[0] != 'i') || n[1] != '_')
			continue;
		bool want = n[0] != 'n';
		for (size_t i = 0; n[0] == 'i' && i < sizeof rejected_i / sizeof *rejected_i; i++)
			if (!strcmp(n, rejected_i[i]))
				want = false;
		read_file(folder, n, &b);
		rc_t rc = validate_copy(buf_slice(&b), true, 0, NULL, NULL);
		if ((rc == RC_OK) != want) {
			fprintf(stderr, "  %s: %s\n", n, rc_name(rc));
			test_failures_++;
		}
		seen++;
	}
	closedir(d);
	CHECK(seen > 300);
}

TEST(grammar_is_strict)
{
	static const char *const good[] = { "0", "-0", "-0.0e-0", "1E+5", "true", " null ", "\"\"", "[]", "{}", "[[],{}]", "{\"a\":[1,{\"b\":null}],\"a\":2}",
		"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD800\"", "\"\x7f\"", "[1 , 2]", "{ \"a\" : 1 }\r\n", "\"\xf4\x8f\xbf\xbf\xed\x9f\xbf\xee\x80\x80\"" };
	static const char *const bad[] = { "", " ", "01", "-", "-01", "1.", ".5", "1e", "1e+", "+1", "tru", "True", "nulll", "\"", "\"\\\"", "\"\\x\"",
		"\"\\u12g4\"", "\"\x01\"", "\"\n\"", "[1,]", "[,1]", "[1 2]", "[1", "]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{\"a\":1]", "[1}", "{1:2}",
		"1 2", "{}x", "\"\xc0\x80\"", "\"\xc1\xbf\"", "\"\xe0\x9f\xbf\"", "\"\xed\xa0\x80\"", "\"\xf0\x8f\xbf\xbf\"", "\"\xf4\x90\x80\x80\"", "\"\xf5\x80\x80\x80\"",
		"\"\x80\"", "\"\xc3\"", "\"\xe2\x82\"", "\xef\xbb\xbf{}", "NaN", "{\"a\":1 \"b\":2}", "'a'", "[1,/**/2]" };
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		if (whole(good[i]) != RC_OK)
			TEST_FAIL_("refused: %s", good[i]);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (whole(bad[i]) != RC_INVALID)
			TEST_FAIL_("accepted: %s", bad[i]);
	CHECK_RC(validate_copy(slice_of("\"a\0b\"", 5), true, 0, NULL, NULL), RC_INVALID);
}

TEST(one_value_is_taken_and_its_end_told)
{
	static const struct { const char *text; int end; } cases[] = { { "1 2", 1 }, { "  {} {}", 4 }, { "{}{}", 2 }, { "\"a\"\"b\"", 3 }, { "1,2", 1 },
		{ "[1]x", 3 }, { "12{}", 2 }, { "null[", 4 }, { "12a", -1 }, { "1-2", -1 }, { "truefalse", -1 }, { "-012", -1 } };
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		size_t end = 0;
		rc_t rc = validate_copy(slice_str(cases[i].text), false, 0, &end, NULL);
		CHECK_RC(rc, cases[i].end < 0 ? RC_INVALID : RC_OK);
		if (rc == RC_OK)
			CHECK_INT(end, cases[i].end);
	}
}

TEST(depth_is_limited_exactly)
{
	AUTO_BUF struct buf b;
	buf_init(&b, 1 << 20);
	for (uint32_t depth = 1; depth <= 2000; depth += depth < 130 ? 1 : 61) {
		buf_reset(&b);
		for (uint32_t i = 0; i < depth; i++)
			buf_append_str(&b, i & 1 ? "{\"a\":" : "[");
		buf_append_str(&b, "1");
		for (uint32_t i = depth; i-- > 0;)
			buf_append_str(&b, i & 1 ? "}" : "]");
		CHECK_RC(validate_copy(buf_slice(&b), true, 0, NULL, NULL), depth <= 128 ? RC_OK : RC_LIMIT);
		CHECK_RC(validate_copy(buf_slice(&b), true, depth, NULL, NULL), depth <= 1024 ? RC_OK : RC_LIMIT);
		if (depth > 1)
			CHECK_RC(validate_copy(buf_slice(&b), true, depth - 1, NULL, NULL), RC_LIMIT);
	}
}

TEST(truncated_is_said_of_every_proper_prefix)
{
	static const char text[] = " {\"k\\u00e9\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\": [true, false, null, -1.5e+3, \"\\n\", {}], \"b\" : [ ] }";
	for (size_t n = 0; n < sizeof text - 1; n++) {
		struct json_error e = { 0 };
		CHECK_RC(validate_copy(slice_of(text, n), true, 0, NULL, &e), RC_INVALID);
		CHECK(e.truncated);
		CHECK_INT(e.offset, n);
	}
	struct json_error e;
	CHECK_RC(validate_copy(slice_str("[1,}"), true, 0, NULL, &e), RC_INVALID);
	CHECK(!e.truncated);
	CHECK_INT(e.offset, 3);
}

static void random_value(struct buf *b, int depth)
{
	static const char *const scalars[] = { "0", "-1", "12.50", "1e9", "true", "false", "null", "123456789012345678901234567890", "\"\"" };
	static const char *const pieces[] = { "a", "hello world, this is plain text", "\\n", "\\u20ac", "\xc3\xa9", "\xe2\x82\xac", "\\\\", "\\\"", "/", "{", "]", "\xf0\x9f\x98\x80" };
	uint32_t kind = rnd(depth > 5 ? 5 : 8);
	if (kind < 3) {
		buf_append_str(b, scalars[rnd(9)]);
	} else if (kind < 5) {
		buf_byte(b, '"');
		for (uint32_t i = rnd(8); i-- > 0;)
			buf_append_str(b, pieces[rnd(12)]);
		buf_byte(b, '"');
	} else {
		bool object = kind == 5;
		buf_byte(b, object ? '{' : '[');
		for (uint32_t i = 0, n = rnd(5); i < n; i++) {
			buf_append_str(b, i ? ", " : rnd(2) ? " " : "");
			if (object)
				buf_append_str(b, rnd(2) ? "\"k\":" : "\"key \\u0041\" : ");
			random_value(b, depth + 1);
		}
		buf_byte(b, object ? '}' : ']');
	}
}

TEST(valid_text_is_accepted_mutants_agree_and_the_pull_scanner_finds_the_same_end)
{
	AUTO_BUF struct buf b;
	buf_init(&b, 1 << 24);
	for (int round = 0; round < 6000; round++) {
		buf_reset(&b);
		random_value(&b, 0);
		size_t n = b.len, end = 0;
		CHECK_RC(validate_copy(buf_slice(&b), false, 0, &end, NULL), RC_OK);
		CHECK_INT(end, n);
		uint8_t *copy = mem_alloc(n);
		memcpy(copy, b.data, n);
		size_t pulled = (size_t)(json_value_end(copy, copy + n) - copy);
		CHECK_INT(pulled, n);
		for (int i = 0; i < 4; i++) { /* no crash, both paths equal; the pull scanner stays inside */
			copy[rnd((uint32_t)n)] = rnd(2) ? (uint8_t)rnd(256) : (uint8_t)"\"\\{}[],:0a\x80\xed"[rnd(12)];
			validate_copy(slice_of(copy, n), false, 0, NULL, NULL);
			CHECK(json_value_end(copy, copy + n) <= copy + n);
		}
		free(copy);
	}
}

/* A line of each kind of value behind each kind of key, longer than all vectors; every byte of it changed to every byte that means something. */
TEST(a_scanner_that_remembers_members_finds_every_fault)
{
	static const char line[] = "{\"a\":\"x\",\"number\":-12.5,\"null\":null,\"nested\":{\"b\":\"y\",\"c\":[{\"d\":1,\"e\":\"z\"},{\"d\":2,\"e\":\"\\u00e9\"}],"
				   "\"f\":false},\"a rather long key of more than 32 bytes\":true,\"long\":\"a value that is longer than a vector\",\"last\":0}";
	static const char bytes[] = "\"\\{}[],:0-.eE tfn\n\x01\x7f\x80\xc3";
	uint8_t text[2 * sizeof line];
	size_t len = sizeof line - 1;
	for (size_t at = 0; at < len; at++)
		for (size_t k = 0; k < sizeof bytes; k++) {
			scan_memo_init(&memo);
			memcpy(text, line, len);
			CHECK_RC(validate_copy(slice_of(text, len), false, 0, NULL, NULL), RC_OK); /* learn it */
			text[at] = (uint8_t)bytes[k];
			validate_copy(slice_of(text, len), false, 0, NULL, NULL);
			memmove(text + at, line + at + 1, len - at - 1); /* and without it; and with one more */
			validate_copy(slice_of(text, len - 1), false, 0, NULL, NULL);
			text[at] = (uint8_t)bytes[k];
			memcpy(text + at + 1, line + at, len - at);
			validate_copy(slice_of(text, len + 1), false, 0, NULL, NULL);
		}
	/* What is right behind a value is wrong at an object's beginning, and the other way round. */
	scan_memo_init(&memo);
	CHECK_RC(validate_copy(slice_str("{\"k\":1,\"x\":2,\"y\":{\"a\":3,\"b\":\"0123456789012345678901234567890123456789012345678901234567890123456789\"}}"),
			       false, 0, NULL, NULL), RC_OK);
	CHECK_RC(validate_copy(slice_str("{\"k\":{,\"x\":2,\"y\":{\"a\":3,\"b\":\"0123456789012345678901234567890123456789012345678901234567890123456789\"}}}"),
			       false, 0, NULL, NULL), RC_INVALID);
	CHECK_RC(validate_copy(slice_str("{\"k\":1,\"x\":2,\"y\":0\"a\":3,\"b\":\"0123456789012345678901234567890123456789012345678901234567890123456789\"}}"),
			       false, 0, NULL, NULL), RC_INVALID);
}

TEST(string_end_tells_escapes_and_high_bytes_at_every_length)
{
	for (size_t n = 0; n < 70; n++)
		for (int what = 0; what < 4; what++)
			for (size_t at = 0; at + 2 <= n || (at == 0 && what == 0); at++) {
				uint8_t *s = mem_alloc(n + 2);
				memset(s, 'x', n);
				s[n] = '"';
				s[n + 1] = 0xff; /* behind the end: must not be marked */
				if (what == 1)
					memcpy(s + at, "\\\"", 2);
				else if (what == 2)
					memcpy(s + at, "\xc3\xa9", 2);
				else if (what == 3)
					memcpy(s + at, "\\\\", 2);
				uint32_t marks = 99;
				const uint8_t *e = json_string_end(s, s + n + 2, &marks);
				CHECK_INT(e - s, n);
				CHECK_INT(marks, what == 0 ? 0 : what == 2 ? JSON_MARK_HIGH : JSON_MARK_ESCAPE);
				free(s);
			}
}

TEST(utf8_is_checked_as_rfc_3629)
{
	/* every sequence of up to 3 bytes from the interesting ones, against a slow decoder */
	static const uint8_t bytes[] = { 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff };
	size_t count = sizeof bytes;
	for (size_t i = 0; i < count * count * count * count; i++) {
		uint8_t s[4] = { bytes[i % count], bytes[i / count % count], bytes[i / count / count % count], bytes[i / count / count / count] };
		bool want = true;
		for (size_t at = 0; at < 4 && want;) {
			int n = s[at] < 0x80 ? 1 : s[at] >= 0xf0 ? 4 : s[at] >= 0xe0 ? 3 : 2;
			uint32_t cp = n == 1 ? s[at] : s[at] & (0xffu >> (n + 1));
			if ((s[at] >= 0x80 && s[at] < 0xc0) || s[at] >= 0xf8 || at + (size_t)n > 4)
				want = false;
			for (int k = 1; want && k < n; k++) {
				want = (s[at + (size_t)k] & 0xc0) == 0x80;
				cp = cp << 6 | (s[at + (size_t)k] & 0x3f);
			}
			static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
			if (cp < least[n] || cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000))
				want = false;
			at += (size_t)n;
		}
		if (json_utf8_valid(slice_of(s, 4), NULL) != want)
			TEST_FAIL_("%02x %02x %02x %02x: want %d", s[0], s[1], s[2], s[3], want);
	}
	size_t valid = 0;
	CHECK(!json_utf8_valid(slice_str("abcdefghijklmnopqrstuvwxyz\xc3\xa9\xc3"), &valid));
	CHECK_INT(valid, 28);
}

TEST(lines_and_columns_count_from_one_in_characters)
{
	uint64_t line, column;
	struct slice t = slice_str("a\n\xc3\xa9\xe2\x82\xac x\n");
	json_line_column(t, 0, &line, &column);
	CHECK(line == 1 && column == 1);
	json_line_column(t, 7, &line, &column);
	CHECK(line == 2 && column == 3);
	json_line_column(t, 100, &line, &column);
	CHECK(line == 3 && column == 1);
}

TEST_MAIN()
