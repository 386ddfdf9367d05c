#include "shred/test_table.h"

/* Rows that take the direct way (fast.c). The first row of a call never does: a call an event is the tape's answer. */

static uint64_t state = 88172645463325252u;

static uint32_t pick(uint32_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)((state >> 20) % n);
}

static const char *const strings[] = { "", "a", "caf\xc3\xa9", "x y z, and a text that is longer than one vector of 32 bytes \xe6\x97\xa5\xe6\x9c\xac",
				       "with \\n an escape behind more than thirty-two bytes", "\xf0\x9f\x98\x80", "\\u00e9\\\\" };

static const char *string(void)
{
	return strings[pick(20) ? pick(6) : 6]; /* an escaped character beside a plain one costs the row __raw */
}

/* Mostly what a stream of one writer's events looks like; now and then something else. */
static void make_event(struct buf *out)
{
	buf_reset(out);
	buf_printf(out, "{\"id\":%d,\"name\":\"%s\",\"at\":\"2026-01-02T03:04:%02u.%03uZ\"", (int)pick(2000000) - 1000000,
		   string(), pick(60), pick(1000));
	buf_printf(out, ",\"ok\":%s,\"price\":%u.%02u,\"ratio\":%.*g", pick(2) ? "true" : "false", pick(1000), pick(100), 1 + (int)pick(15),
		   (double)pick(1000000) / 997.0);
	if (pick(3))
		buf_printf(out, ",\"big\":%u%09u,\"a key that is longer than thirty-two bytes, so it takes two compares\":null", pick(900000000), pick(999999999));
	static const char *const masses[] = { "1E2", "5.10", "7e-7", "-0.50", "12" }; /* numbers, but not as the column writes them */
	buf_printf(out, ",\"mass\":%s,\"path\":%s", pick(4) ? "0.5" : masses[pick(5)], pick(4) ? "[{\"s\":1},{\"s\":2}]" : "[7]");
	buf_append_str(out, ",\"tags\":[");
	for (uint32_t i = 0, n = pick(4); i < n; i++)
		buf_printf(out, "%s\"%s\"", i ? "," : "", string());
	buf_append_str(out, "],\"items\":[");
	for (uint32_t i = 0, n = pick(3); i < n; i++)
		buf_printf(out, "%s{\"k\":%u,\"s\":%s}", i ? ", " : "", pick(100), pick(4) ? "\"z\"" : "null");
	buf_append_str(out, "],\"none\":[],\"o\":{\"p\":{},\"q\":{\"r\":");
	buf_printf(out, "%d}}%s}", (int)pick(10), pick(20) ? "" : ",\"id\":7");
	if (!pick(50))
		out->data[out->len - 1] = ' ', buf_byte(out, '}');
}

static void nested(struct buf *out, uint32_t depth)
{
	for (uint32_t i = 0; i < depth; i++)
		buf_append_str(out, i % 2 ? "[" : "{\"n\":");
	buf_append_str(out, "1");
	for (uint32_t i = depth; i-- > 0;)
		buf_append_str(out, i % 2 ? "]" : "}");
}

static void any_value(struct buf *out)
{
	static const char *const values[] = { "0", "-1.5e+7", "true", "null", "[1,\"x\",{\"y\":[]}]", "{\"v\":1}", "\"a\\n\\u00e9\"", "{}", "[ ]", "12" };
	if (!pick(30))
		nested(out, 120 + pick(12)); /* about as deep as a text may be */
	else if (pick(4))
		buf_append_str(out, values[pick(sizeof values / sizeof *values)]);
	else
		buf_printf(out, "\"%s\"", string());
}

/* Hardly a step is foretold: ids for keys, members in and out, lists of unlike elements, containers as text. */
static void make_unruly(struct buf *out)
{
	static const char *const gaps[] = { "", "", "", "", " ", "\t " };
	buf_reset(out);
	buf_printf(out, "{\"id\":%u", pick(1000));
	for (uint32_t i = 0; i < 8; i++)
		if (pick(2))
			buf_printf(out, "%s,%s\"m%u\":%u", gaps[pick(6)], gaps[pick(6)], i, pick(100));
	for (uint32_t i = 0, n = pick(3); i < n; i++) {
		buf_printf(out, ",\"%s%08x\"%s:%s", pick(9) ? "" : "\xc3\xa9", pick(1u << 31), gaps[pick(6)], gaps[pick(6)]);
		any_value(out);
	}
	buf_append_str(out, ",\"by\":{");
	for (uint32_t i = 0, n = pick(4); i < n; i++) {
		buf_printf(out, "%s\"%s%07x\":", i ? "," : "", pick(9) ? "" : "\\u006b", pick(1u << 27));
		any_value(out);
	}
	buf_append_str(out, "},\"mix\":[");
	for (uint32_t i = 0, n = pick(5); i < n; i++)
		buf_printf(out, pick(4) ? "%s{\"a\":1}" : "%s{\"a\":2,\"b\":\"%s\"}", i ? "," : "", string());
	buf_append_str(out, "],\"deep\":");
	nested(out, pick(40));
	buf_append_str(out, "}");
}

