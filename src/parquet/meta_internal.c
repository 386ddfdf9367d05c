/* One table a struct drives both directions: adding a field is one line here and one in the struct. */
#include "parquet/meta_internal.h"

#include "parquet/thrift/compact.h"

enum kind {
	KIND_BOOL,
	KIND_I8,
	KIND_I16,
	KIND_I32, /* enums, too */
	KIND_I64,
	KIND_BINARY,
	KIND_STRUCT,  /* inline; .sub tells its table */
	KIND_PRESENT, /* a struct of which only the presence matters: skipped when decoded, empty when encoded */
	KIND_LIST_BOOL,
	KIND_LIST_I32,
	KIND_LIST_I64,
	KIND_LIST_BINARY,
	KIND_LIST_STRUCT
};

struct field_def {
	uint8_t id; /* ascending in a table, ≤ 31 */
	uint8_t kind;
	bool required;
	uint16_t offset; /* of the member */
	const char *name;
	const struct struct_def *sub;
};

struct struct_def {
	const char *name;
	const struct field_def *fields;
	uint32_t count;
	uint32_t size; /* of the C struct */
};

struct list { /* every META_LIST */
	void *items;
	uint32_t count;
};

#define REQ(type, id, kind, member) { id, kind, true, offsetof(struct type, member), #member, NULL }
#define OPT(type, id, kind, member) { id, kind, false, offsetof(struct type, member), #member, NULL }
#define REQ_SUB(type, id, kind, member, sub) { id, kind, true, offsetof(struct type, member), #member, &sub##_def }
#define OPT_SUB(type, id, kind, member, sub) { id, kind, false, offsetof(struct type, member), #member, &sub##_def }
#define MARK(id, label) { id, KIND_PRESENT, false, 0, label, NULL }
#define DEFINE(sub, label)                                                                                   \
	static const struct struct_def sub##_def = { label, sub##_fields, sizeof(sub##_fields) / sizeof(sub##_fields[0]), \
		                                     sizeof(struct meta_##sub) }

static const struct field_def statistics_fields[] = {
	OPT(meta_statistics, 1, KIND_BINARY, max),
	OPT(meta_statistics, 2, KIND_BINARY, min),
	OPT(meta_statistics, 3, KIND_I64, null_count),
	OPT(meta_statistics, 4, KIND_I64, distinct_count),
	OPT(meta_statistics, 5, KIND_BINARY, max_value),
	OPT(meta_statistics, 6, KIND_BINARY, min_value),
	OPT(meta_statistics, 7, KIND_BOOL, is_max_value_exact),
	OPT(meta_statistics, 8, KIND_BOOL, is_min_value_exact),
	OPT(meta_statistics, 9, KIND_I64, nan_count),
};
DEFINE(statistics, "Statistics");

static const struct field_def size_statistics_fields[] = {
	OPT(meta_size_statistics, 1, KIND_I64, unencoded_byte_array_data_bytes),
	OPT(meta_size_statistics, 2, KIND_LIST_I64, repetition_level_histogram),
	OPT(meta_size_statistics, 3, KIND_LIST_I64, definition_level_histogram),
};
DEFINE(size_statistics, "SizeStatistics");

static const struct field_def time_unit_fields[] = {
	MARK(TIME_UNIT_MILLIS, "MILLIS"),
	MARK(TIME_UNIT_MICROS, "MICROS"),
	MARK(TIME_UNIT_NANOS, "NANOS"),
};
DEFINE(time_unit, "TimeUnit");

static const struct field_def time_type_fields[] = {
	REQ(meta_time_type, 1, KIND_BOOL, is_adjusted_to_utc),
	REQ_SUB(meta_time_type, 2, KIND_STRUCT, unit, time_unit),
};
DEFINE(time_type, "TimeType");

static const struct field_def decimal_type_fields[] = {
	REQ(meta_decimal_type, 1, KIND_I32, scale),
	REQ(meta_decimal_type, 2, KIND_I32, precision),
};
DEFINE(decimal_type, "DecimalType");

static const struct field_def int_type_fields[] = {
	REQ(meta_int_type, 1, KIND_I8, bit_width),
	REQ(meta_int_type, 2, KIND_BOOL, is_signed),
};
DEFINE(int_type, "IntType");

static const struct field_def logical_type_fields[] = {
	MARK(LOGICAL_STRING, "STRING"),
	MARK(LOGICAL_MAP, "MAP"),
	MARK(LOGICAL_LIST, "LIST"),
	MARK(LOGICAL_ENUM, "ENUM"),
	OPT_SUB(meta_logical_type, LOGICAL_DECIMAL, KIND_STRUCT, decimal, decimal_type),
	MARK(LOGICAL_DATE, "DATE"),
	OPT_SUB(meta_logical_type, LOGICAL_TIME, KIND_STRUCT, time, time_type),
	OPT_SUB(meta_logical_type, LOGICAL_TIMESTAMP, KIND_STRUCT, timestamp, time_type),
	OPT_SUB(meta_logical_type, LOGICAL_INTEGER, KIND_STRUCT, integer, int_type),
	MARK(LOGICAL_UNKNOWN, "UNKNOWN"),
	MARK(LOGICAL_JSON, "JSON"),
	MARK(LOGICAL_BSON, "BSON"),
	MARK(LOGICAL_UUID, "UUID"),
	MARK(LOGICAL_FLOAT16, "FLOAT16"),
	MARK(LOGICAL_VARIANT, "VARIANT"),
	MARK(LOGICAL_GEOMETRY, "GEOMETRY"),
	MARK(LOGICAL_GEOGRAPHY, "GEOGRAPHY"),
	MARK(LOGICAL_FILE, "FILE"),
};
DEFINE(logical_type, "LogicalType");

static const struct field_def schema_element_fields[] = {
	OPT(meta_schema_element, SCHEMA_TYPE, KIND_I32, type),
	OPT(meta_schema_element, SCHEMA_TYPE_LENGTH, KIND_I32, type_length),
	OPT(meta_schema_element, SCHEMA_REPETITION, KIND_I32, repetition_type),
	REQ(meta_schema_element, SCHEMA_NAME, KIND_BINARY, name),
	OPT(meta_schema_element, SCHEMA_NUM_CHILDREN, KIND_I32, num_children),
	OPT(meta_schema_element, SCHEMA_CONVERTED_TYPE, KIND_I32, converted_type),
	OPT(meta_schema_element, SCHEMA_SCALE, KIND_I32, scale),
	OPT(meta_schema_element, SCHEMA_PRECISION, KIND_I32, precision),
	OPT(meta_schema_element, SCHEMA_FIELD_ID, KIND_I32, field_id),
	OPT_SUB(meta_schema_element, SCHEMA_LOGICAL_TYPE, KIND_STRUCT, logical_type, logical_type),
};
DEFINE(schema_element, "SchemaElement");

static const struct field_def key_value_fields[] = {
	REQ(meta_key_value, KEY_VALUE_KEY, KIND_BINARY, key),
	OPT(meta_key_value, KEY_VALUE_VALUE, KIND_BINARY, value),
};
DEFINE(key_value, "KeyValue");

static const struct field_def page_encoding_stats_fields[] = {
	REQ(meta_page_encoding_stats, 1, KIND_I32, page_type),
	REQ(meta_page_encoding_stats, 2, KIND_I32, encoding),
	REQ(meta_page_encoding_stats, 3, KIND_I32, count),
};
DEFINE(page_encoding_stats, "PageEncodingStats");

static const struct field_def column_meta_fields[] = {
	REQ(meta_column_meta, COLUMN_META_TYPE, KIND_I32, type),
	REQ(meta_column_meta, COLUMN_META_ENCODINGS, KIND_LIST_I32, encodings),
	REQ(meta_column_meta, COLUMN_META_PATH, KIND_LIST_BINARY, path_in_schema),
	REQ(meta_column_meta, COLUMN_META_CODEC, KIND_I32, codec),
	REQ(meta_column_meta, COLUMN_META_NUM_VALUES, KIND_I64, num_values),
	REQ(meta_column_meta, COLUMN_META_TOTAL_UNCOMPRESSED, KIND_I64, total_uncompressed_size),
	REQ(meta_column_meta, COLUMN_META_TOTAL_COMPRESSED, KIND_I64, total_compressed_size),
	OPT_SUB(meta_column_meta, COLUMN_META_KEY_VALUE, KIND_LIST_STRUCT, key_value_metadata, key_value),
	REQ(meta_column_meta, COLUMN_META_DATA_PAGE_OFFSET, KIND_I64, data_page_offset),
	OPT(meta_column_meta, COLUMN_META_INDEX_PAGE_OFFSET, KIND_I64, index_page_offset),
	OPT(meta_column_meta, COLUMN_META_DICTIONARY_PAGE_OFFSET, KIND_I64, dictionary_page_offset),
	OPT_SUB(meta_column_meta, COLUMN_META_STATISTICS, KIND_STRUCT, statistics, statistics),
	OPT_SUB(meta_column_meta, COLUMN_META_ENCODING_STATS, KIND_LIST_STRUCT, encoding_stats, page_encoding_stats),
	OPT(meta_column_meta, COLUMN_META_BLOOM_FILTER_OFFSET, KIND_I64, bloom_filter_offset),
	OPT(meta_column_meta, COLUMN_META_BLOOM_FILTER_LENGTH, KIND_I32, bloom_filter_length),
	OPT_SUB(meta_column_meta, COLUMN_META_SIZE_STATISTICS, KIND_STRUCT, size_statistics, size_statistics),
};
DEFINE(column_meta, "ColumnMetaData");

static const struct field_def column_chunk_fields[] = {
	OPT(meta_column_chunk, COLUMN_CHUNK_FILE_PATH, KIND_BINARY, file_path),
	REQ(meta_column_chunk, COLUMN_CHUNK_FILE_OFFSET, KIND_I64, file_offset),
	OPT_SUB(meta_column_chunk, COLUMN_CHUNK_META_DATA, KIND_STRUCT, meta_data, column_meta),
	OPT(meta_column_chunk, COLUMN_CHUNK_OFFSET_INDEX_OFFSET, KIND_I64, offset_index_offset),
	OPT(meta_column_chunk, COLUMN_CHUNK_OFFSET_INDEX_LENGTH, KIND_I32, offset_index_length),
	OPT(meta_column_chunk, COLUMN_CHUNK_COLUMN_INDEX_OFFSET, KIND_I64, column_index_offset),
	OPT(meta_column_chunk, COLUMN_CHUNK_COLUMN_INDEX_LENGTH, KIND_I32, column_index_length),
	MARK(COLUMN_CHUNK_CRYPTO, "crypto_metadata"),
	OPT(meta_column_chunk, COLUMN_CHUNK_ENCRYPTED_META_DATA, KIND_BINARY, encrypted_column_metadata),
};
DEFINE(column_chunk, "ColumnChunk");

static const struct field_def sorting_column_fields[] = {
	REQ(meta_sorting_column, 1, KIND_I32, column_idx),
	REQ(meta_sorting_column, 2, KIND_BOOL, descending),
	REQ(meta_sorting_column, 3, KIND_BOOL, nulls_first),
};
DEFINE(sorting_column, "SortingColumn");

static const struct field_def row_group_fields[] = {
	REQ_SUB(meta_row_group, ROW_GROUP_COLUMNS, KIND_LIST_STRUCT, columns, column_chunk),
	REQ(meta_row_group, ROW_GROUP_TOTAL_BYTE_SIZE, KIND_I64, total_byte_size),
	REQ(meta_row_group, ROW_GROUP_NUM_ROWS, KIND_I64, num_rows),
	OPT_SUB(meta_row_group, ROW_GROUP_SORTING_COLUMNS, KIND_LIST_STRUCT, sorting_columns, sorting_column),
	OPT(meta_row_group, ROW_GROUP_FILE_OFFSET, KIND_I64, file_offset),
	OPT(meta_row_group, ROW_GROUP_TOTAL_COMPRESSED_SIZE, KIND_I64, total_compressed_size),
	OPT(meta_row_group, ROW_GROUP_ORDINAL, KIND_I16, ordinal),
};
DEFINE(row_group, "RowGroup");

static const struct field_def column_order_fields[] = {
	MARK(COLUMN_ORDER_TYPE, "TYPE_ORDER"),
	MARK(COLUMN_ORDER_IEEE754, "IEEE_754_TOTAL_ORDER"),
	MARK(COLUMN_ORDER_INT96, "INT96_TIMESTAMP_ORDER"),
};
DEFINE(column_order, "ColumnOrder");

static const struct field_def file_fields[] = {
	REQ(meta_file, FILE_VERSION, KIND_I32, version),
	REQ_SUB(meta_file, FILE_SCHEMA, KIND_LIST_STRUCT, schema, schema_element),
	REQ(meta_file, FILE_NUM_ROWS, KIND_I64, num_rows),
	REQ_SUB(meta_file, FILE_ROW_GROUPS, KIND_LIST_STRUCT, row_groups, row_group),
	OPT_SUB(meta_file, FILE_KEY_VALUE, KIND_LIST_STRUCT, key_value_metadata, key_value),
	OPT(meta_file, FILE_CREATED_BY, KIND_BINARY, created_by),
	OPT_SUB(meta_file, FILE_COLUMN_ORDERS, KIND_LIST_STRUCT, column_orders, column_order),
	MARK(FILE_ENCRYPTION, "encryption_algorithm"),
	OPT(meta_file, FILE_SIGNING_KEY, KIND_BINARY, footer_signing_key_metadata),
};
DEFINE(file, "FileMetaData");

static const struct field_def data_page_fields[] = {
	REQ(meta_data_page, 1, KIND_I32, num_values),
	REQ(meta_data_page, 2, KIND_I32, encoding),
	REQ(meta_data_page, 3, KIND_I32, definition_level_encoding),
	REQ(meta_data_page, 4, KIND_I32, repetition_level_encoding),
	OPT_SUB(meta_data_page, DATA_PAGE_STATISTICS, KIND_STRUCT, statistics, statistics),
};
DEFINE(data_page, "DataPageHeader");

static const struct field_def dictionary_page_fields[] = {
	REQ(meta_dictionary_page, 1, KIND_I32, num_values),
	REQ(meta_dictionary_page, 2, KIND_I32, encoding),
	OPT(meta_dictionary_page, DICTIONARY_PAGE_IS_SORTED, KIND_BOOL, is_sorted),
};
DEFINE(dictionary_page, "DictionaryPageHeader");

static const struct field_def data_page_v2_fields[] = {
	REQ(meta_data_page_v2, 1, KIND_I32, num_values),
	REQ(meta_data_page_v2, 2, KIND_I32, num_nulls),
	REQ(meta_data_page_v2, 3, KIND_I32, num_rows),
	REQ(meta_data_page_v2, 4, KIND_I32, encoding),
	REQ(meta_data_page_v2, 5, KIND_I32, definition_levels_byte_length),
	REQ(meta_data_page_v2, 6, KIND_I32, repetition_levels_byte_length),
	OPT(meta_data_page_v2, DATA_PAGE_V2_IS_COMPRESSED, KIND_BOOL, is_compressed),
	OPT_SUB(meta_data_page_v2, DATA_PAGE_V2_STATISTICS, KIND_STRUCT, statistics, statistics),
};
DEFINE(data_page_v2, "DataPageHeaderV2");

static const struct field_def page_header_fields[] = {
	REQ(meta_page_header, PAGE_HEADER_TYPE, KIND_I32, type),
	REQ(meta_page_header, PAGE_HEADER_UNCOMPRESSED_SIZE, KIND_I32, uncompressed_page_size),
	REQ(meta_page_header, PAGE_HEADER_COMPRESSED_SIZE, KIND_I32, compressed_page_size),
	OPT(meta_page_header, PAGE_HEADER_CRC, KIND_I32, crc),
	OPT_SUB(meta_page_header, PAGE_HEADER_DATA, KIND_STRUCT, data, data_page),
	MARK(PAGE_HEADER_INDEX, "index_page_header"),
	OPT_SUB(meta_page_header, PAGE_HEADER_DICTIONARY, KIND_STRUCT, dictionary, dictionary_page),
	OPT_SUB(meta_page_header, PAGE_HEADER_DATA_V2, KIND_STRUCT, data_v2, data_page_v2),
};
DEFINE(page_header, "PageHeader");

static const struct field_def page_location_fields[] = {
	REQ(meta_page_location, 1, KIND_I64, offset),
	REQ(meta_page_location, 2, KIND_I32, compressed_page_size),
	REQ(meta_page_location, 3, KIND_I64, first_row_index),
};
DEFINE(page_location, "PageLocation");

static const struct field_def offset_index_fields[] = {
	REQ_SUB(meta_offset_index, OFFSET_INDEX_PAGES, KIND_LIST_STRUCT, page_locations, page_location),
	OPT(meta_offset_index, OFFSET_INDEX_UNENCODED, KIND_LIST_I64, unencoded_byte_array_data_bytes),
};
DEFINE(offset_index, "OffsetIndex");

static const struct field_def column_index_fields[] = {
	REQ(meta_column_index, COLUMN_INDEX_NULL_PAGES, KIND_LIST_BOOL, null_pages),
	REQ(meta_column_index, COLUMN_INDEX_MIN, KIND_LIST_BINARY, min_values),
	REQ(meta_column_index, COLUMN_INDEX_MAX, KIND_LIST_BINARY, max_values),
	REQ(meta_column_index, COLUMN_INDEX_ORDER, KIND_I32, boundary_order),
	OPT(meta_column_index, COLUMN_INDEX_NULL_COUNTS, KIND_LIST_I64, null_counts),
	OPT(meta_column_index, COLUMN_INDEX_REP_HISTOGRAMS, KIND_LIST_I64, repetition_level_histograms),
	OPT(meta_column_index, COLUMN_INDEX_DEF_HISTOGRAMS, KIND_LIST_I64, definition_level_histograms),
	OPT(meta_column_index, COLUMN_INDEX_NAN_COUNTS, KIND_LIST_I64, nan_counts),
};
DEFINE(column_index, "ColumnIndex");

static const struct field_def bloom_choice_fields[] = {
	MARK(BLOOM_CHOICE_KNOWN, "BLOCK, XXHASH or UNCOMPRESSED"),
};
DEFINE(bloom_choice, "BloomFilterAlgorithm, Hash or Compression");

static const struct field_def bloom_header_fields[] = {
	REQ(meta_bloom_header, BLOOM_HEADER_NUM_BYTES, KIND_I32, num_bytes),
	REQ_SUB(meta_bloom_header, BLOOM_HEADER_ALGORITHM, KIND_STRUCT, algorithm, bloom_choice),
	REQ_SUB(meta_bloom_header, BLOOM_HEADER_HASH, KIND_STRUCT, hash, bloom_choice),
	REQ_SUB(meta_bloom_header, BLOOM_HEADER_COMPRESSION, KIND_STRUCT, compression, bloom_choice),
};
DEFINE(bloom_header, "BloomFilterHeader");

/* ---- decode ---- */

struct decoder {
	struct compact_reader in;
	struct arena *arena;
	size_t budget; /* bytes that lists may still take */
	struct err *err;
};

static rc_t decode_struct(struct decoder *d, const struct struct_def *def, void *out);

static rc_t decode_bad(struct decoder *d, const struct struct_def *def, const char *field)
{
	if (d->in.cut)
		return err_set(d->err, RC_AGAIN, "Parquet metadata is cut off in %s.%s: the file was not written completely", def->name, field);
	return err_set(d->err, RC_CORRUPT, "Parquet metadata is damaged at %s.%s: it is not valid Thrift", def->name, field);
}

static rc_t list_alloc(struct decoder *d, uint32_t count, size_t item_size, void **ret)
{
	size_t bytes = (size_t)count * item_size;
	if (bytes > d->budget)
		return err_set(d->err, RC_LIMIT, "Parquet metadata needs more than the allowed memory: raise the limit if the file can be trusted");
	d->budget -= bytes;
	*ret = count ? arena_zalloc(d->arena, bytes) : NULL;
	return RC_OK;
}

/* The wire type that an element or field of this kind must have. */
static bool type_fits(uint8_t kind, enum compact_type t)
{
	switch (kind) {
	case KIND_BOOL:
	case KIND_LIST_BOOL:
		return t == COMPACT_TRUE || t == COMPACT_FALSE;
	case KIND_I8:
		return t == COMPACT_I8;
	case KIND_I16:
		return t == COMPACT_I16;
	case KIND_I32:
	case KIND_LIST_I32:
		return t == COMPACT_I32;
	case KIND_I64:
	case KIND_LIST_I64:
		return t == COMPACT_I64;
	case KIND_BINARY:
	case KIND_LIST_BINARY:
		return t == COMPACT_BINARY;
	default:
		return t == COMPACT_STRUCT;
	}
}

static int32_t range_i32(struct compact_reader *in)
{
	int64_t v = compact_zigzag(in);
	if (v < INT32_MIN || v > INT32_MAX) {
		in->bad = true;
		in->pos = in->end;
		return 0;
	}
	return (int32_t)v;
}

static rc_t decode_list(struct decoder *d, const struct struct_def *def, const struct field_def *f, void *member)
{
	enum compact_type type;
	uint32_t count = compact_list(&d->in, &type);
	if (d->in.bad || (count && !type_fits(f->kind, type)))
		return decode_bad(d, def, f->name);
	size_t size = f->kind == KIND_LIST_BOOL     ? sizeof(bool)
		      : f->kind == KIND_LIST_I32    ? sizeof(int32_t)
		      : f->kind == KIND_LIST_I64    ? sizeof(int64_t)
		      : f->kind == KIND_LIST_BINARY ? sizeof(struct slice)
						    : f->sub->size;
	void *items = NULL;
	TRY(list_alloc(d, count, size, &items));
	for (uint32_t i = 0; i < count; i++) {
		switch (f->kind) {
		case KIND_LIST_BOOL:
			((bool *)items)[i] = compact_byte(&d->in) == COMPACT_TRUE;
			break;
		case KIND_LIST_I32:
			((int32_t *)items)[i] = range_i32(&d->in);
			break;
		case KIND_LIST_I64:
			((int64_t *)items)[i] = compact_zigzag(&d->in);
			break;
		case KIND_LIST_BINARY:
			((struct slice *)items)[i] = compact_binary(&d->in);
			break;
		default:
			TRY(decode_struct(d, f->sub, (uint8_t *)items + i * size));
		}
	}
	if (d->in.bad)
		return decode_bad(d, def, f->name);
	*(struct list *)member = (struct list){ items, count };
	return RC_OK;
}

static rc_t decode_member(struct decoder *d, const struct struct_def *def, const struct field_def *f, enum compact_type type, void *member)
{
	struct compact_reader *in = &d->in;
	switch (f->kind) {
	case KIND_BOOL:
		*(bool *)member = type == COMPACT_TRUE;
		break;
	case KIND_I8:
		*(int32_t *)member = (int8_t)compact_byte(in);
		break;
	case KIND_I16:
	case KIND_I32:
		*(int32_t *)member = range_i32(in);
		break;
	case KIND_I64:
		*(int64_t *)member = compact_zigzag(in);
		break;
	case KIND_BINARY:
		*(struct slice *)member = compact_binary(in);
		break;
	case KIND_STRUCT:
		return decode_struct(d, f->sub, member);
	case KIND_PRESENT:
		compact_skip(in, type);
		break;
	default:
		return decode_list(d, def, f, member);
	}
	return in->bad ? decode_bad(d, def, f->name) : RC_OK;
}

/* Recursion follows the tables (depth ≤ 7), never the input. */
static rc_t decode_struct(struct decoder *d, const struct struct_def *def, void *out)
{
	int32_t id = 0;
	enum compact_type type;
	uint32_t has = 0, at = 0;
	memset(out, 0, def->size);
	while (compact_field(&d->in, &id, &type)) {
		if (at >= def->count || def->fields[at].id > id)
			at = 0;
		while (at < def->count && def->fields[at].id < id)
			at++;
		const struct field_def *f = at < def->count && def->fields[at].id == id ? &def->fields[at] : NULL;
		bool fits = f && (f->kind >= KIND_LIST_BOOL ? type == COMPACT_LIST || type == COMPACT_SET : type_fits(f->kind, type));
		/* An optional field of another type is somebody's private use of its number: not ours. */
		if (f && (fits || f->required)) {
			if (!fits)
				return decode_bad(d, def, f->name);
			TRY(decode_member(d, def, f, type, (uint8_t *)out + f->offset));
			has |= 1u << id;
		} else {
			compact_skip(&d->in, type);
		}
	}
	if (d->in.bad)
		return decode_bad(d, def, "(end)");
	for (uint32_t i = 0; i < def->count; i++) {
		if (def->fields[i].required && !(has >> def->fields[i].id & 1))
			return err_set(d->err, RC_CORRUPT, "Parquet metadata is damaged: required field %s.%s is missing", def->name,
				       def->fields[i].name);
	}
	*(uint32_t *)out = has;
	return RC_OK;
}

static rc_t decode_whole(struct slice bytes, const struct struct_def *def, struct arena *a, size_t max_bytes, void *ret, struct err *reterr)
{
	struct decoder d = { .arena = a, .budget = max_bytes, .err = reterr };
	compact_reader_init(&d.in, bytes);
	rc_t rc = decode_struct(&d, def, ret);
	if (rc == RC_AGAIN) { /* all the bytes were there: being cut off is damage */
		rc = RC_CORRUPT;
		if (reterr)
			reterr->rc = rc;
	}
	return rc;
}

rc_t meta_file_decode(struct slice bytes, struct arena *a, size_t max_bytes, struct meta_file *ret, struct err *reterr)
{
	return decode_whole(bytes, &file_def, a, max_bytes, ret, reterr);
}

rc_t meta_column_index_decode(struct slice bytes, struct arena *a, size_t max_bytes, struct meta_column_index *ret, struct err *reterr)
{
	return decode_whole(bytes, &column_index_def, a, max_bytes, ret, reterr);
}

rc_t meta_offset_index_decode(struct slice bytes, struct arena *a, size_t max_bytes, struct meta_offset_index *ret, struct err *reterr)
{
	return decode_whole(bytes, &offset_index_def, a, max_bytes, ret, reterr);
}

rc_t meta_page_header_decode(struct slice bytes, struct meta_page_header *ret, size_t *ret_len, struct err *reterr)
{
	struct decoder d = { .err = reterr };
	compact_reader_init(&d.in, bytes);
	TRY(decode_struct(&d, &page_header_def, ret));
	if (!META_HAS(&ret->data_v2, DATA_PAGE_V2_IS_COMPRESSED))
		ret->data_v2.is_compressed = true;
	*ret_len = (size_t)(d.in.pos - bytes.data);
	return RC_OK;
}

rc_t meta_bloom_header_decode(struct slice bytes, struct meta_bloom_header *ret, size_t *ret_len, struct err *reterr)
{
	struct decoder d = { .err = reterr };
	compact_reader_init(&d.in, bytes);
	TRY(decode_struct(&d, &bloom_header_def, ret));
	*ret_len = (size_t)(d.in.pos - bytes.data);
	return RC_OK;
}

/* ---- encode ---- */

static void encode_struct(struct compact_writer *w, const struct struct_def *def, const void *in);

static const uint8_t wire_type[] = { /* of a field or, for lists, of the elements */
	[KIND_BOOL] = COMPACT_TRUE,
	[KIND_I8] = COMPACT_I8,
	[KIND_I16] = COMPACT_I16,
	[KIND_I32] = COMPACT_I32,
	[KIND_I64] = COMPACT_I64,
	[KIND_BINARY] = COMPACT_BINARY,
	[KIND_STRUCT] = COMPACT_STRUCT,
	[KIND_PRESENT] = COMPACT_STRUCT,
	[KIND_LIST_BOOL] = COMPACT_TRUE,
	[KIND_LIST_I32] = COMPACT_I32,
	[KIND_LIST_I64] = COMPACT_I64,
	[KIND_LIST_BINARY] = COMPACT_BINARY,
	[KIND_LIST_STRUCT] = COMPACT_STRUCT
};

static void encode_list(struct compact_writer *w, const struct field_def *f, const struct list *list)
{
	compact_put_field(w, f->id, COMPACT_LIST);
	compact_put_list(w, (enum compact_type)wire_type[f->kind], list->count);
	for (uint32_t i = 0; i < list->count; i++) {
		switch (f->kind) {
		case KIND_LIST_BOOL:
			buf_byte(w->out, ((const bool *)list->items)[i] ? COMPACT_TRUE : COMPACT_FALSE);
			break;
		case KIND_LIST_I32:
			compact_put_zigzag(w, ((const int32_t *)list->items)[i]);
			break;
		case KIND_LIST_I64:
			compact_put_zigzag(w, ((const int64_t *)list->items)[i]);
			break;
		case KIND_LIST_BINARY:
			compact_put_binary(w, ((const struct slice *)list->items)[i]);
			break;
		default:
			encode_struct(w, f->sub, (const uint8_t *)list->items + (size_t)i * f->sub->size);
		}
	}
}

static void encode_member(struct compact_writer *w, const struct field_def *f, const void *member)
{
	if (f->kind >= KIND_LIST_BOOL) {
		encode_list(w, f, member);
		return;
	}
	enum compact_type type = (enum compact_type)wire_type[f->kind];
	if (f->kind == KIND_BOOL && !*(const bool *)member)
		type = COMPACT_FALSE;
	compact_put_field(w, f->id, type);
	switch (f->kind) {
	case KIND_BOOL:
		break;
	case KIND_I8:
		buf_byte(w->out, (uint8_t)*(const int32_t *)member);
		break;
	case KIND_I16:
	case KIND_I32:
		compact_put_zigzag(w, *(const int32_t *)member);
		break;
	case KIND_I64:
		compact_put_zigzag(w, *(const int64_t *)member);
		break;
	case KIND_BINARY:
		compact_put_binary(w, *(const struct slice *)member);
		break;
	case KIND_STRUCT:
		encode_struct(w, f->sub, member);
		break;
	default: /* KIND_PRESENT */
		compact_struct_begin(w);
		compact_struct_end(w);
	}
}

static void encode_struct(struct compact_writer *w, const struct struct_def *def, const void *in)
{
	uint32_t has = *(const uint32_t *)in;
	compact_struct_begin(w);
	for (uint32_t i = 0; i < def->count; i++) {
		const struct field_def *f = &def->fields[i];
		if (f->required || (has >> f->id & 1))
			encode_member(w, f, (const uint8_t *)in + f->offset);
	}
	compact_struct_end(w);
}

static void encode_whole(const struct struct_def *def, const void *in, struct buf *out)
{
	struct compact_writer w;
	compact_writer_init(&w, out);
	encode_struct(&w, def, in);
}

void meta_file_encode(const struct meta_file *m, struct buf *out)
{
	encode_whole(&file_def, m, out);
}

void meta_column_index_encode(const struct meta_column_index *m, struct buf *out)
{
	encode_whole(&column_index_def, m, out);
}

void meta_offset_index_encode(const struct meta_offset_index *m, struct buf *out)
{
	encode_whole(&offset_index_def, m, out);
}

void meta_page_header_encode(const struct meta_page_header *m, struct buf *out)
{
	encode_whole(&page_header_def, m, out);
}

void meta_bloom_header_encode(const struct meta_bloom_header *m, struct buf *out)
{
	encode_whole(&bloom_header_def, m, out);
}
