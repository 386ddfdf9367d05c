#include "base/test.h"
#include "json/scan.h"
#include "json/string.h"

static uint64_t seed = 0x2545f4914f6cdd1du;
static uint32_t rnd(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 32) % below;
}

static struct buf scratch[2];
static struct slice escaped(struct slice utf8, enum json_dialect d)
{
	buf_reset(&scratch[0]);
	json_string_escape(utf8, d, &scratch[0]);
	return buf_slice(&scratch[0]);
}

static uint32_t dialects(struct slice raw)
{
	uint8_t *copy = mem_alloc(raw.len + 1); /* exact, for the address sanitizer */
	uint32_t mask[2];
	if (raw.len)
		memcpy(copy, raw.data, raw.len);
	copy = mem_realloc(copy, raw.len ? raw.len : 1);
	for (int simd = 0; simd < 2; simd++) {
		json_scan_use_simd(simd);
		mask[simd] = json_text_dialects(slice_of(copy, raw.len));
	}
	free(copy);
	if (mask[0] != mask[1])
		abort();
	return mask[1];
}

/* The definition: under which dialects does the raw text come back? */
static uint32_t dialects_by_trial(struct slice raw)
{
	uint32_t mask = 0;
	buf_reset(&scratch[1]);
	if (!json_string_unescape(raw, &scratch[1]))
		return 0;
	for (int d = 0; d < JSON_DIALECT_COUNT; d++)
		if (slice_eq(escaped(buf_slice(&scratch[1]), (enum json_dialect)d), raw))
			mask |= (uint32_t)1 << d;
	return mask;
}

static void init(void)
{
	buf_init(&scratch[0], BUF_MAX_DEFAULT);
	buf_init(&scratch[1], BUF_MAX_DEFAULT);
}

static void done(void)
{
	buf_free(&scratch[0]);
	buf_free(&scratch[1]);
}

