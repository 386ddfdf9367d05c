#include "parquet/write_internal.h"

#include <math.h>

#include "base/test.h"

static struct slice cut_upper(enum value_kind kind, const char *s, size_t max, size_t points, bool *possible, bool *exact)
{
	static uint8_t out[128];
	size_t len = 0;
	*possible = stats_cut_upper(kind, slice_str(s), max, points, out, &len, exact);
	return slice_of(out, len);
}

#define CHECK_UPPER(kind, text, max, points, want)                                         \
	do {                                                                               \
		bool possible, exact;                                                      \
		struct slice got = cut_upper(kind, text, max, points, &possible, &exact);  \
		CHECK(possible);                                                           \
		CHECK_SLICE(got, slice_str(want));                                         \
		CHECK(exact == slice_eq(got, slice_str(text)));                            \
		CHECK(slice_cmp(got, slice_str(text)) >= 0);                               \
	} while (0)

TEST(stats_upper_bound_is_raised_at_a_code_point)
{
	CHECK_UPPER(VALUE_STRING, "abc", 4, 0, "abc");
	CHECK_UPPER(VALUE_STRING, "abcdef", 4, 0, "abce");
	CHECK_UPPER(VALUE_STRING, "abcé", 4, 0, "abd");                /* é does not fit whole */
	CHECK_UPPER(VALUE_STRING, "ab\x7fzz", 3, 0, "ab\xc2\x80");     /* U+007F + 1 takes two bytes */
	CHECK_UPPER(VALUE_STRING, "a\xed\x9f\xbfz", 4, 0, "a\xee\x80\x80"); /* U+D7FF jumps over the surrogates */
	CHECK_UPPER(VALUE_STRING, "a\xf4\x8f\xbf\xbfz", 5, 0, "b");    /* U+10FFFF is dropped, the one before raised */
	CHECK_UPPER(VALUE_STRING, "日本語日本語", 64, 2, "日札");       /* two code points */
	CHECK_UPPER(VALUE_BINARY, "ab\xff\xff\xff", 4, 0, "ac");
	CHECK_UPPER(VALUE_BINARY, "abcdef", 64, 3, "abd");
	bool possible, exact;
	cut_upper(VALUE_STRING, "\xf4\x8f\xbf\xbf\xf4\x8f\xbf\xbf", 4, 0, &possible, &exact);
	CHECK(!possible);
	cut_upper(VALUE_BINARY, "\xff\xff\xff", 2, 0, &possible, &exact);
	CHECK(!possible);
	cut_upper(VALUE_STRING, "\x80\x80\x80\x80\x80\x80\x80\x80\x80", 4, 0, &possible, &exact);
	CHECK(!possible); /* no UTF-8 */
	cut_upper(VALUE_FIXED, "abcdef", 4, 0, &possible, &exact);
	CHECK(!possible); /* a fixed value cannot get shorter */
}

TEST(stats_lower_bound_is_a_whole_prefix)
{
	uint8_t out[70];
	size_t len;
	bool exact;
	CHECK(stats_cut_lower(VALUE_STRING, slice_str("abcé"), 4, 0, out, &len, &exact));
	CHECK_SLICE(slice_of(out, len), slice_str("abc"));
	CHECK(!exact);
	CHECK(stats_cut_lower(VALUE_STRING, slice_str(""), 4, 0, out, &len, &exact));
	CHECK(len == 0 && exact);
	CHECK(stats_cut_lower(VALUE_STRING, slice_str("日本語日本語日本語日本語日本語日本語"), 64, 16, out, &len, &exact));
	CHECK_INT(len, 48);
}

TEST(stats_floats_leave_out_nan_and_widen_zero)
{
	double v[] = { (double)NAN, 0.0, (double)NAN, -0.0 }, mixed[] = { -0.0, 5, (double)NAN, -(double)INFINITY }, got;
	struct values values = { .kind = VALUE_F64, .width = 8, .data = (const uint8_t *)v, .count = 4 };
	struct bounds b, all = { 0 };
	stats_find(&values, 0, 4, &b);
	CHECK(b.has);
	CHECK_INT(b.nans, 2);
	memcpy(&got, bounds_min(&b).data, 8);
	CHECK(got == 0 && signbit(got));
	memcpy(&got, bounds_max(&b).data, 8);
	CHECK(got == 0 && !signbit(got));
	stats_merge(VALUE_F64, &all, &b);
	stats_find(&values, 2, 1, &b);
	CHECK(!b.has);
	stats_merge(VALUE_F64, &all, &b);
	values.data = (const uint8_t *)mixed;
	stats_find(&values, 0, 4, &b);
	stats_merge(VALUE_F64, &all, &b);
	CHECK_INT(all.nans, 4);
	memcpy(&got, bounds_min(&all).data, 8);
	CHECK(isinf(got) && got < 0);
	memcpy(&got, bounds_max(&all).data, 8);
	CHECK(got == 5);
}

TEST(stats_integers_have_the_bounds_of_all_values_wherever_they_stand)
{
	for (uint32_t n = 1; n < 14; n++)
		for (uint32_t low = 0; low < n; low++)
			for (uint32_t high = 0; high < n; high++) {
				int64_t values[14];
				for (uint32_t i = 0; i < n; i++)
					values[i] = i;
				values[low] = INT64_MIN + 1;
				values[high] = INT64_MAX;
				int64_t want_min = low == high ? n == 1 ? INT64_MAX : low == 0 : INT64_MIN + 1, min, max;
				struct values v = { .kind = VALUE_I64, .width = 8, .data = (const uint8_t *)values, .count = n };
				struct bounds b;
				stats_find(&v, 0, n, &b);
				memcpy(&min, b.min_store, 8);
				memcpy(&max, b.max_store, 8);
				CHECK(b.has && b.stored == 8);
				CHECK_INT(min, want_min);
				CHECK_INT(max, INT64_MAX);
			}
}

