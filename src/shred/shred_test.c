#include "base/test.h"

#include <zlib.h>

#include "json/json.h"
#include "json/notes.h"
#include "json/render.h"
#include "json/shape.h"
#include "shred/shred.h"

/* ---- a table in memory ---- */

#define DAY_US ((int64_t)86400 * 1000000)
#define NOW_US ((int64_t)1795341600 * 1000000) /* 2026-11-22T10:00:00Z */

struct table {
	struct shredder *s;
	struct batch batch;
	struct event *events;
	size_t count, cap;
	struct buf text;      /* payloads, one after the other */
	int64_t times[64];    /* of the first rows */
};

static void table_open_with(struct table *t, struct shred_options opt, const struct schema *start)
{
	struct err err;
	*t = (struct table){ 0 };
	buf_init(&t->text, BUF_MAX_DEFAULT);
	if (shredder_new(&opt, start, &t->s, &err) != RC_OK)
		abort();
	batch_init(&t->batch, shredder_schema(t->s));
}

static void table_open(struct table *t)
{
	table_open_with(t, (struct shred_options){ .key_space = 7, .verify_all = true }, NULL);
}

static void table_close(struct table *t)
{
	batch_free(&t->batch);
	shredder_free(t->s);
	free(t->events);
	buf_free(&t->text);
}

static struct batch *to_batch(void *ctx, size_t i, int64_t time_us)
{
	struct table *t = ctx;
	if (t->batch.rows < 64)
		t->times[t->batch.rows] = time_us;
	return &t->batch;
}

/* Events keep their payloads in one buffer that may move: offsets until the run. */
static void add_event(struct table *t, enum payload_kind kind, struct slice payload)
{
	if (t->count == t->cap) {
		t->cap = t->cap ? t->cap * 2 : 64;
		t->events = mem_realloc(t->events, t->cap * sizeof *t->events);
	}
	size_t at = t->text.len;
	buf_append_slice(&t->text, payload);
	t->events[t->count++] = (struct event){ .payload = { (const uint8_t *)(uintptr_t)at, payload.len }, .kind = kind,
						.received = NOW_US, .pos = t->count };
}

static void add(struct table *t, const char *json)
{
	add_event(t, PAYLOAD_JSON, slice_str(json));
}

/* Exactly sized copies, so that the sanitizer sees a byte read too far. */
static void run(struct table *t, size_t from)
{
	struct err err;
	size_t n = t->count - from;
	struct event *events = mem_zalloc(n + 1, sizeof *events);
	for (size_t i = 0; i < n; i++) {
		struct event *e = &t->events[from + i];
		uint8_t *copy = mem_alloc(e->payload.len + 1);
		memcpy(copy + 1, t->text.data + (uintptr_t)e->payload.data, e->payload.len);
		events[i] = *e;
		events[i].payload.data = copy + 1;
	}
	if (shredder_run(t->s, events, n, to_batch, t, &err) != RC_OK)
		abort();
	for (size_t i = 0; i < n; i++)
		free((void *)(events[i].payload.data - 1));
	free(events);
}

static struct slice payload_at(const struct table *t, size_t i)
{
	return slice_of(t->text.data + (uintptr_t)t->events[i].payload.data, t->events[i].payload.len);
}

