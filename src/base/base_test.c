#include "base/arena.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/test.h"

TEST(buf_stops_at_its_maximum_and_says_so)
{
	AUTO_BUF struct buf b;
	buf_init(&b, 100);
	for (int i = 0; i < 30; i++)
		buf_append_str(&b, "abcd");
	CHECK_INT(b.len, 100);
	CHECK(b.overflow);
	CHECK_INT(strlen(buf_cstr(&b)), 100);
	buf_reset(&b);
	CHECK(!b.overflow);
}

TEST(varint_round_trips_and_rejects_overlong)
{
	AUTO_BUF struct buf b;
	buf_init(&b, BUF_MAX_DEFAULT);
	uint64_t in[] = { 0, 1, 127, 128, 300, UINT32_MAX, UINT64_MAX };
	for (size_t i = 0; i < 7; i++)
		buf_varint(&b, in[i]);
	size_t pos = 0;
	for (size_t i = 0; i < 7; i++) {
		uint64_t v = 1;
		CHECK(slice_varint(buf_slice(&b), &pos, &v));
		CHECK(v == in[i]);
	}
	uint64_t v;
	CHECK(!slice_varint(buf_slice(&b), &pos, &v));
	pos = 0;
	CHECK(!slice_varint(SLICE_LIT("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), &pos, &v));
	CHECK_INT(pos, 0);
}

TEST(arena_keeps_what_it_gave)
{
	struct arena a;
	arena_init(&a);
	char *p[500];
	for (int i = 0; i < 500; i++)
		p[i] = arena_printf(&a, "%d-%0*d", i, i * 7 % 900, 0);
	for (int i = 0; i < 500; i++)
		CHECK_INT(strtol(p[i], NULL, 10), i);
	arena_reset(&a);
	arena_free(&a);
}

TEST(map_keys_that_were_chosen_to_meet_do_not_meet)
{
	enum { KEYS = 2000, SLOTS = 1024 };
	struct map m;
	map_init(&m);
	char key[32];
	for (unsigned i = 0; m.count < KEYS; i++) { /* without a seed all of them would stand in one slot of 1,024 */
		snprintf(key, sizeof key, "key %u", i);
		if (hash64(slice_str(key)) % SLOTS == 0 && hash64_seed(slice_str(key), 0) % SLOTS == 0)
			map_put(&m, slice_str(key), NULL);
	}
	static bool seen[SLOTS];
	unsigned slots = 0;
	for (struct map_entry *e = NULL; (e = map_next(&m, e)); seen[e->hash % SLOTS] = true)
		slots += !seen[e->hash % SLOTS];
	CHECK(slots > SLOTS * 3 / 4); /* 880 are expected of chance */
	map_free(&m);
}

TEST(map_keeps_every_key_through_growth_and_removal)
{
	struct map m;
	map_init(&m);
	char key[32];
	for (unsigned i = 0; i < 10000; i++) {
		snprintf(key, sizeof key, "key %u", i);
		*map_put(&m, slice_str(key), NULL) = i;
	}
	for (unsigned i = 0; i < 10000; i += 3) {
		snprintf(key, sizeof key, "key %u", i);
		CHECK(map_remove(&m, slice_str(key)));
	}
	size_t seen = 0;
	for (struct map_entry *e = NULL; (e = map_next(&m, e));)
		seen++;
	CHECK_INT(seen, m.count);
	for (unsigned i = 0; i < 10000; i++) {
		snprintf(key, sizeof key, "key %u", i);
		uintptr_t *v = map_get(&m, slice_str(key));
		CHECK(i % 3 ? v && *v == i : !v);
	}
	map_free(&m);
}

TEST(crc32c_matches_the_published_vector)
{
	/* RFC 3720 B.4: 32 bytes of zeros, and "123456789". */
	uint8_t zeros[32] = { 0 };
	CHECK_INT(crc32c(0, zeros, 32), 0x8a9136aa);
	CHECK_INT(crc32c(0, "123456789", 9), 0xe3069283);
	CHECK_INT(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xe3069283);
}

TEST(crc32c_is_the_same_for_every_length_alignment_and_split)
{
	enum { MAX = 20000 };
	static uint8_t bytes[MAX + 8];
	static uint32_t want[MAX + 1]; /* of the first n bytes, bit by bit */
	uint64_t seed = 1;
	for (size_t shift = 0; shift < 8; shift += 3) {
		uint32_t c = ~0u;
		for (size_t i = 0; i < MAX; i++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			bytes[shift + i] = (uint8_t)(seed >> 56);
			want[i] = ~c;
			c ^= bytes[shift + i];
			for (int k = 0; k < 8; k++)
				c = c & 1 ? (c >> 1) ^ 0x82f63b78u : c >> 1;
		}
		want[MAX] = ~c;
		for (size_t n = 0; n <= MAX; n += n < 2400 ? 1 : 97) {
			CHECK_INT(crc32c(0, bytes + shift, n), want[n]);
			CHECK_INT(crc32c(crc32c(0, bytes + shift, n), bytes + shift + n, MAX - n), want[MAX]);
		}
	}
}

/* XXH3 of 128 bits, seed 0, as the plain library gives it: file positions and files' counts are compared with those of other machines. */
TEST(hash128_is_xxh3_for_every_length_and_piece)
{
	enum { MAX = 3000 };
	static uint8_t bytes[MAX];
	struct hash128 sum = { 0 };
	AUTO(hash128_stream) *s = hash128_stream_new();
	for (size_t i = 0; i < MAX; i++)
		bytes[i] = (uint8_t)(i * 2654435761u >> 13);
	for (size_t n = 0; n <= MAX; n++) {
		struct hash128 h = hash128(slice_of(bytes, n));
		hash128_add(&sum, h);
		hash128_stream_reset(s);
		hash128_stream_add(s, bytes, n / 3);
		hash128_stream_add(s, bytes + n / 3, n - n / 3);
		struct hash128 again = hash128_stream_value(s);
		CHECK(h.lo == again.lo && h.hi == again.hi);
	}
	char hex[33];
	hash128_hex(sum, hex);
	CHECK_STR(hex, "41e46b87ecfff267771f0e451e92b535");
}

TEST(payload_hash_does_not_depend_on_order)
{
	struct hash128 a = { 0 }, b = { 0 };
	hash128_add(&a, hash128(SLICE_LIT("x")));
	hash128_add(&a, hash128(SLICE_LIT("y")));
	hash128_add(&b, hash128(SLICE_LIT("y")));
	hash128_add(&b, hash128(SLICE_LIT("x")));
	CHECK(a.lo == b.lo && a.hi == b.hi);
	char hex[33];
	hash128_hex(a, hex);
	CHECK_INT(strlen(hex), 32);
}

TEST(errors_are_one_line_and_can_be_prefixed)
{
	struct err e;
	CHECK_RC(err_set(&e, RC_IO, "two\nlines"), RC_IO);
	CHECK_STR(e.text, "two lines");
	err_prefix(&e, "file %s", "x");
	CHECK_STR(e.text, "file x: two lines");
	CHECK_RC(err_set(NULL, RC_EOF, "nobody listens"), RC_EOF);
}

TEST_MAIN()