TEST(stats_strings_compare_as_unsigned_bytes)
{
	static const char *const words[] = { "b", "a", "", "a\x01", "\xff", "abcdefgh", "abcdefghi", "abcdefg\xff", "zz", "a" };
	struct buf data;
	uint32_t offsets[11] = { 0 };
	buf_init(&data, 1000);
	for (int i = 0; i < 10; i++) {
		buf_append_str(&data, words[i]);
		offsets[i + 1] = (uint32_t)data.len;
	}
	struct values v = { .kind = VALUE_STRING, .data = data.data, .offsets = offsets, .count = 10 };
	for (uint32_t from = 0; from < 10; from++)
		for (uint32_t to = from + 1; to <= 10; to++) {
			struct bounds b;
			struct slice min = value_at(&v, from), max = min;
			for (uint32_t i = from; i < to; i++) {
				struct slice s = value_at(&v, i);
				min = slice_cmp(s, min) < 0 ? s : min;
				max = slice_cmp(s, max) > 0 ? s : max;
			}
			stats_find(&v, from, to - from, &b);
			CHECK_SLICE(bounds_min(&b), min);
			CHECK_SLICE(bounds_max(&b), max);
		}
	buf_free(&data);
}

TEST(stats_decimals_compare_signed_and_shorten_for_iceberg)
{
	struct field f = { .type = TYPE_DECIMAL, .precision = 20 };
	__int128 v[] = { 5, -200, 0, 127, 128, -128, -129 };
	uint8_t big[7 * 9], out[16];
	CHECK_INT(decimal_width(20), 9);
	CHECK(encode_decimal(big, (const uint8_t *)v, 7, 9));
	struct values values = { .kind = VALUE_DECIMAL, .width = 9, .data = big, .count = 7 };
	struct bounds b;
	stats_find(&values, 0, 7, &b);
	CHECK_SLICE(bounds_min(&b), slice_of(big + 9, 9));
	CHECK_SLICE(bounds_max(&b), slice_of(big + 36, 9));
	static const char *const want[] = { "\x05", "\xff\x38", "", "\x7f", "", "\x80", "\xff\x7f" };
	for (int i = 0; i < 7; i++)
		if (*want[i])
			CHECK_SLICE(stats_iceberg(&f, VALUE_DECIMAL, slice_of(big + 9 * i, 9), out), slice_str(want[i]));
	CHECK_SLICE(stats_iceberg(&f, VALUE_DECIMAL, slice_of(big + 18, 9), out), SLICE_LIT("\0"));
	CHECK_SLICE(stats_iceberg(&f, VALUE_DECIMAL, slice_of(big + 36, 9), out), SLICE_LIT("\0\x80"));
	int64_t small = -2;
	CHECK_SLICE(stats_iceberg(&f, VALUE_I64, slice_of(&small, 8), out), SLICE_LIT("\xfe"));
}

TEST(decimal_width_holds_every_value_of_the_precision)
{
	static const uint32_t want[] = { 1, 1, 2, 2, 3, 3, 4, 4, 4, 5, 5, 6, 6, 6, 7, 7, 8, 8, 9, 9, 9, 10, 10, 11, 11, 11, 12, 12, 13, 13, 13, 14,
					 14, 15, 15, 16, 16, 16 }; /* Iceberg and Hive agree on these */
	for (unsigned p = 1; p <= 38; p++)
		CHECK_INT(decimal_width(p), want[p - 1]);
}

TEST(bounds_found_in_the_dictionary_are_those_of_the_values)
{
	static const char *const words[] = { "", "a", "https://example.org/", "https://example.org/a", "https://example.org/b", "https://example.orgz",
					     "\xff", "zz", "zzz", "https://e", "aaaaaaaa", "aaaaaaaab", "aaaaaaaaa" };
	enum { WORDS = sizeof words / sizeof words[0], N = 40 };
	uint64_t seed = 7;
	for (int round = 0; round < 2000; round++) {
		uint8_t data[N * 24], page[WORDS * 28 + 32], used[WORDS];
		uint32_t offsets[N + 1] = { 0 }, indices[N], where[WORDS];
		struct dict_slot slots[128] = { 0 };
		struct dict d = { .slots = slots, .slot_mask = 127, .where = where, .limit = WORDS, .page = page, .page_cap = WORDS * 28 };
		uint32_t kinds = 1 + round % WORDS;
		for (uint32_t i = 0; i < N; i++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			const char *word = words[(seed >> 33) % kinds + (kinds < WORDS ? (uint32_t)round % (WORDS - kinds) : 0)];
			memcpy(data + offsets[i], word, strlen(word));
			offsets[i + 1] = offsets[i] + (uint32_t)strlen(word);
		}
		CHECK_INT(dict_add_bytes(&d, data, offsets, 0, N, indices), N);
		struct values v = { .kind = VALUE_STRING, .data = data, .offsets = offsets, .count = N };
		uint32_t first = (uint32_t)(seed >> 60), n = N - first;
		struct bounds want, got;
		stats_find(&v, first, n, &want);
		CHECK(stats_find_in_dictionary(&v, &d, indices + first, n, used, &got));
		CHECK(got.has && slice_eq(got.min, want.min) && slice_eq(got.max, want.max));
		CHECK(!stats_find_in_dictionary(&v, &d, indices, d.count - 1, used, &got)); /* comparing the values is less work */
	}
}

TEST_MAIN()
