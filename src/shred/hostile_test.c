/* Input and stored bytes made by an enemy: bounded time and memory, no crash, never silently other bytes. */
#include "base/test.h"

#include <time.h>

#include "shred/shred.h"
#include "json/json.h"
#include "json/render.h"
#include "json/shape.h"

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct store {
	struct shredder *s;
	struct batch batch;
};

static struct batch *to_batch(void *ctx, size_t i, int64_t time_us)
{
	(void)i;
	(void)time_us;
	return ctx;
}

static void store_open(struct store *t, bool verify_all)
{
	struct err err;
	struct shred_options opt = { .key_space = 1, .verify_all = verify_all };
	if (shredder_new(&opt, NULL, &t->s, &err) != RC_OK)
		abort();
	batch_init(&t->batch, shredder_schema(t->s));
}

static void store_close(struct store *t)
{
	batch_free(&t->batch);
	shredder_free(t->s);
}

static void store_put(struct store *t, const char *const *docs, size_t n)
{
	struct err err;
	struct event *events = mem_zalloc(n, sizeof *events);
	for (size_t i = 0; i < n; i++)
		events[i].payload = slice_str(docs[i]);
	if (shredder_run(t->s, events, n, to_batch, &t->batch, &err) != RC_OK)
		abort();
	free(events);
	batch_seal(&t->batch);
}

static const char *const docs[] = {
	"{\"a\":1,\"b\":{\"c\":[1,2,3],\"d\":\"x\"},\"e\":[{\"f\":1},{\"f\":2,\"g\":null}]}",
	"{\"a\":\"s\",\"b\":{},\"e\":[]}",
	"{ \"a\" : 1.5, \"b\":null, \"e\":[ {\"f\":3} , {\"f\":4} ], \"h\":[[1],[2,3]], \"m\":[1,{}] }",
	"{\"a\":2,\"b\":{\"c\":[4]},\"t\":\"2024-01-02T03:04:05Z\"}",
};
#define DOCS (sizeof docs / sizeof *docs)

/* Renders every row; counts rows that came out as something else without an error. */
static size_t silent_lies(struct store *t, struct slice keys)
{
	AUTO_BUF struct buf out;
	buf_init(&out, 1 << 20);
	size_t lies = 0;
	AUTO(renderer) *r = renderer_new(shredder_schema(t->s));
	if (renderer_add_keys(r, keys, NULL) != RC_OK)
		return 0;
	renderer_begin(r, &t->batch);
	for (uint32_t i = 0; i < t->batch.rows; i++) {
		buf_reset(&out);
		lies += renderer_row(r, i, &out, NULL) == RC_OK && !slice_eq_str(buf_slice(&out), docs[i]);
	}
	return lies;
}

TEST(damaged_shapes_and_key_tables_never_crash_the_renderer)
{
	struct store t;
	AUTO_BUF struct buf keys;
	buf_init(&keys, BUF_MAX_DEFAULT);
	store_open(&t, true);
	store_put(&t, docs, DOCS);
	shredder_keys(t.s, &keys);
	CHECK_INT(silent_lies(&t, buf_slice(&keys)), 0);
	struct column *shape = batch_column(&t.batch, schema_by_role(shredder_schema(t.s), ROLE_SHAPE));
	CHECK_INT(shape->values, DOCS);
	for (size_t i = 0; i < shape->data.len; i++) {
		uint8_t before = shape->data.data[i];
		for (int c = 0; c < 256; c += 1 + (c > 80) * 7) {
			shape->data.data[i] = (uint8_t)c;
			silent_lies(&t, buf_slice(&keys));
		}
		shape->data.data[i] = before;
	}
	for (size_t i = 0; i < keys.len; i++) {
		for (int bit = 0; bit < 8; bit++) {
			keys.data[i] ^= (uint8_t)(1 << bit);
			silent_lies(&t, buf_slice(&keys));
			keys.data[i] ^= (uint8_t)(1 << bit);
		}
	}
	store_close(&t);
}

TEST(a_list_with_another_length_or_a_second_value_is_reported)
{
	struct store t;
	struct err err;
	AUTO_BUF struct buf keys, out;
	buf_init(&keys, BUF_MAX_DEFAULT);
	buf_init(&out, 1 << 20);
	store_open(&t, true);
	store_put(&t, docs, DOCS);
	shredder_keys(t.s, &keys);
	AUTO(renderer) *r = renderer_new(shredder_schema(t.s));
	renderer_begin(r, &t.batch);
	CHECK_RC(renderer_row(r, 0, &out, &err), RC_NOT_FOUND);
	CHECK_OK(renderer_add_keys(r, buf_slice(&keys), &err), err);
	/* Row 0 gets a second value for `a`: the sibling of row 1 moves to it. */
	struct column *a = batch_column(&t.batch, field_child(shredder_schema(t.s)->root, SLICE_LIT("a__string")));
	CHECK(a && a->values == 1);
	a->present[0] = 1;
	renderer_begin(r, &t.batch);
	CHECK_RC(renderer_row(r, 0, &out, &err), RC_CORRUPT);
	a->present[0] = 2;
	/* Row 1's empty `e` becomes a list of one. */
	struct column *e = batch_column(&t.batch, field_child(shredder_schema(t.s)->root, SLICE_LIT("e")));
	CHECK(e && e->values == 3);
	e->offsets[2]++;
	renderer_begin(r, &t.batch);
	CHECK_RC(renderer_row(r, 1, &out, &err), RC_CORRUPT);
	e->offsets[2]--;
	/* Going back and forth among rows is allowed. */
	for (uint32_t i = 0; i < 40; i++) {
		buf_reset(&out);
		CHECK_OK(renderer_row(r, i * 7 % DOCS, &out, &err), err);
		CHECK_SLICE(buf_slice(&out), slice_str(docs[i * 7 % DOCS]));
	}
	AUTO_BUF struct buf tight;
	buf_init(&tight, 10);
	CHECK_RC(renderer_row(r, 0, &tight, &err), RC_LIMIT);
	CHECK_RC(renderer_row(r, 99, &out, &err), RC_INVALID);
	store_close(&t);
}

