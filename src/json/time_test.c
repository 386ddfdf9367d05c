#include <time.h>

#include "base/mem.h"
#include "base/test.h"
#include "json/time.h"

static uint64_t seed = 0x853c49e6748fea9bu;
static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

#define FIRST INT64_C(-62135596800000000)
#define LAST INT64_C(253402300799999999)

TEST(every_format_gives_its_text_back)
{
	for (int round = 0; round < 20000; round++) {
		int64_t us = FIRST + (int64_t)(rnd() % (uint64_t)(LAST - FIRST));
		us -= us % (int64_t[]){ 1, 10, 100, 1000, 10000, 100000, 1000000, 60000000 }[rnd() % 8];
		for (unsigned f = FORMAT_TIME_BASE; f < FORMAT_TIME_BASE + TIME_FORMATS; f++) {
			char out[JSON_TIME_CHARS], again[JSON_TIME_CHARS];
			size_t n = json_time_format(us, f, out);
			int64_t back = 1;
			if (n == 0)
				continue; /* more precise than the format shows */
			struct slice text = slice_of(out, n);
			CHECK(json_time_parse(text, f, &back));
			CHECK_INT(back, us);
			CHECK(json_time_candidates(text) >> (f - FORMAT_TIME_BASE) & 1);
			unsigned detected = json_time_detect(text);
			CHECK(detected && json_time_format(us, detected, again) == n && memcmp(again, out, n) == 0);
			CHECK(json_time_parse_any(text, &back));
			CHECK_INT(back, us);
			for (unsigned g = FORMAT_TIME_BASE; g < FORMAT_TIME_BASE + TIME_FORMATS; g++) { /* strict both ways */
				bool same = json_time_format(us, g, again) == n && memcmp(again, out, n) == 0;
				if (same != json_time_parse(text, g, &back))
					TEST_FAIL_("%.*s: formats %u and %u", SLICE_ARG(text), f, g);
			}
		}
	}
}

TEST(the_minute_read_last_changes_no_answer)
{
	struct json_time_minute last = { 0 };
	int64_t at = 0;
	unsigned format = FORMAT_TIME_BASE;
	int near_hits = 0;
	for (int round = 0; round < 400000; round++) {
		if (round % 16 == 0) {
			at = FIRST + (int64_t)(rnd() % (uint64_t)(LAST - FIRST - 200000000));
			at -= at % 1000;
			format = FORMAT_TIME_BASE + (unsigned)(rnd() % 4 ? 6 + rnd() % 2 : rnd() % TIME_FORMATS);
		}
		char text[JSON_TIME_CHARS];
		int64_t us = at + (int64_t)(rnd() % 100000) * 1000, want = -1, got = -1;
		size_t n = json_time_format(us, format, text);
		if (!n)
			continue;
		if (rnd() % 2)
			text[rnd() % n] = (char)(rnd() % 4 ? "0123456789:.-TZ /"[rnd() % 17] : (char)rnd());
		struct json_time_minute before = last;
		bool parsed = json_time_parse(slice_of(text, n), format, &want);
		if (parsed != json_time_parse_near(slice_of(text, n), format, &last, &got) || (parsed && got != want))
			TEST_FAIL_("%.*s, format %u", (int)n, text, format);
		near_hits += parsed && before.format == format && memcmp(before.text, text, 16) == 0;
	}
	CHECK(near_hits > 10000);
}

