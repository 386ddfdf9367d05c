#include "shred/test_table.h"

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

/* ---- names ---- */

TEST(names_follow_the_rules)
{
	struct table t;
	table_open(&t);
	add(&t, "{\"a.b\":1,\"a\":{\"b\":2},\"A\":3,\"year\":4,\"__typename\":\"T\",\"x__double\":1.5,\"x\":1,\"1xx\":5,\"\":6,"
		"\"user-agent\":\"u\",\"a_b\":7}");
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
		AUTO_MEM char *doc = mem_printf(
			"{\"i\":%d,\"m\":%s,\"p\":%d.%02d,\"s\":\"%d\",\"big\":1234567890123456789012%d,\"f\":%d.5,\"y\":%d.0}",
			i, i == 3 ? "2.5" : "2", i, i * 10, i, i, i, i);
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
	static const char *const docs[] = { "{\"x\":1}",   "{\"x\":1.5}",	"{\"x\":\"s\"}", "{\"x\":{\"k\":1}}",
					    "{\"x\":[1]}", "{\"x\":[1,\"a\"]}", "{\"x\":true}",	 "{\"x\":99999999999999999999}",
					    "{\"x\":2}" };
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

/* All that __rest holds: `path=text;` by `path=text;`. */
static struct slice rest_of(struct table *t, struct buf *out)
{
	struct column *map = batch_column(&t->batch, field_at(t, "__rest"));
	for (uint32_t i = 0; map->values && i < map->offsets[map->values]; i++) {
		buf_append_slice(out, column_bytes_at(&map->children[0], i));
		buf_byte(out, '=');
		buf_append_slice(out, column_bytes_at(&map->children[1], i));
		buf_byte(out, ';');
	}
	return buf_slice(out);
}

/* A table whose budget is used up by `leaves` columns. */
static void table_open_narrow(struct table *t, uint32_t leaves)
{
	table_open(t);
	leaves += shredder_schema(t->s)->leaf_count;
	table_close(t);
	table_open_with(t, (struct shred_options){ .verify_all = true, .leaf_budget = leaves }, NULL);
}

TEST(of_a_key_twice_the_last_value_stands_in_the_columns_and_in_rest)
{
	static const struct {
		const char *doc, *rest;
		double x; /* 0: none */
	} rows[] = {
		{ "{\"x\":\"s\",\"x\":2.5}", "", 2.5 },
		{ "{\"x\":2.5,\"x\":\"s\"}", "x=\"s\";", 0 },
		{ "{\"x\":1E+05,\"x\":3.5}", "", 3.5 },
		{ "{\"x\":3.5,\"x\":1E+05}", "x=1E+05;", 1e5 },
		{ "{\"x\":[9],\"x\":7.5,\"u\":1}", "u=1;", 7.5 },
		{ "{\"u\":1,\"x\":4.5,\"u\":2}", "u=2;", 4.5 },
		{ "{\"u\":1,\"x\":4.5,\"\\u0075\":2}", "u=2;", 4.5 },
		{ "{\"\\u0075\":2,\"\\ud800\":3}", "u=2;", 0 },
		{ "{\"d\":{\"u\":1},\"d\":{\"y\":1.5}}", "", 0 },
		{ "{\"d\":{\"u\":1,\"v\":2},\"v\":3,\"d\":\"s\"}", "v=3;d=\"s\";", 0 },
		{ "{\"d\":{\"u\":1},\"d.u\":4,\"d\":{\"y\":1.5}}", "d.u=4;", 0 },
		{ "{\"d\":{\"u\":1,\"y\":\"s\",\"y\":2.5}}", "d.u=1;", 0 },
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct table t;
		AUTO_BUF struct buf rest;
		buf_init(&rest, BUF_MAX_DEFAULT);
		table_open_narrow(&t, 2);
		add(&t, "{\"x\":0.5,\"d\":{\"y\":0.5}}");
		add(&t, "{\"x\":12.25,\"d\":{\"y\":12.25}}");
		run(&t, 0);
		add(&t, rows[i].doc);
		run(&t, 2);
		CHECK_SLICE(rest_of(&t, &rest), slice_str(rows[i].rest));
		const struct column *x = batch_column(&t.batch, field_at(&t, "x"));
		CHECK_INT(x->values, 2 + (rows[i].x > 0));
		if (x->values > 2)
			CHECK(memcmp(x->data.data + 16, &rows[i].x, 8) == 0);
		CHECK_ALL_RESTORED(&t);
		CHECK_INT(shredder_stats(t.s).raw_rows, 1);
		table_close(&t);
	}
}

TEST(an_array_with_a_container_that_its_list_does_not_hold_goes_whole_to_json_or_rest)
{
	static const char *const docs[] = { "{\"l\":[8,3,{\"a\":1}]}", "{\"l\":[{ \"a\":{}},4]}", "{\"l\":[8,[null]]}", "{\"l\":[1,{ },[ ]]}" };
	for (uint32_t narrow = 0; narrow < 2; narrow++) {
		struct table t;
		AUTO_BUF struct buf rest;
		buf_init(&rest, BUF_MAX_DEFAULT);
		narrow ? table_open_narrow(&t, 1) : table_open(&t);
		add(&t, "{\"l\":[1,2]}");
		add(&t, "{\"l\":[3]}");
		run(&t, 0);
		for (size_t i = 0; i < sizeof docs / sizeof *docs; i++) {
			add(&t, docs[i]);
			run(&t, i + 2);
		}
		CHECK(type_is(&t, "l.element", "long"));
		CHECK_INT(batch_column(&t.batch, field_at(&t, "l"))->values, 3); /* what is empty needs no column */
		if (narrow)
			CHECK_SLICE(rest_of(&t, &rest), SLICE_LIT("l=[8,3,{\"a\":1}];l=[{ \"a\":{}},4];l=[8,[null]];"));
		else
			CHECK_INT(batch_column(&t.batch, field_at(&t, "l__json"))->values, 3);
		CHECK_ALL_RESTORED(&t);
		CHECK_INT(shredder_stats(t.s).raw_rows, 0);
		table_close(&t);
	}
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
	table_open_with(&t, (struct shred_options){ .lake = true, .key_space = 3, .source = SLICE_LIT("w1"), .verify_all = true },
			NULL);
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

TEST(event_time_may_settle_on_a_key_that_is_known_already)
{
	struct table t;
	table_open_with(&t, (struct shred_options){ .lake = true, .key_space = 3, .verify_all = true }, NULL);
	add(&t, "{\"ts\":1}");
	run(&t, 0);
	add(&t, "{\"ts\":1795255200}");
	run(&t, 1);
	CHECK_INT(t.times[0], NOW_US);
	CHECK_INT(t.times[1], NOW_US - DAY_US);
	table_close(&t);
}

TEST(keys_that_are_ids_do_not_eat_the_budget)
{
	struct table t;
	table_open(&t);
	for (int i = 0; i < 3000; i++) {
		AUTO_MEM char *doc =
			mem_printf("{\"n\":%d,\"users\":{\"id%d\":{\"name\":\"x\",\"age\":%d},\"all\":1}}", i, i, i % 90);
		add(&t, doc);
	}
	run(&t, 0);
	CHECK(type_is(&t, "users.all", "long"));
	CHECK(shredder_schema(t.s)->leaf_count < 20);
	CHECK_INT(shredder_stats(t.s).rest_rows, 3000);
	CHECK(shredder_key_count(t.s) < 100);
	CHECK_ALL_RESTORED(&t);
	CHECK_INT(shredder_stats(t.s).raw_rows, 0);
	table_close(&t);
}

TEST(a_declared_time_field_may_be_nested)
{
	struct table t;
	table_open_with(&t, (struct shred_options){ .lake = true, .key_space = 3, .verify_all = true, .time_field = "a.b" },
			NULL);
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
	struct event e[4] = { { .payload = SLICE_LIT("{\"a\":1}") },
			      { .payload = SLICE_LIT("{\"a\":2,\"b\":[1]}") },
			      { .payload = SLICE_LIT("{\"b\":[7,8]}") },
			      { .payload = SLICE_LIT("{\"b\":[]}") } };
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
