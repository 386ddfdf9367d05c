#include "json/escape_internal.h"

#include "base/test.h"
#include "json/scan.h"

static uint64_t seed = 7;
static uint32_t rnd(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed % below);
}

TEST(halves_say_the_same_as_the_table)
{
	for (unsigned d = 0; d < JSON_DIALECT_COUNT; d++) {
		const struct escape_set *set = &escape_sets[d];
		for (unsigned c = 0; c < 256; c++)
			CHECK((set->action[c] != 0) == ((set->low[c & 15] & set->high[c >> 4]) != 0));
	}
}

/* Escapes byte by byte: characters of their own never need their neighbours, save beyond ASCII. */
static void escape_slowly(struct slice s, enum json_dialect d, struct buf *ret)
{
	for (size_t i = 0; i < s.len;) {
		size_t n = s.data[i] < 0x80 ? 1 : s.data[i] < 0xe0 ? 2 : s.data[i] < 0xf0 ? 3 : 4;
		if (s.data[i] == '<' && i + 1 < s.len && s.data[i + 1] == '/')
			n = 2; /* org.json looks at both */
		json_string_escape(slice_of(s.data + i, n), d, ret);
		i += n;
	}
}

TEST(long_strings_escape_like_their_characters)
{
	static const char *const odd[] = { "\"", "\\", "\n", "\x01", "\x7f", "/", "<", "</", "&", "'", "+", "`", "=", "\xc3\xa9", "\xe2\x80\xa8", "\xe2\x82\xac", "\xc2\x85", "\xc2\xa0",
					   "\xf0\x9f\x98\x80" };
	AUTO_BUF struct buf text, whole, slow;
	buf_init(&text, BUF_MAX_DEFAULT);
	buf_init(&whole, BUF_MAX_DEFAULT);
	buf_init(&slow, BUF_MAX_DEFAULT);
	for (int round = 0; round < 4000; round++) {
		json_scan_use_simd(round & 1);
		buf_reset(&text);
		uint32_t rarity = 1 + rnd(120), len = rnd(round % 50 ? 200 : 3000);
		while (text.len < len)
			if (rnd(rarity) == 0)
				buf_append_str(&text, odd[rnd(sizeof odd / sizeof *odd)]);
			else
				buf_byte(&text, (uint8_t)('a' + rnd(26)));
		/* Exactly so many bytes on the heap: reading past them is seen by the sanitizer. */
		uint8_t *exact = mem_alloc(text.len + 1);
		memcpy(exact, text.data ? text.data : (const uint8_t *)"", text.len);
		exact = mem_realloc(exact, text.len ? text.len : 1);
		for (int d = 0; d < JSON_DIALECT_COUNT; d++) {
			buf_reset(&whole);
			buf_reset(&slow);
			json_string_escape(slice_of(exact, text.len), (enum json_dialect)d, &whole);
			escape_slowly(slice_of(exact, text.len), (enum json_dialect)d, &slow);
			CHECK_SLICE(buf_slice(&whole), buf_slice(&slow));
		}
		free(exact);
	}
	json_scan_use_simd(true);
}

TEST_MAIN()