static void damage(struct buf *b)
{
	static const char bytes[] = "{}[]\",:\\ \n0123456789.-+eEtrufalsn\x80\xc3\xff\x01";
	for (uint32_t n = pick(3); n-- > 0;) {
		size_t at = 1 + pick((uint32_t)b->len - 2);
		uint32_t how = pick(3);
		if (how == 0) {
			b->data[at] = (uint8_t)bytes[pick(sizeof bytes - 1)];
		} else if (how == 1 && b->len > 8) {
			memmove(b->data + at, b->data + at + 1, b->len - at - 1);
			b->len--;
		} else {
			buf_byte(b, 0);
			memmove(b->data + at + 1, b->data + at, b->len - at - 1);
			b->data[at] = (uint8_t)bytes[pick(sizeof bytes - 1)];
		}
	}
	b->data[0] = '{';
	b->data[b->len - 1] = '}';
}

/* One call for all events, as a file gives them: one behind the other, nobody has looked at them; those that turn out to be no JSON are left out. Behind
 * the last byte stands what could end an unfinished value. */
static size_t run_unchecked(struct table *t, struct buf *text, const size_t *ends, size_t n, bool *ret_stored)
{
	struct event *events = mem_zalloc(n, sizeof *events);
	struct err err;
	size_t stored = 0;
	for (size_t i = 0; i < n; i++)
		events[i] = (struct event){ .payload = slice_of(text->data + (i ? ends[i - 1] : 0), ends[i] - (i ? ends[i - 1] : 0)),
					    .received = NOW_US, .unchecked = true, .padded = true };
	for (size_t from = 0; from < n; from++) {
		rc_t rc = shredder_run(t->s, events + from, n - from, to_batch, t, &err);
		size_t done = rc == RC_OK ? n - from : shredder_stopped(t->s);
		for (size_t i = from; i < from + done; i++)
			ret_stored[i] = true;
		stored += done;
		if (rc != RC_OK && rc != RC_AGAIN)
			abort();
		from += done;
	}
	free(events);
	return stored;
}

TEST(an_unchecked_event_is_stored_if_and_only_if_it_is_valid_and_comes_back_exactly)
{
	enum { ROWS = 4000 };
	for (int simd = 0; simd < 2; simd++) {
		json_scan_use_simd(simd);
		struct table t;
		AUTO_BUF struct buf one, text;
		buf_init(&one, 1 << 16);
		buf_init(&text, BUF_MAX_DEFAULT);
		table_open_with(&t, (struct shred_options){ .key_space = 7, .verify_all = simd }, NULL);
		AUTO_MEM size_t *ends = mem_zalloc(ROWS, sizeof *ends);
		AUTO_MEM bool *stored = mem_zalloc(ROWS, sizeof *stored);
		size_t valid = 0, wrong = 0;
		for (size_t i = 0; i < ROWS; i++) {
			if (i % 2)
				make_unruly(&one);
			else
				make_event(&one);
			if (pick(4) == 0)
				damage(&one);
			buf_append_slice(&text, buf_slice(&one));
			ends[i] = text.len;
		}
		for (int i = 0; i < EVENT_PAD; i++)
			buf_append_str(&text, "\"}]");
		size_t count = run_unchecked(&t, &text, ends, ROWS, stored);
		for (size_t i = 0; i < ROWS; i++) {
			struct slice payload = slice_of(text.data + (i ? ends[i - 1] : 0), ends[i] - (i ? ends[i - 1] : 0));
			bool good = json_validate_all(payload, NULL, NULL, NULL) == RC_OK;
			valid += good;
			if (good != stored[i] && wrong++ < 5)
				fprintf(stderr, "  %s: %.*s\n", good ? "refused" : "taken", SLICE_ARG(payload));
			if (stored[i])
				add_event(&t, PAYLOAD_JSON, payload);
		}
		CHECK(wrong == 0);
		CHECK(count == valid && valid < ROWS && valid > ROWS / 2);
		CHECK(rows_wrong(&t) == 0);
		CHECK(shredder_stats(t.s).mismatches == 0);
		table_close(&t);
	}
	json_scan_use_simd(true);
}