/* Renders all rows with a renderer that knows only stored bytes (key table, notes); returns the rows that differ. */
static size_t rows_wrong(struct table *t)
{
	struct err err;
	AUTO_BUF struct buf keys, notes, out;
	buf_init(&keys, BUF_MAX_DEFAULT);
	buf_init(&notes, BUF_MAX_DEFAULT);
	buf_init(&out, BUF_MAX_DEFAULT);
	size_t wrong = 0;
	schema_assign_ids(shredder_schema_mutable(t->s));
	shredder_keys(t->s, &keys);
	schema_notes_encode(shredder_schema(t->s), &notes);
	AUTO(schema) *schema = schema_copy(shredder_schema(t->s));
	if (schema_notes_decode(buf_slice(&notes), schema, &err) != RC_OK) {
		fprintf(stderr, "  notes: %s\n", err.text);
		return SIZE_MAX;
	}
	AUTO(renderer) *r = renderer_new(shredder_schema(t->s));
	if (renderer_add_keys(r, buf_slice(&keys), &err) != RC_OK) {
		fprintf(stderr, "  keys: %s\n", err.text);
		return SIZE_MAX;
	}
	batch_seal(&t->batch);
	renderer_begin(r, &t->batch);
	for (uint32_t i = 0; i < t->batch.rows; i++) {
		buf_reset(&out);
		rc_t rc = renderer_row(r, i, &out, &err);
		if (rc == RC_OK && slice_eq(buf_slice(&out), payload_at(t, i)))
			continue;
		if (wrong++ < 5)
			fprintf(stderr, "  row %u: %s %s\n    want %.200s\n    got  %.*s\n", i, rc_name(rc), rc ? err.text : "",
				(const char *)payload_at(t, i).data, (int)(out.len < 200 ? out.len : 200), (const char *)out.data);
	}
	return wrong;
}

static const struct field *field_at(const struct table *t, const char *path)
{
	const struct field *f = shredder_schema(t->s)->root;
	while (f && *path) {
		size_t n = strcspn(path, ".");
		f = field_child(f, slice_of(path, n));
		path += n + (path[n] == '.');
	}
	return f;
}

static bool type_is(const struct table *t, const char *path, const char *want)
{
	const struct field *f = field_at(t, path);
	char name[32] = "none";
	if (f)
		type_name(f, name);
	if (strcmp(name, want) != 0)
		fprintf(stderr, "  %s is %s, want %s\n", path, name, want);
	return strcmp(name, want) == 0;
}

#define CHECK_ALL_RESTORED(t)                                                   \
	do {                                                                    \
		CHECK_INT(rows_wrong(t), 0);                                    \
		CHECK_INT(shredder_stats((t)->s).mismatches, 0);                \
		CHECK_INT(shredder_stats((t)->s).rows, (t)->count);             \
	} while (0)

/* ---- laws ---- */

TEST(flat_rows_get_typed_columns)
{
	struct table t;
	table_open(&t);
	add(&t, "{\"a\":1,\"b\":\"x\",\"c\":true,\"d\":1.5}");
	add(&t, "{\"a\":2,\"b\":\"y\",\"c\":false,\"d\":2}");
	add(&t, "{\"a\":null,\"c\":true}");
	run(&t, 0);
	CHECK(type_is(&t, "a", "long"));
	CHECK(type_is(&t, "b", "string"));
	CHECK(type_is(&t, "c", "boolean"));
	CHECK(type_is(&t, "d", "double"));
	CHECK_ALL_RESTORED(&t);
	CHECK_INT(shredder_stats(t.s).raw_rows, 0);
	table_close(&t);
}

