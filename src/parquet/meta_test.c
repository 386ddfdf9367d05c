#include "parquet/meta_internal.h"

#include "base/test.h"
#include "parquet/thrift/compact.h"

#define BUDGET ((size_t)1 << 20)

static struct meta_file sample(void)
{
	static struct meta_schema_element elements[3];
	static struct meta_key_value kv[2];
	static struct meta_row_group group;
	static struct meta_column_chunk chunk;
	static int32_t encodings[2] = { ENCODING_PLAIN, ENCODING_RLE };
	static struct slice path[1];
	static struct meta_column_order order;
	path[0] = SLICE_LIT("when");
	elements[0] = (struct meta_schema_element){ .name = SLICE_LIT("schema"), .num_children = 1 };
	META_SET(&elements[0], SCHEMA_NUM_CHILDREN);
	elements[1] = (struct meta_schema_element){ .name = SLICE_LIT("when"), .type = PARQUET_INT64, .field_id = 70000 };
	META_SET(&elements[1], SCHEMA_TYPE);
	META_SET(&elements[1], SCHEMA_FIELD_ID);
	META_SET(&elements[1], SCHEMA_LOGICAL_TYPE);
	META_SET(&elements[1].logical_type, LOGICAL_TIMESTAMP);
	elements[1].logical_type.timestamp.is_adjusted_to_utc = true;
	META_SET(&elements[1].logical_type.timestamp.unit, TIME_UNIT_MICROS);
	elements[2] = (struct meta_schema_element){ .name = SLICE_LIT("x"), .type = PARQUET_INT32 };
	META_SET(&elements[2], SCHEMA_TYPE);
	META_SET(&elements[2], SCHEMA_LOGICAL_TYPE);
	META_SET(&elements[2].logical_type, LOGICAL_INTEGER);
	elements[2].logical_type.integer = (struct meta_int_type){ .bit_width = 8, .is_signed = true };
	kv[0] = (struct meta_key_value){ .key = SLICE_LIT("k"), .value = SLICE_LIT("v") };
	META_SET(&kv[0], KEY_VALUE_VALUE);
	kv[1] = (struct meta_key_value){ .key = SLICE_LIT("only key") };
	chunk = (struct meta_column_chunk){ .meta_data = { .type = PARQUET_INT64, .codec = PARQUET_ZSTD, .num_values = 1ll << 40 } };
	META_SET(&chunk, COLUMN_CHUNK_META_DATA);
	chunk.meta_data.encodings.items = encodings;
	chunk.meta_data.encodings.count = 2;
	chunk.meta_data.path_in_schema.items = path;
	chunk.meta_data.path_in_schema.count = 1;
	META_SET(&chunk.meta_data, COLUMN_META_STATISTICS);
	META_SET(&chunk.meta_data.statistics, STATISTICS_NULL_COUNT);
	META_SET(&chunk.meta_data.statistics, STATISTICS_MIN_VALUE);
	META_SET(&chunk.meta_data.statistics, STATISTICS_IS_MIN_VALUE_EXACT);
	chunk.meta_data.statistics.null_count = -1;
	chunk.meta_data.statistics.min_value = SLICE_LIT("\0\1\2");
	chunk.meta_data.statistics.is_min_value_exact = true;
	group = (struct meta_row_group){ .num_rows = 5, .ordinal = 300 };
	META_SET(&group, ROW_GROUP_ORDINAL);
	group.columns.items = &chunk;
	group.columns.count = 1;
	order = (struct meta_column_order){ 0 };
	META_SET(&order, COLUMN_ORDER_TYPE);
	struct meta_file m = { .version = 2, .num_rows = INT64_MIN, .created_by = SLICE_LIT("me") };
	m.schema.items = elements;
	m.schema.count = 3;
	m.row_groups.items = &group;
	m.row_groups.count = 1;
	m.key_value_metadata.items = kv;
	m.key_value_metadata.count = 2;
	m.column_orders.items = &order;
	m.column_orders.count = 1;
	META_SET(&m, FILE_KEY_VALUE);
	META_SET(&m, FILE_CREATED_BY);
	META_SET(&m, FILE_COLUMN_ORDERS);
	return m;
}

