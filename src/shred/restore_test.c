/* Whatever goes in comes out, byte for byte. */
#include "shred/test_table.h"

#include <dirent.h>
#include <zlib.h>

static const char *const awkward[] = {
	"{}",
	"[]",
	"null",
	"true",
	"1",
	"\"x\"",
	"-0",
	"1e2",
	"1.0",
	"[1,\"a\",{}]",
	"{ }",
	"[ ]",
	"[[]]",
	"[{}]",
	"[null]",
	"[null,null]",
	"{\"a\":{}}",
	"{\"a\":[]}",
	"{\"a\":null}",
	"{\"a\":[{}]}",
	"{\"a\":[{},{}]}",
	"{\"a\":[null,{}]}",
	"{\"a\":[[],[[]]]}",
	"{\"\":1}",
	"{\"\":{\"\":{}}}",
	"{\"a\":1,\"A\":2}",
	"{\"a\":1,\"a\":2}",
	"{\"a\":1,\"a\":\"x\"}",
	"{\"a\":{\"b\":1},\"a\":{\"c\":2}}",
	"{\"a.b\":1,\"a\":{\"b\":2}}",
	"{\"year\":1,\"month\":2,\"day\":3,\"hour\":4}",
	"{\"__typename\":\"T\",\"x__double\":1.5,\"x\":1}",
	"{\"x\":1}",
	"{\"x\":1.5}",
	"{\"x\":\"s\"}",
	"{\"x\":{\"y\":1}}",
	"{\"x\":[1]}",
	"{\"x\":[\"a\",1]}",
	"{\"x\":true}",
	"{\"x\":null}",
	"{ \"a\" : 1 , \"b\" : [ 1 , 2 ] }",
	"{\n  \"a\": {\n    \"b\": [\n      1,\n      2\n    ]\n  }\n}",
	"{\"a\":[ {\"b\":1},{\"b\":2} ]}",
	"{\"a\":[{\"b\":1}, {\"b\":2},{\"b\":3}]}",
	"{\"a\":[{\"b\":1},{\"c\":2},{\"b\":3,\"c\":4}]}",
	"{\"a\":[{\"b\":1},null,{\"b\":[]}]}",
	"{\"n\":123456789012345678901234567890}",
	"{\"n\":-9223372036854775808}",
	"{\"n\":9223372036854775808}",
	"{\"n\":1e400}",
	"{\"n\":0.1234567890123456789}",
	"{\"n\":12345678901234567890123456789012345678901234567890}",
	"{\"n\":1E5}",
	"{\"n\":-0}",
	"{\"n\":-0.0}",
	"{\"s\":\"\\u00e9\"}",
	"{\"s\":\"\\u00E9\"}",
	"{\"s\":\"\\/\"}",
	"{\"s\":\"\xc3\xa9\"}",
	"{\"s\":\"\\ud800\"}",
	"{\"s\":\"\\n\\t\\\\\"}",
	"{\"s\":\"a\\u0000b\"}",
	"{\"\\u0061\":1}",
	"{\"\\ud800\":1}",
	"{\"k\\n\":1}",
	"{\"\xd0\xba\xd0\xbb\":1}",
	"{\"t\":\"2023-07-10T11:42:36Z\"}",
	"{\"t\":\"2023-07-10T11:42:36+00:00\"}",
	"{\"t\":\"yesterday\"}",
	"{\"t\":\"2023-07-10T11:42:36.120Z\"}",
	"[1,2,3]",
	"[{\"a\":1},{\"a\":2}]",
	"[[1,2],[3]]",
	"[[1,2],[\"x\"]]",
	"[[[[1]]]]",
	"{\"m\":[[1,2],[3,4]]}",
	"{\"m\":[[1],{}]}",
	"\"\"",
	"{\"a\":[1,null,2]}",
	"{\"a\":[1.5,2]}",
	"{\"a\":[true]}",
	"{\"a\":[\"x\",\"y\"],\"b\":[]}",
	"{\"a\":{\"b\":{\"c\":[{\"d\":[{\"e\":1}]}]}}}",
};

#define AWKWARD (sizeof awkward / sizeof *awkward)