TEST(awkward_documents_come_back_exactly)
{
	static const char *const docs[] = {
		"{}", "[]", "null", "true", "1", "\"x\"", "-0", "1e2", "1.0", "[1,\"a\",{}]", "{ }", "[ ]", "[[]]", "[{}]", "[null]", "[null,null]",
		"{\"a\":{}}", "{\"a\":[]}", "{\"a\":null}", "{\"a\":[{}]}", "{\"a\":[{},{}]}", "{\"a\":[null,{}]}", "{\"a\":[[],[[]]]}",
		"{\"\":1}", "{\"\":{\"\":{}}}", "{\"a\":1,\"A\":2}", "{\"a\":1,\"a\":2}", "{\"a\":1,\"a\":\"x\"}", "{\"a\":{\"b\":1},\"a\":{\"c\":2}}",
		"{\"a.b\":1,\"a\":{\"b\":2}}", "{\"year\":1,\"month\":2,\"day\":3,\"hour\":4}", "{\"__typename\":\"T\",\"x__double\":1.5,\"x\":1}",
		"{\"x\":1}", "{\"x\":1.5}", "{\"x\":\"s\"}", "{\"x\":{\"y\":1}}", "{\"x\":[1]}", "{\"x\":[\"a\",1]}", "{\"x\":true}", "{\"x\":null}",
		"{ \"a\" : 1 , \"b\" : [ 1 , 2 ] }", "{\n  \"a\": {\n    \"b\": [\n      1,\n      2\n    ]\n  }\n}", "{\"a\":[ {\"b\":1},{\"b\":2} ]}",
		"{\"a\":[{\"b\":1}, {\"b\":2},{\"b\":3}]}", "{\"a\":[{\"b\":1},{\"c\":2},{\"b\":3,\"c\":4}]}", "{\"a\":[{\"b\":1},null,{\"b\":[]}]}",
		"{\"n\":123456789012345678901234567890}", "{\"n\":-9223372036854775808}", "{\"n\":9223372036854775808}", "{\"n\":1e400}",
		"{\"n\":0.1234567890123456789}", "{\"n\":12345678901234567890123456789012345678901234567890}", "{\"n\":1E5}", "{\"n\":-0}", "{\"n\":-0.0}",
		"{\"s\":\"\\u00e9\"}", "{\"s\":\"\\u00E9\"}", "{\"s\":\"\\/\"}", "{\"s\":\"\xc3\xa9\"}", "{\"s\":\"\\ud800\"}", "{\"s\":\"\\n\\t\\\\\"}",
		"{\"s\":\"a\\u0000b\"}", "{\"\\u0061\":1}", "{\"\\ud800\":1}", "{\"k\\n\":1}", "{\"\xd0\xba\xd0\xbb\":1}",
		"{\"t\":\"2023-07-10T11:42:36Z\"}", "{\"t\":\"2023-07-10T11:42:36+00:00\"}", "{\"t\":\"yesterday\"}", "{\"t\":\"2023-07-10T11:42:36.120Z\"}",
		"[1,2,3]", "[{\"a\":1},{\"a\":2}]", "[[1,2],[3]]", "[[1,2],[\"x\"]]", "[[[[1]]]]", "{\"m\":[[1,2],[3,4]]}", "{\"m\":[[1],{}]}", "\"\"",
		"{\"a\":[1,null,2]}", "{\"a\":[1.5,2]}", "{\"a\":[true]}", "{\"a\":[\"x\",\"y\"],\"b\":[]}", "{\"a\":{\"b\":{\"c\":[{\"d\":[{\"e\":1}]}]}}}",
	};
	struct table t;
	/* All in one batch; then each in a call of its own, twice over; then each with a fresh table. */
	table_open(&t);
	for (size_t i = 0; i < sizeof docs / sizeof *docs; i++)
		add(&t, docs[i]);
	run(&t, 0);
	CHECK_ALL_RESTORED(&t);
	table_close(&t);
	table_open(&t);
	for (size_t i = 0; i < 2 * sizeof docs / sizeof *docs; i++) {
		add(&t, docs[i % (sizeof docs / sizeof *docs)]);
		run(&t, i);
	}
	CHECK_ALL_RESTORED(&t);
	table_close(&t);
	for (size_t i = 0; i < sizeof docs / sizeof *docs; i++) {
		table_open(&t);
		add(&t, docs[i]);
		run(&t, 0);
		CHECK_ALL_RESTORED(&t);
		table_close(&t);
	}
}

/* ---- real data ---- */