TEST(writers_are_imitated_exactly)
{
	/* checked against python3 3.11, node 20, go 1.26, jq 1.6; Gson, Jackson, PHP, System.Text.Json by their sources */
	static const char in[] = "\b\f\n\r\t\x01\x1f\"\\/<>&='+`~\x7f\xc3\xa9\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xa9\xf0\x9f\x98\x80\xc2\x85</";
	static const char *const out[JSON_DIALECT_COUNT] = {
		[JSON_DIALECT_MINIMAL] = "\\b\\f\\n\\r\\t\\u0001\\u001f\\\"\\\\/<>&='+`~\x7f\xc3\xa9\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xa9\xf0\x9f\x98\x80\xc2\x85</",
		[JSON_DIALECT_ASCII_LOWER] = "\\b\\f\\n\\r\\t\\u0001\\u001f\\\"\\\\/<>&='+`~\\u007f\\u00e9\\u2027\\u2028\\u2029\\ud83d\\ude00\\u0085</",
		[JSON_DIALECT_ASCII_UPPER] = "\\b\\f\\n\\r\\t\\u0001\\u001F\\\"\\\\/<>&='+`~\x7f\\u00E9\\u2027\\u2028\\u2029\\uD83D\\uDE00\\u0085</",
		[JSON_DIALECT_HTML] = "\\b\\f\\n\\r\\t\\u0001\\u001f\\\"\\\\/\\u003c\\u003e\\u0026='+`~\x7f\xc3\xa9\xe2\x80\xa7\\u2028\\u2029\xf0\x9f\x98\x80\xc2\x85\\u003c/",
		[JSON_DIALECT_HTML_LONG] = "\\u0008\\u000c\\n\\r\\t\\u0001\\u001f\\\"\\\\/\\u003c\\u003e\\u0026='+`~\x7f\xc3\xa9\xe2\x80\xa7\\u2028\\u2029\xf0\x9f\x98\x80\xc2\x85\\u003c/",
		[JSON_DIALECT_SLASH_ASCII] = "\\b\\f\\n\\r\\t\\u0001\\u001f\\\"\\\\\\/<>&='+`~\x7f\\u00e9\\u2027\\u2028\\u2029\\ud83d\\ude00\\u0085<\\/",
		[JSON_DIALECT_GSON] = "\\b\\f\\n\\r\\t\\u0001\\u001f\\\"\\\\/\\u003c\\u003e\\u0026\\u003d\\u0027+`~\x7f\xc3\xa9\xe2\x80\xa7\\u2028\\u2029\xf0\x9f\x98\x80\xc2\x85\\u003c/",
		[JSON_DIALECT_UPPER] = "\\b\\f\\n\\r\\t\\u0001\\u001F\\\"\\\\/<>&='+`~\x7f\xc3\xa9\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xa9\xf0\x9f\x98\x80\xc2\x85</",
		[JSON_DIALECT_DEL] = "\\b\\f\\n\\r\\t\\u0001\\u001f\\\"\\\\/<>&='+`~\\u007f\xc3\xa9\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xa9\xf0\x9f\x98\x80\xc2\x85</",
		[JSON_DIALECT_SLASH] = "\\b\\f\\n\\r\\t\\u0001\\u001f\\\"\\\\\\/<>&='+`~\x7f\xc3\xa9\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xa9\xf0\x9f\x98\x80\xc2\x85<\\/",
		[JSON_DIALECT_LINES] = "\\b\\f\\n\\r\\t\\u0001\\u001f\\\"\\\\/<>&='+`~\x7f\xc3\xa9\xe2\x80\xa7\\u2028\\u2029\xf0\x9f\x98\x80\xc2\x85</",
		[JSON_DIALECT_LINES_LONG] = "\\u0008\\u000c\\n\\r\\t\\u0001\\u001f\\\"\\\\/<>&='+`~\x7f\xc3\xa9\xe2\x80\xa7\\u2028\\u2029\xf0\x9f\x98\x80\xc2\x85</",
		[JSON_DIALECT_ASCII_DELRAW] = "\\b\\f\\n\\r\\t\\u0001\\u001f\\\"\\\\/<>&='+`~\x7f\\u00e9\\u2027\\u2028\\u2029\\ud83d\\ude00\\u0085</",
		[JSON_DIALECT_DOTNET] = "\\b\\f\\n\\r\\t\\u0001\\u001F\\u0022\\\\/\\u003C\\u003E\\u0026=\\u0027\\u002B\\u0060~\\u007F\\u00E9\\u2027\\u2028\\u2029\\uD83D\\uDE00\\u0085\\u003C/",
		[JSON_DIALECT_SLASH_LINES] = "\\b\\f\\n\\r\\t\\u0001\\u001f\\\"\\\\\\/<>&='+`~\x7f\xc3\xa9\xe2\x80\xa7\\u2028\\u2029\xf0\x9f\x98\x80\xc2\x85<\\/",
		[JSON_DIALECT_LONG] = "\\u0008\\u000c\\n\\r\\t\\u0001\\u001f\\\"\\\\/<>&='+`~\x7f\xc3\xa9\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xa9\xf0\x9f\x98\x80\xc2\x85</",
		[JSON_DIALECT_SLASH_HEX] = "\\b\\f\\n\\r\\t\\u0001\\u001f\\u0022\\\\\\/\\u003C\\u003E\\u0026=\\u0027+`~\x7f\\u00e9\\u2027\\u2028\\u2029\\ud83d\\ude00\\u0085\\u003C\\/",
		[JSON_DIALECT_ORGJSON] = "\\b\\f\\n\\r\\t\\u0001\\u001f\\\"\\\\/<>&='+`~\x7f\xc3\xa9\\u2027\\u2028\\u2029\xf0\x9f\x98\x80\\u0085<\\/",
		[JSON_DIALECT_NEL_LINES] = "\\b\\f\\n\\r\\t\\u0001\\u001f\\\"\\\\/<>&='+`~\x7f\xc3\xa9\xe2\x80\xa7\\u2028\\u2029\xf0\x9f\x98\x80\\u0085</",
	};
	init();
	for (int d = 0; d < JSON_DIALECT_COUNT; d++) {
		CHECK_SLICE(escaped(slice_str(in), (enum json_dialect)d), slice_str(out[d]));
		CHECK(dialects(slice_str(out[d])) & (uint32_t)1 << d);
		CHECK_INT(json_dialect_pick(dialects(slice_str(out[d]))), d); /* all choices shown: only that one */
	}
	done();
}

TEST(a_dialect_bit_is_set_exactly_when_the_text_comes_back)
{
	static const char *const pieces[] = { "a", "plain words and more of them, ", "/", "\\/", "<", "\\u003c", "\\u003C", "&", "\\u0026", "=", "\\u003d", "'", "\\u0027", "+",
		"\\u002B", "`", "\\u0060", "\x7f", "\\u007f", "\\u007F", "\\n", "\\\"", "\\u0022", "\\\\", "\\b", "\\u0008", "\\f", "\\u000c", "\\u000C", "\\u001f", "\\u001F",
		"\\u0001", "\xc3\xa9", "\\u00e9", "\\u00E9", "\xe2\x82\xac", "\\u20ac", "\\u20Ac", "\xe2\x80\xa8", "\\u2028", "\xe2\x80\xa7", "\xf0\x9f\x98\x80", "\\ud83d\\ude00",
		"\\uD83D\\uDE00", "\\ud83d\\uDE00", "\\ud83d", "\\ude00", "\\u0041", "\\u000a", "0", "[", "~", "</", "<\\/", "\\u003C\\/", "\xc2\x85", "\\u0085", "\xc2\xa0", "\\u00a0", "\\u20ac" };
	enum { PIECES = sizeof pieces / sizeof *pieces };
	init();
	AUTO_BUF struct buf b;
	buf_init(&b, 1 << 20);
	for (int round = 0; round < 60000; round++) {
		buf_reset(&b);
		const char *only[3] = { pieces[rnd(PIECES)], pieces[rnd(PIECES)], pieces[rnd(PIECES)] };
		for (uint32_t n = rnd(12); n-- > 0;)
			buf_append_str(&b, rnd(2) ? only[rnd(3)] : pieces[rnd(2)]);
		uint32_t want = dialects_by_trial(buf_slice(&b)), got = dialects(buf_slice(&b));
		if (got != want)
			TEST_FAIL_("'%.*s': %x, want %x", SLICE_ARG(buf_slice(&b)), got, want);
	}
	done();
}