TEST(awkward_documents_come_back_exactly)
{
	struct table t;
	/* All in one batch; then each in a call of its own, twice over; then each with a fresh table. */
	table_open(&t);
	for (size_t i = 0; i < AWKWARD; i++)
		add(&t, awkward[i]);
	run(&t, 0);
	CHECK_ALL_RESTORED(&t);
	table_close(&t);
	table_open(&t);
	for (size_t i = 0; i < 2 * AWKWARD; i++) {
		add(&t, awkward[i % (AWKWARD)]);
		run(&t, i);
	}
	CHECK_ALL_RESTORED(&t);
	table_close(&t);
	for (size_t i = 0; i < AWKWARD; i++) {
		table_open(&t);
		add(&t, awkward[i]);
		run(&t, 0);
		CHECK_ALL_RESTORED(&t);
		table_close(&t);
	}
}

/* ---- real data ---- */

/* Shipped beside the project, not in it. */
static void shared_path(char *out, size_t cap, const char *name)
{
	const char *shared = getenv("HYDRANT_SHARED"), *root = getenv("HYDRANT_ROOT");
	if (shared)
		snprintf(out, cap, "%s/data/%s", shared, name);
	else
		snprintf(out, cap, "%s/../shared/data/%s", root ? root : ".", name);
}

static void add_lines(struct table *t, const char *name)
{
	char path[1024];
	shared_path(path, sizeof path, name);
	gzFile f = gzopen(path, "rb");
	if (!f)
		return;
	AUTO_BUF struct buf all;
	buf_init(&all, BUF_MAX_DEFAULT);
	int n;
	while (buf_reserve(&all, 65536) && (n = gzread(f, all.data + all.len, 65536)) > 0)
		all.len += (size_t)n;
	gzclose(f);
	for (size_t at = 0; at < all.len;) {
		const uint8_t *nl = memchr(all.data + at, '\n', all.len - at);
		size_t end = nl ? (size_t)(nl - all.data) : all.len;
		if (end > at)
			add_event(t, PAYLOAD_JSON, slice_of(all.data + at, end - at));
		at = end + 1;
	}
}

static void report(const struct table *t)
{
	struct shred_stats st = shredder_stats(t->s);
	fprintf(stderr,
		"rows %llu raw %llu (number %llu string %llu dup %llu shape %llu other %llu) rest %llu shapes %llu inferences "
		"%llu conflicts %llu mismatches %llu late %llu edges %u leaves %u\n",
		(unsigned long long)st.rows, (unsigned long long)st.raw_rows, (unsigned long long)st.raw_number,
		(unsigned long long)st.raw_string, (unsigned long long)st.raw_duplicate, (unsigned long long)st.raw_shape,
		(unsigned long long)st.raw_other, (unsigned long long)st.rest_rows, (unsigned long long)st.shapes,
		(unsigned long long)st.inferences, (unsigned long long)st.conflicts, (unsigned long long)st.mismatches,
		(unsigned long long)st.late, shredder_key_count(t->s), shredder_schema(t->s)->leaf_count);
	if (getenv("SHRED_TEST_SCHEMA"))
		for (uint32_t i = 0; i < shredder_schema(t->s)->root->child_count; i++) {
			char type[32] = "…";
			const struct field *f = shredder_schema(t->s)->root->children[i];
			if (!type_is_nested(f->type))
				type_name(f, type);
			fprintf(stderr, "  %.*s %s %s\n", SLICE_ARG(f->name), type,
				f->type == TYPE_STRUCT ? "struct"
				: f->type == TYPE_LIST ? "list"
						       : "");
		}
}

static void real_data(const char *name, size_t calls)
{
	struct table t;
	table_open_with(&t, (struct shred_options){ .lake = true, .key_space = 7, .verify_all = true }, NULL);
	add_lines(&t, name);
	if (!t.count) {
		table_close(&t);
		SKIP("the shipped data is not there");
	}
	size_t all = t.count;
	for (size_t i = 0; i < calls; i++) {
		t.count = all * (i + 1) / calls;
		run(&t, all * i / calls);
	}
	report(&t);
	CHECK_ALL_RESTORED(&t);
	CHECK(shredder_stats(t.s).raw_rows * 100 < t.count);
	table_close(&t);
}

TEST(cloudtrail_is_restored_with_raw_in_under_one_percent)
{
	real_data("events/cloudtrail.ndjson.gz", 1);
}