static void add_lines(struct table *t, const char *name)
{
	char path[1024], *root = getenv("HYDRANT_DATA_EVENTS");
	snprintf(path, sizeof path, "%s/%s", root ? root : "/work/shared/data/events", name);
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
	fprintf(stderr, "rows %llu raw %llu (number %llu string %llu dup %llu shape %llu other %llu) rest %llu shapes %llu inferences %llu conflicts %llu mismatches %llu late %llu edges %u leaves %u\n",
		(unsigned long long)st.rows, (unsigned long long)st.raw_rows, (unsigned long long)st.raw_number, (unsigned long long)st.raw_string,
		(unsigned long long)st.raw_duplicate, (unsigned long long)st.raw_shape, (unsigned long long)st.raw_other,
		(unsigned long long)st.rest_rows, (unsigned long long)st.shapes, (unsigned long long)st.inferences,
		(unsigned long long)st.conflicts, (unsigned long long)st.mismatches, (unsigned long long)st.late, shredder_key_count(t->s),
		shredder_schema(t->s)->leaf_count);
	if (getenv("SHRED_TEST_SCHEMA"))
		for (uint32_t i = 0; i < shredder_schema(t->s)->root->child_count; i++) {
			char type[32] = "…";
			const struct field *f = shredder_schema(t->s)->root->children[i];
			if (!type_is_nested(f->type))
				type_name(f, type);
			fprintf(stderr, "  %.*s %s %s\n", SLICE_ARG(f->name), type, f->type == TYPE_STRUCT ? "struct" : f->type == TYPE_LIST ? "list" : "");
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
	real_data("cloudtrail.ndjson.gz", 1);
}

TEST(cloudtrail_in_small_calls_is_restored_with_raw_in_under_one_percent)
{
	real_data("cloudtrail.ndjson.gz", 50);
}

TEST(nginx_status_is_restored_with_raw_in_under_one_percent)
{
	real_data("nginxplus-status.ndjson.gz", 1);
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
		"null", "true", "false", "0", "1", "-1", "10", "10.5", "1.0", "1e2", "-0", "0.10", "0.120", "3.14", "2.50", "1E+2", "1e-7",
		"9223372036854775807", "9223372036854775808", "123456789012345678901234567890", "9007199254740993", "1e999", "0.30000000000000004",
		"\"\"", "\"a\"", "\"\\u00e9\"", "\"\xc3\xa9\"", "\"\\n\"", "\"\\/x\"", "\"2024-01-02T03:04:05Z\"", "\"2024-01-02T03:04:05.5Z\"", "\"x y\"",
		"\"1\"", "\"\\ud83d\\ude00\"", "\"<b>\"", "\"\\u003cb\\u003e\"",
	};
	buf_append_str(&g->out, scalars[pick(g, sizeof scalars / sizeof *scalars)]);
}

static void gen_value(struct gen *g, int depth);