static bool columns_equal(const struct column *a, const struct column *b)
{
	if (a->values != b->values || a->child_count != b->child_count || a->slots != b->slots)
		return false;
	for (uint32_t i = 0; i < a->slots && a->field->parent; i++)
		if (column_is_present(a, i) != column_is_present(b, i))
			return false;
	if (a->data.len != b->data.len || (a->data.len && memcmp(a->data.data, b->data.data, a->data.len) != 0))
		return false;
	if (a->offsets && memcmp(a->offsets, b->offsets, ((size_t)a->values + 1) * sizeof *a->offsets) != 0)
		return false;
	for (uint32_t i = 0; i < a->child_count; i++)
		if (!columns_equal(&a->children[i], &b->children[i])) {
			char path[256];
			field_path(a->children[i].field, path, sizeof path);
			fprintf(stderr, "  %s differs\n", path);
			return false;
		}
	return true;
}

TEST(the_direct_way_fills_the_columns_as_the_tape_does)
{
	enum { ROWS = 3000, SAMPLE = 500 };
	for (int lake = 0; lake < 2; lake++) {
		json_scan_use_simd(!lake);
		struct table direct, tape;
		AUTO_BUF struct buf one;
		buf_init(&one, 1 << 16);
		struct shred_options opt = { .key_space = 7, .lake = lake };
		table_open_with(&direct, opt, NULL);
		table_open_with(&tape, opt, NULL);
		for (size_t i = 0; i < ROWS; i++) {
			make_event(&one);
			add_event(&direct, PAYLOAD_JSON, buf_slice(&one));
			add_event(&tape, PAYLOAD_JSON, buf_slice(&one));
		}
		direct.count = tape.count = SAMPLE; /* types and keys settle on the same events */
		run(&direct, 0);
		run(&tape, 0);
		for (size_t i = SAMPLE; i < ROWS; i++) {
			tape.count = i + 1;
			run(&tape, i);
		}
		direct.count = ROWS;
		run(&direct, SAMPLE);
		batch_seal(&direct.batch);
		batch_seal(&tape.batch);
		CHECK(columns_equal(&direct.batch.root, &tape.batch.root));
		CHECK(shredder_stats(direct.s).direct > (ROWS - SAMPLE) * 3 / 4 && shredder_stats(tape.s).direct < SAMPLE);
		CHECK(shredder_stats(direct.s).conflicts == shredder_stats(tape.s).conflicts);
		CHECK(shredder_stats(direct.s).raw_rows == shredder_stats(tape.s).raw_rows);
		CHECK(rows_wrong(&direct) == 0);
		table_close(&direct);
		table_close(&tape);
	}
	json_scan_use_simd(true);
}

struct two {
	struct batch batch[2];
	size_t row;
};

/* Now this batch, now that, now none: what was put into the wrong one is taken back. */
static struct batch *to_one_of_two(void *ctx, size_t i, int64_t time_us)
{
	struct two *t = ctx;
	(void)i, (void)time_us;
	size_t to = t->row++ * 7 % 5;
	return to == 4 ? NULL : &t->batch[to & 1];
}

TEST(a_row_that_belongs_elsewhere_leaves_nothing_behind)
{
	enum { ROWS = 1000 };
	struct table t;
	struct two two = { 0 };
	struct err err;
	AUTO_BUF struct buf one, out;
	buf_init(&one, 1 << 16);
	buf_init(&out, 1 << 16);
	table_open(&t);
	for (size_t i = 0; i < ROWS; i++) {
		make_event(&one);
		add_event(&t, PAYLOAD_JSON, buf_slice(&one));
	}
	for (size_t i = 0; i < ROWS; i++)
		t.events[i].payload = payload_at(&t, i);
	for (int i = 0; i < 2; i++)
		batch_init(&two.batch[i], shredder_schema(t.s));
	CHECK(shredder_run(t.s, t.events, ROWS, to_one_of_two, &two, &err) == RC_OK);
	AUTO(renderer) *r = renderer_new(shredder_schema(t.s));
	AUTO_BUF struct buf keys;
	buf_init(&keys, BUF_MAX_DEFAULT);
	shredder_keys(t.s, &keys);
	CHECK(renderer_add_keys(r, buf_slice(&keys), &err) == RC_OK);
	uint32_t rows[2] = { 0 };
	size_t wrong = 0;
	for (int b = 0; b < 2; b++)
		batch_seal(&two.batch[b]);
	for (int b = 0; b < 2; b++) {
		renderer_begin(r, &two.batch[b]);
		for (size_t i = 0; i < ROWS; i++) {
			size_t to = i * 7 % 5;
			if (to == 4 || (to & 1) != (size_t)b)
				continue;
			buf_reset(&out);
			wrong += renderer_row(r, rows[b]++, &out, &err) != RC_OK || !slice_eq(buf_slice(&out), t.events[i].payload);
		}
		CHECK(rows[b] == two.batch[b].rows);
	}
	CHECK(wrong == 0);
	for (int b = 0; b < 2; b++)
		batch_free(&two.batch[b]);
	table_close(&t);
}

TEST_MAIN()