TEST(cloudtrail_in_small_calls_is_restored_with_raw_in_under_one_percent)
{
	real_data("events/cloudtrail.ndjson.gz", 50);
}

TEST(nginx_status_is_restored_with_raw_in_under_one_percent)
{
	real_data("events/nginxplus-status.ndjson.gz", 1);
}

/* ---- generated documents ---- */

struct gen {
	uint64_t state;
	struct buf out;
	int style; /* of white space: 0 none, 1 after : and ,, 2 odd */
};

static uint32_t pick(struct gen *g, uint32_t n)
{
	g->state = g->state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((g->state >> 33) % n);
}

static void gen_space(struct gen *g, bool after)
{
	static const char *const odd[] = { "", " ", "\n\t", "  ", "\r\n", "" };
	if (g->style == 1 && after)
		buf_byte(&g->out, ' ');
	else if (g->style == 2)
		buf_append_str(&g->out, odd[pick(g, 6)]);
}

static void gen_scalar(struct gen *g)
{
	static const char *const scalars[] = {
		"null",
		"true",
		"false",
		"0",
		"1",
		"-1",
		"10",
		"10.5",
		"1.0",
		"1e2",
		"-0",
		"0.10",
		"0.120",
		"3.14",
		"2.50",
		"1E+2",
		"1e-7",
		"9223372036854775807",
		"9223372036854775808",
		"123456789012345678901234567890",
		"9007199254740993",
		"1e999",
		"0.30000000000000004",
		"\"\"",
		"\"a\"",
		"\"\\u00e9\"",
		"\"\xc3\xa9\"",
		"\"\\n\"",
		"\"\\/x\"",
		"\"2024-01-02T03:04:05Z\"",
		"\"2024-01-02T03:04:05.5Z\"",
		"\"x y\"",
		"\"1\"",
		"\"\\ud83d\\ude00\"",
		"\"<b>\"",
		"\"\\u003cb\\u003e\"",
	};
	buf_append_str(&g->out, scalars[pick(g, sizeof scalars / sizeof *scalars)]);
}

static void gen_value(struct gen *g, int depth);

static void gen_object(struct gen *g, int depth)
{
	static const char *const keys[] = { "a",	 "b", "c",   "A",	"a.b",	    "",	  "year", "__t",
					    "x__double", "x", "k k", "\\u0061", "\xc3\xa9", "id", "list" };
	uint32_t n = pick(g, 5);
	buf_byte(&g->out, '{');
	gen_space(g, false);
	for (uint32_t i = 0; i < n; i++) {
		buf_printf(&g->out, "\"%s\"", keys[pick(g, sizeof keys / sizeof *keys)]);
		gen_space(g, false);
		buf_byte(&g->out, ':');
		gen_space(g, true);
		gen_value(g, depth + 1);
		if (i + 1 < n) {
			gen_space(g, false);
			buf_byte(&g->out, ',');
			gen_space(g, true);
		}
	}
	gen_space(g, false);
	buf_byte(&g->out, '}');
}

static void gen_array(struct gen *g, int depth)
{
	uint32_t n = pick(g, 4), same = pick(g, 3);
	uint64_t state = g->state;
	buf_byte(&g->out, '[');
	gen_space(g, false);
	for (uint32_t i = 0; i < n; i++) {
		if (same)
			g->state = state; /* equal elements */
		gen_value(g, depth + 1);
		if (i + 1 < n) {
			gen_space(g, false);
			buf_byte(&g->out, ',');
			gen_space(g, true);
		}
	}
	gen_space(g, false);
	buf_byte(&g->out, ']');
}

static void gen_value(struct gen *g, int depth)
{
	uint32_t kind = pick(g, depth > 6 ? 4 : 8);
	if (depth == 0 && kind < 6)
		kind = 6;
	if (kind < 5)
		gen_scalar(g);
	else if (kind < 7)
		gen_object(g, depth);
	else
		gen_array(g, depth);
}