TEST(file_metadata_comes_back_as_written)
{
	struct meta_file m = sample(), got;
	struct buf out;
	struct arena a;
	struct err err;
	buf_init(&out, BUDGET);
	arena_init(&a);
	meta_file_encode(&m, &out);
	CHECK_OK(meta_file_decode(buf_slice(&out), &a, BUDGET, &got, &err), err);
	CHECK_INT(got.num_rows, INT64_MIN);
	CHECK_INT(got.schema.count, 3);
	CHECK_INT(got.schema.items[1].field_id, 70000);
	CHECK(META_HAS(&got.schema.items[1].logical_type, LOGICAL_TIMESTAMP));
	CHECK(got.schema.items[1].logical_type.timestamp.is_adjusted_to_utc);
	CHECK(META_HAS(&got.schema.items[1].logical_type.timestamp.unit, TIME_UNIT_MICROS));
	CHECK(!META_HAS(&got.schema.items[1], SCHEMA_CONVERTED_TYPE));
	CHECK_INT(got.schema.items[2].logical_type.integer.bit_width, 8);
	CHECK_SLICE(got.key_value_metadata.items[0].value, SLICE_LIT("v"));
	CHECK(!META_HAS(&got.key_value_metadata.items[1], KEY_VALUE_VALUE));
	const struct meta_column_meta *c = &got.row_groups.items[0].columns.items[0].meta_data;
	CHECK_INT(c->num_values, 1ll << 40);
	CHECK_INT(c->encodings.items[1], ENCODING_RLE);
	CHECK_INT(c->statistics.null_count, -1);
	CHECK(c->statistics.is_min_value_exact);
	CHECK_SLICE(c->statistics.min_value, SLICE_LIT("\0\1\2"));
	CHECK(!META_HAS(&c->statistics, STATISTICS_MAX_VALUE));
	CHECK_INT(got.row_groups.items[0].ordinal, 300);
	struct buf again;
	buf_init(&again, BUDGET);
	meta_file_encode(&got, &again);
	CHECK_SLICE(buf_slice(&again), buf_slice(&out));
	buf_free(&again);
	buf_free(&out);
	arena_free(&a);
}

TEST(every_cut_of_a_footer_is_refused)
{
	struct meta_file m = sample(), got;
	struct buf out;
	struct err err;
	buf_init(&out, BUDGET);
	meta_file_encode(&m, &out);
	for (size_t n = 0; n < out.len; n++) {
		struct arena a;
		arena_init(&a);
		uint8_t *copy = mem_alloc(n + 1); /* exact size, for the sanitizer */
		memcpy(copy, out.data, n);
		CHECK_RC(meta_file_decode(slice_of(copy, n), &a, BUDGET, &got, &err), RC_CORRUPT);
		free(copy);
		arena_free(&a);
	}
	buf_free(&out);
}

TEST(a_page_header_asks_for_more_bytes_until_it_is_whole)
{
	struct meta_page_header h = { .type = PAGE_DATA_V2, .uncompressed_page_size = 1 << 30, .compressed_page_size = 77, .crc = -5 }, got;
	META_SET(&h, PAGE_HEADER_CRC);
	META_SET(&h, PAGE_HEADER_DATA_V2);
	h.data_v2 = (struct meta_data_page_v2){ .num_values = 9, .encoding = ENCODING_RLE_DICTIONARY, .definition_levels_byte_length = 3 };
	struct buf out;
	struct err err;
	size_t len = 0;
	buf_init(&out, BUDGET);
	meta_page_header_encode(&h, &out);
	for (size_t n = 0; n < out.len; n++)
		CHECK_RC(meta_page_header_decode(slice_of(out.data, n), &got, &len, &err), RC_AGAIN);
	size_t want = out.len;
	buf_append_str(&out, "the page");
	CHECK_OK(meta_page_header_decode(buf_slice(&out), &got, &len, &err), err);
	CHECK_INT(len, want);
	CHECK_INT(got.crc, -5);
	CHECK_INT(got.data_v2.definition_levels_byte_length, 3);
	CHECK(got.data_v2.is_compressed); /* absent means true */
	CHECK(!META_HAS(&got, PAGE_HEADER_DATA));
	buf_free(&out);
}