TEST(dates_agree_with_the_c_library)
{
	for (int64_t day = FIRST / 86400000000; day <= LAST / 86400000000; day += 1 + (int64_t)(rnd() % 3)) {
		time_t t = (time_t)(day * 86400);
		struct tm tm;
		char want[64], got[JSON_TIME_CHARS + 1];
		gmtime_r(&t, &tm);
		snprintf(want, sizeof want, "%04d-%02d-%02dT00:00:00Z", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
		got[json_time_format(day * 86400000000, FORMAT_TIME_BASE, got)] = 0;
		CHECK_STR(got, want);
		int64_t back = 0;
		CHECK(json_time_parse(slice_str(want), FORMAT_TIME_BASE, &back));
		CHECK_INT(back, day * 86400000000);
	}
}

TEST(only_canonical_texts_of_valid_times_are_timestamps)
{
	static const char *const no[] = { "", "2026", "2026-11-22", "2026-11-22T10:00", "2026-11-22T10:00:60Z", "2026-11-22T24:00:00Z", "2026-11-22T10:60:00Z", "2026-02-29T00:00:00Z",
		"1900-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-01-00T00:00:00Z", "2026-04-31T00:00:00Z", "0000-01-01T00:00:00Z", "2026-11-22t10:00:00Z",
		"2026-11-22T10:00:00z", "2026-11-22T10:00:00+01:00", "2026-11-22T10:00:00-00:00", "2026-11-22T10:00:00.Z", "2026-11-22T10:00:00.1234567Z", "2026-11-22T10:00:00.123456789Z",
		"2026-11-22T10:00:00,123Z", "2026-11-22T10:00:00 Z", "2026-11-22T10:00:00Z ", " 2026-11-22T10:00:00Z", "2026/11/22T10:00:00Z", "2026-11-22_10:00:00Z", "2026-11-22T1:00:00Z0",
		"+026-11-22T10:00:00Z", "2026-11-22T10:00:00+00:0", "2026-11-22T10:00:00+0000", "2026-1a-22T10:00:00Z", "20261122T100000Z" };
	for (size_t i = 0; i < sizeof no / sizeof *no; i++)
		if (json_time_detect(slice_str(no[i])))
			TEST_FAIL_("%s is no timestamp", no[i]);
	CHECK_INT(json_time_detect(slice_str("2026-11-22T10:00:00Z")), FORMAT_TIME_BASE);
	CHECK(json_time_detect(slice_str("2000-02-29 00:00:00.5")));
	CHECK(!json_time_zoned(json_time_detect(slice_str("2000-02-29 00:00:00.5"))));
	CHECK(json_time_zoned(json_time_detect(slice_str("2000-02-29 00:00:00.5+00:00"))));
	CHECK(json_time_zoned(FORMAT_TIME_BASE) && !json_time_zoned(0) && !json_time_zoned(255));
}

TEST(candidates_find_the_writers_habit)
{
	/* Go cuts zeros off: after a few values only that is left */
	uint64_t rows = json_time_candidates(slice_str("2026-11-22T10:00:00.123456Z")) & json_time_candidates(slice_str("2026-11-22T10:00:00.1234Z")) &
	                json_time_candidates(slice_str("2026-11-22T10:00:00Z"));
	CHECK_INT(rows, (uint64_t)1 << TIME_FRACTION_TRIM * TIME_SEPARATORS);
	/* Java in groups of three */
	rows = json_time_candidates(slice_str("2026-11-22T10:00:00.120Z")) & json_time_candidates(slice_str("2026-11-22T10:00:00.123456Z"));
	CHECK_INT(rows, (uint64_t)1 << TIME_FRACTION_THREES * TIME_SEPARATORS);
	CHECK_INT(json_time_candidates(slice_str("2026-11-22T10:00:00.120Z")) & json_time_candidates(slice_str("2026-11-22T10:00:00.1Z")), 0);
}

TEST(liberal_parsing_reads_offsets_and_epochs)
{
	static const struct { const char *text; int64_t us; } cases[] = {
		{ "2026-11-22T10:00:00+01:00", 1795338000000000 }, { "2026-11-22T10:00:00-0130", 1795347000000000 }, { "2026-11-22 10:00:00", 1795341600000000 },
		{ "2026-11-22t10:00:00.123456789z", 1795341600123456 }, { "2026-11-22 10:00:00,5", 1795341600500000 }, { "2026-11-22 10:00:00.25 +00:00", 1795341600250000 },
		{ "2026-11-22", 1795305600000000 }, { "2016-12-31T23:59:60Z", 1483228800000000 }, { "2026-11-22T10:00:00+14", 1795291200000000 },
		{ "1795341600", 1795341600000000 }, { "1795341600.25", 1795341600250000 }, { "1795341600123", 1795341600123000 }, { "1795341600123456", 1795341600123456 },
		{ "1795341600123456789", 1795341600123456 } };
	static const char *const no[] = { "", "1", "0", "-1795341600", "12345678", "4102444800", "99999999999999999999", "17953416001234567890", "1795341600.", "1795341600.5x", "1e9",
		"2026-11-22T", "2026-11-22T10:00:00+25:00", "2026-11-22T10:00:00+1:00", "2026-11-22T10:00:00.", "2026-11-22T10:00:00 x", "2026-11-22T10:00:00UTC!", "2026-11-31", "abcd-ef-gh" };
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int64_t us = 0;
		if (!json_time_parse_any(slice_str(cases[i].text), &us) || us != cases[i].us)
			TEST_FAIL_("%s: %lld", cases[i].text, (long long)us);
	}
	for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
		int64_t us = 0;
		if (json_time_parse_any(slice_str(no[i]), &us))
			TEST_FAIL_("%s: %lld", no[i], (long long)us);
	}
}

TEST(no_byte_outside_is_read_and_extremes_are_refused)
{
	static const char full[] = "2026-11-22T10:00:00.123456+00:00";
	for (size_t n = 0; n < sizeof full; n++)
		for (size_t at = 0; at <= n; at++) {
			char *copy = mem_alloc(n + 1);
			memcpy(copy, full, n);
			if (at < n)
				copy[at] = (char)rnd();
			copy = mem_realloc(copy, n ? n : 1);
			int64_t us;
			json_time_detect(slice_of(copy, n));
			json_time_parse_any(slice_of(copy, n), &us);
			free(copy);
		}
	char out[JSON_TIME_CHARS];
	CHECK_INT(json_time_format(INT64_MIN, FORMAT_TIME_BASE, out), 0);
	CHECK_INT(json_time_format(INT64_MAX, FORMAT_TIME_BASE, out), 0);
	CHECK_INT(json_time_format(0, 0, out), 0);
	CHECK_INT(json_time_format(0, 255, out), 0);
	CHECK_INT(json_time_format(1, FORMAT_TIME_BASE, out), 0);
}

TEST_MAIN()
