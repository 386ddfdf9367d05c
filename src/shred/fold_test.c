#include "shred/test_table.h"
#include "shred/merge.h"

/* Optional members (fold.c): few shapes for many combinations, and every row comes back. */

static uint64_t state = 88172645463325252u;

static uint32_t pick(uint32_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)((state >> 20) % n);
}

enum style { PLAIN, NULLS, ORDERS, SPACES, MIXED_KINDS, STYLES };

static void members(struct buf *out, const char *name, uint32_t n, enum style style)
{
	uint32_t turn = style == ORDERS ? pick(2) : 0;
	for (uint32_t k = 0; k < n; k++) {
		uint32_t i = turn ? n - 1 - k : k;
		if (pick(2))
			continue;
		buf_printf(out, "%s\"%s%u\":", style == SPACES && !pick(40) ? ", " : ",", name, i);
		if (style == NULLS && !pick(30))
			buf_append_str(out, "null");
		else if (style == MIXED_KINDS && !pick(10))
			buf_append_str(out, pick(2) ? "[]" : "\"text\"");
		else
			buf_printf(out, i % 3 ? "%u" : "\"%u\"", pick(1000));
	}
}

static void make_row(struct buf *out, enum style style)
{
	buf_reset(out);
	buf_printf(out, "{\"id\":%u", pick(100000));
	members(out, "a", 24, style);
	if (pick(2)) {
		buf_append_str(out, ",\"in\":{\"x\":1");
		members(out, "b", 8, style);
		buf_append_str(out, "}");
	}
	if (pick(3) == 0)
		buf_append_str(out, ",\"list\":[{\"p\":1,\"q\":2},{\"p\":1,\"q\":2}]");
	members(out, "c", 12, style);
	if (style == ORDERS && !pick(50))
		buf_append_str(out, ",\"a3\":7"); /* perhaps for the second time */
	buf_append_str(out, "}");
}

static void fill(struct table *t, size_t rows, enum style style)
{
	AUTO_BUF struct buf out;
	buf_init(&out, 1 << 16);
	for (size_t i = 0; i < rows; i++) {
		make_row(&out, style);
		add_event(t, PAYLOAD_JSON, buf_slice(&out));
	}
}

TEST(independent_options_have_few_shapes)
{
	struct table t;
	table_open(&t);
	fill(&t, 6000, PLAIN);
	t.count = 1000; /* so many until the supersets are learnt */
	run(&t, 0);
	t.count = 6000;
	uint64_t learnt = shredder_stats(t.s).shapes;
	run(&t, 1000);
	CHECK(rows_wrong(&t) == 0);
	CHECK(shredder_stats(t.s).mismatches == 0 && shredder_stats(t.s).raw_rows == 0);
	CHECK(learnt < 900 && shredder_stats(t.s).shapes < learnt + 100);
	table_close(&t);
}

TEST(whatever_keeps_members_from_being_folded_they_come_back)
{
	for (int style = PLAIN; style < STYLES; style++) {
		struct table t;
		table_open_with(&t, (struct shred_options){ .key_space = 7, .verify_all = style & 1, .lake = style & 2 }, NULL);
		fill(&t, 3000, style);
		run(&t, 0);
		CHECK(rows_wrong(&t) == 0);
		CHECK(shredder_stats(t.s).mismatches == 0);
		table_close(&t);
	}
}

/* Learns runs of m1 to m9; "a" has a column, but has come only beside a null, where nothing is folded. Then "a" comes into a run that cannot join. */
TEST(a_run_that_cannot_join_a_superset_leaves_it_as_it_was)
{
	struct table t;
	AUTO_BUF struct buf out;
	buf_init(&out, 1 << 16);
	table_open(&t);
	for (uint32_t i = 0; i < 3000; i++) {
		buf_reset(&out);
		buf_append_str(&out, "{\"id\":1");
		bool beside = !pick(5);
		if (beside)
			buf_append_str(&out, ",\"z\":null,\"a\":7");
		for (uint32_t k = 1; k < 10; k++)
			if (pick(2))
				buf_printf(&out, ",\"m%u\":%u", k, pick(100));
		buf_append_str(&out, "}");
		add_event(&t, PAYLOAD_JSON, buf_slice(&out));
	}
	for (uint32_t i = 0; i < 100; i++) {
		add_event(&t, PAYLOAD_JSON, SLICE_LIT("{\"id\":2,\"a\":8, \"m1\":5}"));
		add_event(&t, PAYLOAD_JSON, SLICE_LIT("{\"id\":3,\"a\":9}"));
	}
	run(&t, 0);
	CHECK(rows_wrong(&t) == 0);
	CHECK(shredder_stats(t.s).mismatches == 0);
	table_close(&t);
}

TEST(a_forks_supersets_are_renumbered)
{
	struct table t, fork;
	struct err err;
	struct shred_edges edges;
	table_open(&t);
	table_open(&fork);
	fill(&t, 1500, PLAIN);
	t.count = 500;
	run(&t, 0);
	shredder_free(fork.s);
	fork.s = shredder_fork(t.s);
	batch_free(&fork.batch);
	batch_init(&fork.batch, shredder_schema(fork.s));
	uint32_t first = shredder_key_count(fork.s);
	AUTO_BUF struct buf out;
	buf_init(&out, 1 << 16);
	for (int i = 0; i < 1500; i++) { /* keys that the file does not know yet */
		buf_reset(&out);
		buf_append_str(&out, "{\"new\":1");
		members(&out, "n", 30, PLAIN);
		buf_append_str(&out, "}");
		add_event(&fork, PAYLOAD_JSON, buf_slice(&out));
	}
	run(&fork, 0);
	t.count = 1500;
	add(&t, "{\"another\":\"row\",\"of\":\"the file\"}");
	run(&t, 500);
	CHECK(shredder_merge(t.s, fork.s, first, false, &edges) == RC_OK);
	CHECK(!edges.same);
	batch_seal(&fork.batch);
	shredder_renumber(fork.s, &fork.batch, &edges);
	struct batch view;
	shredder_view(t.s, fork.s, &fork.batch, &view);
	AUTO(renderer) *r = renderer_new(shredder_schema(t.s));
	AUTO_BUF struct buf keys;
	buf_init(&keys, BUF_MAX_DEFAULT);
	shredder_keys(t.s, &keys);
	CHECK(renderer_add_keys(r, buf_slice(&keys), &err) == RC_OK);
	renderer_begin(r, &view);
	size_t wrong = 0;
	for (uint32_t i = 0; i < view.rows; i++) {
		buf_reset(&out);
		wrong += renderer_row(r, i, &out, &err) != RC_OK || !slice_eq(buf_slice(&out), payload_at(&fork, i));
	}
	CHECK(wrong == 0);
	CHECK(shredder_stats(fork.s).shapes < 500);
	shredder_view_free(&view);
	shred_edges_free(&edges);
	table_close(&fork);
	table_close(&t);
}

TEST_MAIN()