TEST(page_indexes_come_back_as_written)
{
	struct meta_page_location pages[20];
	struct slice values[20];
	bool nulls[20];
	int64_t counts[20];
	for (int i = 0; i < 20; i++) {
		pages[i] = (struct meta_page_location){ .offset = 4 + i * 100ll, .compressed_page_size = i, .first_row_index = i * 7ll };
		values[i] = i % 3 ? SLICE_LIT("value") : SLICE_LIT("");
		nulls[i] = i % 3 == 0;
		counts[i] = i;
	}
	struct meta_offset_index o = { .page_locations = { pages, 20 } }, got_o;
	struct meta_column_index c = { .null_pages = { nulls, 20 }, .min_values = { values, 20 }, .max_values = { values, 20 },
				       .boundary_order = BOUNDARY_ASCENDING, .null_counts = { counts, 20 } }, got_c;
	META_SET(&c, COLUMN_INDEX_NULL_COUNTS);
	struct buf out;
	struct arena a;
	struct err err;
	buf_init(&out, BUDGET);
	arena_init(&a);
	meta_offset_index_encode(&o, &out);
	CHECK_OK(meta_offset_index_decode(buf_slice(&out), &a, BUDGET, &got_o, &err), err);
	CHECK_INT(got_o.page_locations.count, 20);
	CHECK_INT(got_o.page_locations.items[19].first_row_index, 133);
	buf_reset(&out);
	meta_column_index_encode(&c, &out);
	CHECK_OK(meta_column_index_decode(buf_slice(&out), &a, BUDGET, &got_c, &err), err);
	CHECK(got_c.null_pages.items[0] && !got_c.null_pages.items[1]);
	CHECK_SLICE(got_c.max_values.items[19], SLICE_LIT("value"));
	CHECK_INT(got_c.null_counts.items[19], 19);
	CHECK(!META_HAS(&got_c, COLUMN_INDEX_NAN_COUNTS));
	buf_free(&out);
	arena_free(&a);
}

TEST(unknown_fields_of_any_type_are_passed_over)
{
	struct meta_offset_index got;
	struct buf out;
	struct compact_writer w;
	struct arena a;
	struct err err;
	buf_init(&out, BUDGET);
	arena_init(&a);
	compact_writer_init(&w, &out);
	compact_struct_begin(&w);
	compact_put_field(&w, 1, COMPACT_LIST);
	compact_put_list(&w, COMPACT_STRUCT, 0);
	compact_put_field(&w, 900, COMPACT_MAP);
	buf_varint(&out, 2);
	buf_byte(&out, COMPACT_TRUE << 4 | COMPACT_STRUCT);
	for (int i = 0; i < 2; i++) {
		buf_byte(&out, 1);
		compact_struct_begin(&w);
		compact_put_field(&w, 4, COMPACT_DOUBLE);
		buf_u64(&out, 0);
		compact_put_field(&w, 5, COMPACT_FALSE);
		compact_struct_end(&w);
	}
	compact_put_field(&w, 901, COMPACT_SET);
	compact_put_list(&w, COMPACT_BINARY, 40);
	for (int i = 0; i < 40; i++)
		compact_put_binary(&w, SLICE_LIT("x"));
	compact_put_field(&w, 2, COMPACT_I32); /* ours is a list: somebody's private use */
	compact_put_zigzag(&w, 7);
	compact_struct_end(&w);
	CHECK_OK(meta_offset_index_decode(buf_slice(&out), &a, BUDGET, &got, &err), err);
	CHECK(!META_HAS(&got, OFFSET_INDEX_UNENCODED));
	buf_free(&out);
	arena_free(&a);
}

TEST(hostile_counts_and_depths_are_refused)
{
	struct meta_offset_index got;
	struct arena a;
	struct err err;
	struct buf out;
	arena_init(&a);
	buf_init(&out, (size_t)8 << 20);
	/* a list that says it has 2^31 elements */
	static const uint8_t many[] = { 0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07 };
	CHECK_RC(meta_offset_index_decode(slice_of(many, sizeof many), &a, BUDGET, &got, &err), RC_CORRUPT);
	/* a million structs of one byte each want more than the budget */
	static const uint8_t head[] = { 0x19, 0xfc, 0x80, 0x80, 0x40 };
	buf_append(&out, head, sizeof head);
	for (int i = 0; i < 1 << 20; i++)
		buf_byte(&out, 0);
	CHECK_RC(meta_offset_index_decode(buf_slice(&out), &a, BUDGET, &got, &err), RC_LIMIT);
	/* an unknown field that is nested without end */
	buf_reset(&out);
	buf_byte(&out, 0x9c);
	for (int i = 0; i < 1000000; i++)
		buf_byte(&out, 0x1c);
	CHECK_RC(meta_offset_index_decode(buf_slice(&out), &a, BUDGET, &got, &err), RC_CORRUPT);
	/* a varint without end */
	buf_reset(&out);
	buf_append_str(&out, "\x26");
	for (int i = 0; i < 100; i++)
		buf_byte(&out, 0xff);
	CHECK_RC(meta_offset_index_decode(buf_slice(&out), &a, BUDGET, &got, &err), RC_CORRUPT);
	/* a required field is missing */
	CHECK_RC(meta_offset_index_decode(slice_of("", 1), &a, BUDGET, &got, &err), RC_CORRUPT);
	CHECK(strstr(err.text, "OffsetIndex.page_locations"));
	buf_free(&out);
	arena_free(&a);
}

TEST_MAIN()