static void gen_object(struct gen *g, int depth)
{
	static const char *const keys[] = { "a", "b", "c", "A", "a.b", "", "year", "__t", "x__double", "x", "k k", "\\u0061", "\xc3\xa9", "id", "list" };
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
	table_open_with(&t, (struct shred_options){ .lake = seed & 1, .key_space = 9, .verify_all = true, .typed_depth = depth,
						    .leaf_budget = budget }, NULL);
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

/* ---- names ---- */

TEST(names_follow_the_rules)
{
	struct table t;
	table_open(&t);
	add(&t, "{\"a.b\":1,\"a\":{\"b\":2},\"A\":3,\"year\":4,\"__typename\":\"T\",\"x__double\":1.5,\"x\":1,\"1xx\":5,\"\":6,\"user-agent\":\"u\",\"a_b\":7}");
	run(&t, 0);
	CHECK(type_is(&t, "a_b", "long"));
	CHECK(type_is(&t, "a.b", "long"));
	CHECK(type_is(&t, "A_2", "long"));
	CHECK(type_is(&t, "year_2", "long"));
	CHECK(type_is(&t, "_typename", "string"));
	CHECK(type_is(&t, "x_double", "double"));
	CHECK(type_is(&t, "x", "long"));
	CHECK(type_is(&t, "_1xx", "long"));
	CHECK(type_is(&t, "_", "long"));
	CHECK(type_is(&t, "user_agent", "string"));
	CHECK(type_is(&t, "a_b_2", "long"));
	CHECK(slice_eq_str(field_at(&t, "a_b")->key, "a.b"));
	CHECK(slice_eq_str(field_at(&t, "user_agent")->key, "user-agent"));
	CHECK_ALL_RESTORED(&t);
	CHECK_INT(shredder_stats(t.s).raw_rows, 0);
	table_close(&t);
}

/* ---- types ---- */

TEST(types_settle_over_the_first_call)
{
	struct table t;
	table_open(&t);
	for (int i = 0; i < 10; i++) {
		AUTO_MEM char *doc = mem_printf("{\"i\":%d,\"m\":%s,\"p\":%d.%02d,\"s\":\"%d\",\"big\":1234567890123456789012%d,\"f\":%d.5,\"y\":%d.0}", i,
						i == 3 ? "2.5" : "2", i, i * 10, i, i, i, i);
		add(&t, doc);
	}
	run(&t, 0);
	CHECK(type_is(&t, "i", "long"));
	CHECK(type_is(&t, "m", "double"));
	CHECK(type_is(&t, "p", "decimal(18, 2)"));
	CHECK(type_is(&t, "s", "string"));
	CHECK(type_is(&t, "big", "decimal(38, 0)"));
	CHECK(type_is(&t, "f", "double"));
	CHECK(type_is(&t, "y", "double"));
	CHECK_INT(field_at(&t, "m")->format, FORMAT_DOUBLE_SHORT);
	CHECK_INT(field_at(&t, "y")->format, FORMAT_DOUBLE_DOT);
	CHECK_ALL_RESTORED(&t);
	CHECK_INT(shredder_stats(t.s).raw_rows, 0);
	table_close(&t);
}

TEST(values_of_another_kind_go_to_siblings_and_nothing_pays_raw)
{
	struct table t;
	table_open(&t);
	static const char *const docs[] = { "{\"x\":1}", "{\"x\":1.5}", "{\"x\":\"s\"}", "{\"x\":{\"k\":1}}", "{\"x\":[1]}", "{\"x\":[1,\"a\"]}", "{\"x\":true}",
					    "{\"x\":99999999999999999999}", "{\"x\":2}" };
	for (size_t i = 0; i < sizeof docs / sizeof *docs; i++) {
		add(&t, docs[i]);
		run(&t, i);
	}
	CHECK(type_is(&t, "x", "long"));
	CHECK(type_is(&t, "x__double", "double"));
	CHECK(type_is(&t, "x__string", "string"));
	CHECK(type_is(&t, "x__object.k", "long"));
	CHECK(type_is(&t, "x__list.element", "long"));
	CHECK(type_is(&t, "x__json", "string"));
	CHECK(type_is(&t, "x__bool", "boolean"));
	CHECK(type_is(&t, "x__decimal", "decimal(38, 0)"));
	CHECK_INT(batch_column(&t.batch, field_at(&t, "x"))->values, 2);
	CHECK_ALL_RESTORED(&t);
	CHECK_INT(shredder_stats(t.s).raw_rows, 0);
	CHECK_INT(shredder_stats(t.s).conflicts, 7);
	table_close(&t);
}

TEST(ten_then_ten_and_a_half_is_a_double)
{
	struct table t;
	table_open(&t);
	add(&t, "{\"x\":10}");
	add(&t, "{\"x\":10.5}");
	run(&t, 0);
	CHECK(type_is(&t, "x", "double"));
	CHECK_ALL_RESTORED(&t);
	CHECK_INT(shredder_stats(t.s).raw_rows, 0);
	table_close(&t);
}

TEST(payloads_that_are_no_objects_go_to_value)
{
	struct table t;
	table_open(&t);
	add(&t, "1");
	add(&t, "2");
	add(&t, "\"s\"");
	add(&t, "[1,2]");
	add(&t, "[1,\"x\"]");
	add(&t, "{\"value\":5,\"\":6}");
	run(&t, 0);
	add(&t, "true");
	run(&t, 6);
	CHECK(type_is(&t, "value", "long"));
	CHECK(type_is(&t, "value__string", "string"));
	CHECK(type_is(&t, "value__list.element", "long"));
	CHECK(type_is(&t, "value__json", "string"));
	CHECK(type_is(&t, "value__bool", "boolean"));
	CHECK(type_is(&t, "value_2", "long"));
	CHECK_ALL_RESTORED(&t);
	CHECK_INT(shredder_stats(t.s).raw_rows, 0);
	table_close(&t);
}

/* ---- size and depth ---- */

TEST(ten_thousand_keys_stay_within_the_budget_without_raw)
{
	struct table t;
	AUTO_BUF struct buf doc;
	buf_init(&doc, BUF_MAX_DEFAULT);
	table_open(&t);
	for (int row = 0; row < 3; row++) {
		buf_reset(&doc);
		for (int i = 0; i < 10000; i++)
			buf_printf(&doc, "%c\"key%d\":%d", i ? ',' : '{', i + row * 5000, i);
		buf_byte(&doc, '}');
		add_event(&t, PAYLOAD_JSON, buf_slice(&doc));
		run(&t, (size_t)row);
	}
	CHECK_ALL_RESTORED(&t);
	CHECK(shredder_schema(t.s)->leaf_count <= SHRED_LEAF_BUDGET);
	CHECK_INT(shredder_stats(t.s).rest_rows, 3);
	CHECK_INT(shredder_stats(t.s).raw_rows, 0);
	CHECK(shredder_key_count(t.s) < 5000);
	table_close(&t);
}

TEST(deep_nesting_is_typed_to_its_depth_and_json_text_below)
{
	struct table t;
	AUTO_BUF struct buf doc;
	buf_init(&doc, BUF_MAX_DEFAULT);
	table_open(&t);
	for (int i = 0; i < 128; i++)
		buf_append_str(&doc, "{\"d\":");
	buf_byte(&doc, '1');
	for (int i = 0; i < 128; i++)
		buf_byte(&doc, '}');
	add_event(&t, PAYLOAD_JSON, buf_slice(&doc));
	buf_reset(&doc);
	for (int i = 0; i < 128; i++)
		buf_byte(&doc, '[');
	for (int i = 0; i < 128; i++)
		buf_byte(&doc, ']');
	add_event(&t, PAYLOAD_JSON, buf_slice(&doc));
	run(&t, 0);
	CHECK(type_is(&t, "d.d.d.d.d.d.d.d.d.d.d.d.d.d.d.d__json", "string"));
	CHECK_ALL_RESTORED(&t);
	CHECK_INT(shredder_stats(t.s).raw_rows, 0);
	table_close(&t);
}

TEST(a_big_string_and_a_long_list_come_back)
{
	struct table t;
	AUTO_BUF struct buf doc;
	buf_init(&doc, BUF_MAX_DEFAULT);
	table_open(&t);
	buf_append_str(&doc, "{\"s\":\"");
	for (int i = 0; i < 1 << 20; i++)
		buf_append_str(&doc, "0123456789abcde\\n");
	buf_append_str(&doc, "\"}");
	add_event(&t, PAYLOAD_JSON, buf_slice(&doc));
	buf_reset(&doc);
	buf_append_str(&doc, "{\"l\":[0");
	for (int i = 1; i < 300000; i++)
		buf_printf(&doc, ",%d", i);
	buf_append_str(&doc, "],\"o\":[{}");
	for (int i = 1; i < 100000; i++)
		buf_append_str(&doc, ",{}");
	buf_append_str(&doc, "]}");
	add_event(&t, PAYLOAD_JSON, buf_slice(&doc));
	run(&t, 0);
	CHECK_ALL_RESTORED(&t);
	CHECK_INT(shredder_stats(t.s).raw_shape, 1); /* 100,000 times {} has no list column, so no short shape */
	table_close(&t);
}

/* ---- other payloads, times, routing ---- */

TEST(text_bytes_and_quarantine_become_rows)
{
	struct table t;
	table_open_with(&t, (struct shred_options){ .lake = true, .key_space = 3, .source = SLICE_LIT("w1"), .verify_all = true }, NULL);
	add(&t, "{\"text\":1}");
	add_event(&t, PAYLOAD_TEXT, SLICE_LIT("a line"));
	add_event(&t, PAYLOAD_RAW, SLICE_LIT("\xff\x00\xfe"));
	add(&t, "{broken");
	t.events[3].kind = PAYLOAD_RAW;
	t.events[3].reason = SLICE_LIT("no JSON");
	t.events[0].meta = SLICE_LIT("host\0h1\0agent\0x\0host\0h2");
	t.events[1].id = SLICE_LIT("id-1");
	run(&t, 0);
	CHECK(type_is(&t, "text", "long"));
	CHECK(type_is(&t, "text_2", "string"));
	CHECK(type_is(&t, "reason", "string"));
	CHECK_INT(shredder_stats(t.s).quarantined, 1);
	CHECK_INT(batch_column(&t.batch, field_at(&t, "__source"))->values, 4);
	CHECK_INT(batch_column(&t.batch, field_at(&t, "__meta.key"))->values, 2);
	CHECK_INT(column_i64_at(batch_column(&t.batch, field_at(&t, "__pos")), 3), 4);
	CHECK_ALL_RESTORED(&t);
	table_close(&t);
}

TEST(event_time_is_detected_once_and_implausible_values_take_the_receive_time)
{
	struct table t;
	table_open_with(&t, (struct shred_options){ .lake = true, .key_space = 3, .verify_all = true }, NULL);
	add(&t, "{\"x\":1,\"eventTime\":\"2026-11-21T10:00:00Z\"}");
	add(&t, "{\"eventTime\":\"2026-11-21T12:00:00+02:00\"}");
	add(&t, "{\"eventTime\":\"1990-11-21T12:00:00Z\"}");
	add(&t, "{\"x\":2}");
	run(&t, 0);
	add(&t, "{\"ts\":1795255200,\"eventTime\":1795255200}");
	run(&t, 4);
	CHECK_INT(t.times[0], NOW_US - DAY_US);
	CHECK_INT(t.times[1], NOW_US - DAY_US);
	CHECK_INT(t.times[2], NOW_US);
	CHECK_INT(t.times[3], NOW_US);
	CHECK_INT(t.times[4], NOW_US - DAY_US);
	CHECK_INT(shredder_stats(t.s).late, 2);
	CHECK(slice_eq_str(field_at(&t, "__time")->key, "eventTime"));
	CHECK_ALL_RESTORED(&t);
	table_close(&t);
}

TEST(a_declared_time_field_may_be_nested)
{
	struct table t;
	table_open_with(&t, (struct shred_options){ .lake = true, .key_space = 3, .verify_all = true, .time_field = "a.b" }, NULL);
	add(&t, "{\"ts\":1795341600,\"a\":{\"b\":1795255200000}}");
	run(&t, 0);
	CHECK_INT(t.times[0], NOW_US - DAY_US);
	table_close(&t);
}

static struct batch *odd_rows(void *ctx, size_t i, int64_t time_us)
{
	(void)time_us;
	return i & 1 ? ctx : NULL;
}

TEST(a_row_without_a_batch_leaves_nothing)
{
	struct table t;
	struct err err;
	table_open(&t);
	struct event e[4] = { { .payload = SLICE_LIT("{\"a\":1}") }, { .payload = SLICE_LIT("{\"a\":2,\"b\":[1]}") },
			      { .payload = SLICE_LIT("{\"b\":[7,8]}") }, { .payload = SLICE_LIT("{\"b\":[]}") } };
	CHECK_OK(shredder_run(t.s, e, 4, odd_rows, &t.batch, &err), err);
	CHECK_INT(t.batch.rows, 2);
	CHECK_INT(shredder_stats(t.s).rows, 2);
	CHECK_INT(batch_column(&t.batch, field_at(&t, "a"))->values, 1);
	CHECK_INT(batch_column(&t.batch, field_at(&t, "b.element"))->values, 1);
	table_close(&t);
}

TEST(a_restarted_shredder_takes_the_tables_schema_up)
{
	struct table t, u;
	table_open_with(&t, (struct shred_options){ .lake = true, .key_space = 3, .verify_all = true }, NULL);
	add(&t, "{\"p\":1.50,\"q\":{\"r\":[1]},\"time\":\"2026-11-21T10:00:00Z\",\"x\":1}");
	add(&t, "{\"x\":\"s\"}");
	run(&t, 0);
	schema_assign_ids(shredder_schema_mutable(t.s));
	table_open_with(&u, (struct shred_options){ .lake = true, .key_space = 4, .verify_all = true }, shredder_schema(t.s));
	add(&u, "{\"x\":\"s\",\"q\":{\"r\":[2,3]}}");
	add(&u, "{\"p\":2.25,\"x\":5,\"time\":\"2026-11-21T10:00:00Z\"}");
	run(&u, 0);
	CHECK(schema_equal(shredder_schema(t.s), shredder_schema(u.s)));
	CHECK_INT(u.times[1], NOW_US - DAY_US);
	CHECK_ALL_RESTORED(&u);
	CHECK_INT(shredder_stats(u.s).raw_rows, 0);
	table_close(&u);
	table_close(&t);
}

TEST_MAIN()
