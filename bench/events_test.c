#include "events.h"

#include "base/hash.h"
#include "base/test.h"
#include "json/scan.h"

#define SOME_BYTES 200000
#define FROM_US	   1767225600000000

struct made {
	char *data;
	size_t len, count;
};

/* The first events of a stream, in bodies of one size. */
static struct made some(enum events_kind kind, uint64_t seed, size_t body, size_t bytes)
{
	struct events_stream stream = { kind, seed, 0, FROM_US };
	struct made m = { malloc(bytes + 2 * body + 200000), 0, 0 };
	while (m.len < bytes) {
		struct events_body b;
		events_make(&b, &stream, body, 0);
		memcpy(m.data + m.len, b.data, b.len);
		m.len += b.len;
		m.count += b.count;
		events_free(&b);
	}
	return m;
}

TEST(the_same_seed_makes_the_same_bytes)
{
	for (unsigned k = 0; k < EVENTS_KINDS; k++) {
		struct made a = some(k, 7, 65536, SOME_BYTES), b = some(k, 7, 65536, SOME_BYTES),
			    other = some(k, 8, 65536, SOME_BYTES);
		CHECK(a.len == b.len && !memcmp(a.data, b.data, a.len));
		CHECK(a.len != other.len || memcmp(a.data, other.data, a.len) != 0);
		free(a.data);
		free(b.data);
		free(other.data);
	}
}

TEST(the_size_of_bodies_does_not_change_the_events)
{
	for (unsigned k = 0; k < EVENTS_KINDS; k++) {
		struct made small = some(k, 7, 20000, SOME_BYTES), big = some(k, 7, 200000, SOME_BYTES);
		CHECK(!memcmp(small.data, big.data, small.len < big.len ? small.len : big.len));
		free(small.data);
		free(big.data);
	}
}

/* Figures of docs/benchmarks.md compare from one version to the next only if these stay: who changes a kind says so there. */
TEST(events_are_those_of_the_last_version_with_any_compiler)
{
	static const uint64_t known[EVENTS_KINDS] = {
		[EVENTS_LOGS] = 0xb61f94e231677f63,    [EVENTS_TRACK] = 0x81975092384772d7,
		[EVENTS_GITHUB] = 0x49dee2b8f70f278c,  [EVENTS_HOSTILE] = 0xa482602ffcb028d0,
		[EVENTS_OPTIONS] = 0x49df44aba5d778a9,
	};
	unsigned changed = 0;
	for (unsigned k = 0; k < EVENTS_KINDS; k++) {
		struct made m = some(k, 7, 65536, SOME_BYTES);
		uint64_t hash = hash64((struct slice){ (const uint8_t *)m.data, SOME_BYTES });
		if (hash != known[k]) {
			changed++;
			fprintf(stderr, "  %s: 0x%016llx\n", events_kind_name(k), (unsigned long long)hash);
		}
		free(m.data);
	}
	CHECK(changed == 0);
}

TEST(every_line_is_valid_json)
{
	static const struct json_limits limits = { 0 };
	for (unsigned k = 0; k < EVENTS_KINDS; k++) {
		struct made m = some(k, 9, 65536, SOME_BYTES);
		size_t lines = 0;
		for (char *at = m.data, *end; at < m.data + m.len; at = end + 1, lines++) {
			struct slice value;
			struct json_error why;
			end = memchr(at, '\n', (size_t)(m.data + m.len - at));
			CHECK(end && json_validate_all((struct slice){ (const uint8_t *)at, (size_t)(end - at) }, &limits, &value,
						       &why) == RC_OK);
		}
		CHECK(lines == m.count);
		free(m.data);
	}
}

TEST(single_posts_have_the_size_that_was_asked_for)
{
	struct events_stream stream = { EVENTS_LOGS, 7, 0, FROM_US };
	for (int i = 0; i < 200; i++) {
		struct events_body b;
		events_make(&b, &stream, 500, 1);
		CHECK(b.count == 1 && b.len <= 500 && b.len > 380 && b.data[b.len - 1] == '}');
		events_free(&b);
	}
}

TEST(freshening_changes_no_length_and_leaves_the_rest)
{
	for (unsigned k = 0; k < EVENTS_KINDS; k++) {
		struct events_stream stream = { k, 7, 0, FROM_US };
		struct events_body b;
		uint64_t seed = 1;
		events_make(&b, &stream, 65536, 0);
		size_t lines = 0, differ = 0;
		char *before = malloc(b.len);
		memcpy(before, b.data, b.len);
		events_freshen(&b, FROM_US + 86400000000, &seed);
		for (size_t i = 0; i < b.len; i++) {
			lines += b.data[i] == '\n';
			differ += b.data[i] != before[i];
		}
		CHECK(lines == b.count && differ <= b.field_count * 36 && (differ > 0) == (b.field_count > 0));
		free(before);
		events_free(&b);
	}
}

TEST_MAIN()