/* Seconds for one document of n repetitions of `unit` between head and tail. */
static double cost(const char *head, const char *unit, const char *tail, int n, bool numbered)
{
	AUTO_BUF struct buf doc;
	buf_init(&doc, BUF_MAX_DEFAULT);
	buf_append_str(&doc, head);
	for (int i = 0; i < n; i++) {
		if (i)
			buf_byte(&doc, ',');
		if (numbered)
			buf_printf(&doc, "\"k%d\":", i);
		buf_append_str(&doc, unit);
	}
	buf_append_str(&doc, tail);
	struct store t;
	const char *text = buf_cstr(&doc);
	store_open(&t, true);
	double from = seconds();
	store_put(&t, &text, 1);
	store_put(&t, &text, 1);
	from = seconds() - from;
	if (shredder_stats(t.s).mismatches || t.batch.rows != 2)
		test_failures_++;
	store_close(&t);
	return from;
}

TEST(time_is_linear_in_hostile_documents)
{
	static const struct {
		const char *head, *unit, *tail;
		bool numbered;
	} enemies[] = {
		{ "{", "\"a\":1", "}", false }, /* one key again and again */
		{ "{", "\"a\":{\"b\":[1,\"x\"]}", "}", false },
		{ "{", "1", "}", true }, /* ever new keys */
		{ "{", "null", "}", true },
		{ "{", "{\"a\":{}}", "}", true },
		{ "[", "1,\"a\"", "]", false }, /* mixed */
		{ "[", "[1],[\"a\"]", "]", false },
		{ "[", "{},{\"a\":1}", "]", false },
		{ "[", "{\"a\":[{\"b\":[{\"c\":[1,\"x\"]}]}]}", "]", false },
		{ "{\"x\":[", "{\"a\":1},{\"b\":2},{\"a\":1,\"b\":2}", "]}", false },
		{ "[", "[[[[[[[[]]]]]]]]", "]", false },
		{ "[", "null", "]", false },
		{ "{\"x\":[", "1.10,2", "]}", false },
	};
	for (size_t i = 0; i < sizeof enemies / sizeof *enemies; i++) {
		double small = cost(enemies[i].head, enemies[i].unit, enemies[i].tail, 10000, enemies[i].numbered);
		double large = cost(enemies[i].head, enemies[i].unit, enemies[i].tail, 80000, enemies[i].numbered);
		if (getenv("SHRED_TEST_VERBOSE"))
			fprintf(stderr, "  enemy %zu: %.4f s, 8 times as long %.4f s\n", i, small, large);
		/* 8 times the work; quadratic would be 64. */
		CHECK(large < 30 * small + 0.1);
	}
}

TEST(ever_new_white_space_ends_in_raw_not_in_memory)
{
	struct store t;
	struct err err;
	store_open(&t, false);
	AUTO_BUF struct buf doc;
	buf_init(&doc, BUF_MAX_DEFAULT);
	for (int i = 0; i < 3000; i++) {
		buf_reset(&doc);
		buf_append_str(&doc, "{\"a\":");
		for (int k = 0; k < i; k++)
			buf_byte(&doc, ' ');
		buf_append_str(&doc, "1");
		for (int k = 0; k < i; k++)
			buf_byte(&doc, '\n');
		buf_append_str(&doc, ",\"b\":2}");
		struct event e = { .payload = buf_slice(&doc) };
		CHECK_OK(shredder_run(t.s, &e, 1, to_batch, &t.batch, &err), err);
	}
	CHECK_INT(t.batch.rows, 3000);
	CHECK(shredder_key_count(t.s) < 10000);
	CHECK_INT(shredder_stats(t.s).mismatches, 0);
	CHECK_INT(batch_column(&t.batch, field_child(shredder_schema(t.s)->root, SLICE_LIT("b")))->values, 3000);
	store_close(&t);
}

TEST(a_row_of_millions_of_values_is_kept_raw)
{
	AUTO_BUF struct buf doc;
	buf_init(&doc, BUF_MAX_DEFAULT);
	buf_byte(&doc, '[');
	for (int i = 0; i < 3000000; i++)
		buf_append_str(&doc, i ? ",1" : "1");
	buf_byte(&doc, ']');
	struct store t;
	const char *text[] = { buf_cstr(&doc), "[1,2]" };
	store_open(&t, true);
	store_put(&t, text, 2);
	CHECK_INT(shredder_stats(t.s).raw_rows, 1);
	CHECK_INT(shredder_stats(t.s).mismatches, 0);
	store_close(&t);
}

TEST_MAIN()