TEST(unescape_of_escape_is_identity_in_every_dialect)
{
	init();
	for (int round = 0; round < 30000; round++) {
		uint8_t text[200];
		size_t n = 0;
		while (n < 100 && rnd(20)) {
			uint32_t cp = (uint32_t[]){ rnd(128), rnd(128), 32 + rnd(90), rnd(0x800), rnd(0xd800), 0xe000 + rnd(0x2000), 0x2020 + rnd(16), 0x10000 + rnd(0x100000) }[rnd(8)];
			AUTO_BUF struct buf one;
			buf_init(&one, 16);
			char escape[16];
			if (cp < 0x10000)
				snprintf(escape, sizeof escape, "\\u%04x", cp);
			else
				snprintf(escape, sizeof escape, "\\u%04x\\u%04x", 0xd800 + ((cp - 0x10000) >> 10), 0xdc00 + (cp & 0x3ff));
			CHECK(json_string_unescape(slice_str(escape), &one));
			CHECK(json_utf8_valid(buf_slice(&one), NULL));
			memcpy(text + n, one.data, one.len);
			n += one.len;
		}
		for (int d = 0; d < JSON_DIALECT_COUNT; d++) {
			struct slice raw = escaped(slice_of(text, n), (enum json_dialect)d);
			buf_reset(&scratch[1]);
			CHECK(json_string_unescape(raw, &scratch[1]));
			CHECK_SLICE(buf_slice(&scratch[1]), slice_of(text, n));
			CHECK(dialects(raw) & (uint32_t)1 << d);
		}
	}
	done();
}

TEST(a_whole_row_is_answered_at_once)
{
	CHECK_INT(dialects(slice_str("{\"a\": [1, -2.5e-3, true, null], \"key\" : \"value without anything special\"}\r\n")), JSON_DIALECTS_ALL);
	CHECK_INT(json_dialect_pick(dialects(slice_str("{\"url\": \"http:\\/\\/example.com\\/\", \"name\": \"caf\\u00e9\"}"))), JSON_DIALECT_SLASH_ASCII);
	CHECK_INT(dialects(slice_str("{\"url\": \"http:\\/\\/example.com\\/\", \"name\": \"a/b\"}")), 0);
	CHECK_INT(dialects(slice_str("{\"a\":\"\\ud800\"}")), 0);
	CHECK_INT(dialects(slice_str("")), JSON_DIALECTS_ALL);
}

TEST(lone_surrogates_become_replacement_characters_and_are_told)
{
	init();
	static const char *const lone[] = { "\\ud800", "x\\udc00y", "\\ud800\\ud800", "\\udc00\\ud800", "\\ud800\\n", "\\ud83dx\\ude00" };
	for (size_t i = 0; i < sizeof lone / sizeof *lone; i++) {
		buf_reset(&scratch[1]);
		CHECK(!json_string_unescape(slice_str(lone[i]), &scratch[1]));
		CHECK(json_utf8_valid(buf_slice(&scratch[1]), NULL));
		CHECK_INT(dialects(slice_str(lone[i])), 0);
	}
	buf_reset(&scratch[1]);
	CHECK(!json_string_unescape(slice_str("a\\ud800\\ud83d\\ude00"), &scratch[1]));
	CHECK_SLICE(buf_slice(&scratch[1]), slice_str("a\xef\xbf\xbd\xf0\x9f\x98\x80"));
	buf_reset(&scratch[1]);
	CHECK(json_string_unescape(slice_str("\\u0000"), &scratch[1]));
	CHECK_SLICE(buf_slice(&scratch[1]), slice_of("", 1));
	done();
}

TEST(broken_text_stays_inside_its_bounds)
{
	init();
	for (int round = 0; round < 50000; round++) {
		uint8_t *text = mem_alloc(40);
		size_t n = rnd(40);
		for (size_t i = 0; i < n; i++)
			text[i] = rnd(3) ? (uint8_t)"\\u\\ud8dc00\"/\xe2\x80\xa8\xf0\x9f"[rnd(18)] : (uint8_t)rnd(256);
		text = mem_realloc(text, n ? n : 1);
		buf_reset(&scratch[1]);
		json_string_unescape(slice_of(text, n), &scratch[1]);
		dialects(slice_of(text, n));
		for (int d = 0; d < JSON_DIALECT_COUNT; d++)
			escaped(slice_of(text, n), (enum json_dialect)d);
		free(text);
	}
	AUTO_BUF struct buf small;
	buf_init(&small, 4);
	json_string_unescape(slice_str("too long for it"), &small);
	CHECK(small.overflow);
	done();
}

TEST_MAIN()