static void generated(uint64_t seed, size_t rows, size_t calls, uint32_t depth, uint32_t budget)
{
	struct table t;
	struct gen g = { .state = seed };
	buf_init(&g.out, BUF_MAX_DEFAULT);
	table_open_with(
		&t,
		(struct shred_options){
			.lake = seed & 1, .key_space = 9, .verify_all = true, .typed_depth = depth, .leaf_budget = budget },
		NULL);
	for (size_t i = 0; i < rows; i++) {
		buf_reset(&g.out);
		g.style = (int)pick(&g, 3);
		gen_value(&g, 0);
		add_event(&t, PAYLOAD_JSON, buf_slice(&g.out));
	}
	for (size_t i = 0; i < calls; i++) {
		t.count = rows * (i + 1) / calls;
		run(&t, rows * i / calls);
	}
	if (rows_wrong(&t) || shredder_stats(t.s).mismatches) {
		report(&t);
		test_failures_++;
		fprintf(stderr, "  seed %llu\n", (unsigned long long)seed);
	}
	table_close(&t);
	buf_free(&g.out);
}

TEST(generated_documents_come_back_exactly_and_the_check_never_has_to_heal)
{
	size_t rounds = getenv("SHRED_TEST_ROUNDS") ? strtoul(getenv("SHRED_TEST_ROUNDS"), NULL, 10) : 60;
	for (size_t i = 0; i < rounds; i++)
		generated(i * 77 + 1, 100, 1 + i % 7, (uint32_t[]){ 16, 3, 1, 5 }[i % 4], (uint32_t[]){ 0, 40, 20 }[i % 3]);
}

/* ---- how numbers are written ---- */

TEST(a_number_that_its_column_does_not_give_back_costs_its_text_not_the_row)
{
	static const char *const rows[] = {
		"{\"v\":2.5,\"n\":{\"w\":1.0},\"l\":[1.5,2.0],\"o\":[{\"x\":0.5},{\"x\":1.0}]}",
		"{\"v\":4.0,\"n\":{\"w\":2.5},\"l\":[3.0],\"o\":[{\"x\":0.5}]}",
		"{\"v\":3,\"n\":{\"w\":7},\"l\":[1,2.0],\"o\":[{\"x\":1}, {\"x\":2.5}],\"z\":1}",
		"{\"v\":1E+05,\"n\":{\"w\":0.120},\"l\":[ 1 ]}",
		"{\"v\":0.1234567890123456789012345}",
		"{ \"v\" : -0 , \"n\" : { \"w\" : 1.50e3 } }",
		"{\"v\":1e-07}",
	};
	struct table t;
	table_open(&t);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		add(&t, rows[i]);
	run(&t, 0);
	struct shred_stats st = shredder_stats(t.s);
	CHECK_INT(rows_wrong(&t), 0);
	CHECK_INT(st.mismatches, 0);
	CHECK_INT(st.raw_rows, 0);
	CHECK_INT(st.rest_rows, 5);
	CHECK_INT(batch_column(&t.batch, field_at(&t, "v"))->values, sizeof rows / sizeof *rows); /* the columns have them all */
	CHECK_INT(batch_column(&t.batch, field_at(&t, "n.w"))->values, 5);
	table_close(&t);
}

/* ---- the JSON test suite ---- */

static void suite_file(const char *folder, const char *name, int *ret_valid)
{
	char path[2048];
	AUTO_BUF struct buf text;
	buf_init(&text, BUF_MAX_DEFAULT);
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *f = fopen(path, "rb");
	if (!f)
		return;
	buf_reserve(&text, 1 << 20);
	text.len = fread(text.data, 1, 1 << 20, f);
	fclose(f);
	if (json_validate_all(buf_slice(&text), NULL, NULL, NULL) != RC_OK)
		return;
	++*ret_valid;
	struct table t;
	table_open(&t);
	add_event(&t, PAYLOAD_JSON, buf_slice(&text)); /* with the white space around the value */
	run(&t, 0);
	if (rows_wrong(&t) || shredder_stats(t.s).mismatches) {
		fprintf(stderr, "  %s\n", name);
		test_failures_++;
	}
	table_close(&t);
}

TEST(valid_cases_of_the_json_test_suite_come_back_exactly)
{
	char folder[1024];
	int valid = 0;
	shared_path(folder, sizeof folder, "json-test-suite/test_parsing");
	DIR *d = opendir(folder);
	if (!d)
		SKIP("the JSON test suite is not there");
	for (struct dirent *e; (e = readdir(d));)
		suite_file(folder, e->d_name, &valid);
	closedir(d);
	CHECK(valid >= 95);
}

TEST_MAIN()
