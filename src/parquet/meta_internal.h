/* The metadata of a Parquet file as C structs, shared by writer and reader, with encode and decode (parquet.thrift of the
 * Apache Parquet format).
 *
 * The file:  "PAR1"  row groups (column chunks = page header, page, …)  indexes, filters  FileMetaData  u32 its length  "PAR1"
 *
 * Each struct starts with `has`, one bit for each field id that is set: META_HAS(&s, STATISTICS_NULL_COUNT). The writer sets the
 * bits of optional fields with META_SET; required fields are always written and their bits need no setting. The decoder sets a
 * bit for each field it met, refuses structs that lack required fields, and skips fields it does not know.
 * A union (logical type, column order) is a struct of which exactly one field is set.
 *
 * Memory: lists are allocated from the arena; slices borrow the decoded bytes.
 */
#ifndef PARQUET_META_INTERNAL_H
#define PARQUET_META_INTERNAL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "parquet/codec.h"

#define META_HAS(s, id) (((s)->has >> (id)) & 1)
#define META_SET(s, id) ((s)->has |= 1u << (id))
#define META_LIST(type)         \
	struct {                \
		type *items;    \
		uint32_t count; \
	}

/* Numbers of the format. */
enum parquet_type {
	PARQUET_BOOLEAN = 0,
	PARQUET_INT32 = 1,
	PARQUET_INT64 = 2,
	PARQUET_INT96 = 3,
	PARQUET_FLOAT = 4,
	PARQUET_DOUBLE = 5,
	PARQUET_BYTE_ARRAY = 6,
	PARQUET_FIXED_LEN_BYTE_ARRAY = 7
};

enum parquet_converted {
	CONVERTED_UTF8 = 0,
	CONVERTED_MAP = 1,
	CONVERTED_MAP_KEY_VALUE = 2,
	CONVERTED_LIST = 3,
	CONVERTED_ENUM = 4,
	CONVERTED_DECIMAL = 5,
	CONVERTED_DATE = 6,
	CONVERTED_TIME_MILLIS = 7,
	CONVERTED_TIME_MICROS = 8,
	CONVERTED_TIMESTAMP_MILLIS = 9,
	CONVERTED_TIMESTAMP_MICROS = 10,
	CONVERTED_UINT_8 = 11,
	CONVERTED_UINT_16 = 12,
	CONVERTED_UINT_32 = 13,
	CONVERTED_UINT_64 = 14,
	CONVERTED_INT_8 = 15,
	CONVERTED_INT_16 = 16,
	CONVERTED_INT_32 = 17,
	CONVERTED_INT_64 = 18,
	CONVERTED_JSON = 19,
	CONVERTED_BSON = 20,
	CONVERTED_INTERVAL = 21
};

enum parquet_repetition { REPETITION_REQUIRED = 0, REPETITION_OPTIONAL = 1, REPETITION_REPEATED = 2 };

enum parquet_encoding {
	ENCODING_PLAIN = 0,
	ENCODING_PLAIN_DICTIONARY = 2, /* old name: PLAIN in a dictionary page, RLE_DICTIONARY in a data page */
	ENCODING_RLE = 3,
	ENCODING_BIT_PACKED = 4, /* levels of old files */
	ENCODING_DELTA_BINARY_PACKED = 5,
	ENCODING_DELTA_LENGTH_BYTE_ARRAY = 6,
	ENCODING_DELTA_BYTE_ARRAY = 7,
	ENCODING_RLE_DICTIONARY = 8,
	ENCODING_BYTE_STREAM_SPLIT = 9,
	ENCODING_ALP = 10
};

enum parquet_page_type { PAGE_DATA = 0, PAGE_INDEX = 1, PAGE_DICTIONARY = 2, PAGE_DATA_V2 = 3 };
enum parquet_boundary_order { BOUNDARY_UNORDERED = 0, BOUNDARY_ASCENDING = 1, BOUNDARY_DESCENDING = 2 };

/* Statistics. Bounds are PLAIN encoded without a length; min and max are deprecated (signed comparison): never written. */
enum {
	STATISTICS_MAX = 1,
	STATISTICS_MIN = 2,
	STATISTICS_NULL_COUNT = 3,
	STATISTICS_DISTINCT_COUNT = 4,
	STATISTICS_MAX_VALUE = 5,
	STATISTICS_MIN_VALUE = 6,
	STATISTICS_IS_MAX_VALUE_EXACT = 7,
	STATISTICS_IS_MIN_VALUE_EXACT = 8,
	STATISTICS_NAN_COUNT = 9
};
struct meta_statistics {
	uint32_t has;
	bool is_max_value_exact, is_min_value_exact;
	struct slice max, min;
	struct slice max_value, min_value;
	int64_t null_count;
	int64_t distinct_count;
	int64_t nan_count;
};

/* SizeStatistics */
enum { SIZE_STATISTICS_UNENCODED = 1, SIZE_STATISTICS_REP = 2, SIZE_STATISTICS_DEF = 3 };
struct meta_size_statistics {
	uint32_t has;
	int64_t unencoded_byte_array_data_bytes; /* of BYTE_ARRAY values, lengths not counted */
	META_LIST(int64_t) repetition_level_histogram;
	META_LIST(int64_t) definition_level_histogram;
};

/* TimeUnit, TimeType and TimestampType */
enum { TIME_UNIT_MILLIS = 1, TIME_UNIT_MICROS = 2, TIME_UNIT_NANOS = 3 };
struct meta_time_unit {
	uint32_t has; /* one TIME_UNIT_ bit */
};
struct meta_time_type {
	uint32_t has;
	bool is_adjusted_to_utc;
	struct meta_time_unit unit;
};
/* DecimalType */
struct meta_decimal_type {
	uint32_t has;
	int32_t scale, precision;
};
/* IntType */
struct meta_int_type {
	uint32_t has;
	int32_t bit_width; /* 8, 16, 32, 64; an i8 in the file */
	bool is_signed;
};

/* LogicalType: `has` holds one LOGICAL_ bit, or (decoded) none if the type is newer than this program. */
enum {
	LOGICAL_STRING = 1,
	LOGICAL_MAP = 2,
	LOGICAL_LIST = 3,
	LOGICAL_ENUM = 4,
	LOGICAL_DECIMAL = 5,
	LOGICAL_DATE = 6,
	LOGICAL_TIME = 7,
	LOGICAL_TIMESTAMP = 8,
	LOGICAL_INTEGER = 10,
	LOGICAL_UNKNOWN = 11, /* null type */
	LOGICAL_JSON = 12,
	LOGICAL_BSON = 13,
	LOGICAL_UUID = 14,
	LOGICAL_FLOAT16 = 15,
	LOGICAL_VARIANT = 16,
	LOGICAL_GEOMETRY = 17,
	LOGICAL_GEOGRAPHY = 18,
	LOGICAL_FILE = 19
};
struct meta_logical_type {
	uint32_t has;
	struct meta_decimal_type decimal;
	struct meta_time_type time, timestamp;
	struct meta_int_type integer;
};

/* SchemaElement: the schema tree in depth-first order */
enum {
	SCHEMA_TYPE = 1,
	SCHEMA_TYPE_LENGTH = 2,
	SCHEMA_REPETITION = 3,
	SCHEMA_NAME = 4,
	SCHEMA_NUM_CHILDREN = 5,
	SCHEMA_CONVERTED_TYPE = 6,
	SCHEMA_SCALE = 7,
	SCHEMA_PRECISION = 8,
	SCHEMA_FIELD_ID = 9,
	SCHEMA_LOGICAL_TYPE = 10
};
struct meta_schema_element {
	uint32_t has;
	int32_t type;            /* enum parquet_type; absent for groups */
	int32_t type_length;     /* FIXED_LEN_BYTE_ARRAY: bytes */
	int32_t repetition_type; /* enum parquet_repetition; absent for the root */
	struct slice name;
	int32_t num_children;    /* groups */
	int32_t converted_type;  /* enum parquet_converted */
	int32_t scale, precision;
	int32_t field_id;
	struct meta_logical_type logical_type;
};

struct meta_key_value {
	uint32_t has;
	struct slice key;
	struct slice value; /* optional: KEY_VALUE_VALUE */
};
enum { KEY_VALUE_KEY = 1, KEY_VALUE_VALUE = 2 };

struct meta_page_encoding_stats {
	uint32_t has;
	int32_t page_type, encoding, count;
};

/* ColumnMetaData */
enum {
	COLUMN_META_TYPE = 1,
	COLUMN_META_ENCODINGS = 2,
	COLUMN_META_PATH = 3,
	COLUMN_META_CODEC = 4,
	COLUMN_META_NUM_VALUES = 5,
	COLUMN_META_TOTAL_UNCOMPRESSED = 6,
	COLUMN_META_TOTAL_COMPRESSED = 7,
	COLUMN_META_KEY_VALUE = 8,
	COLUMN_META_DATA_PAGE_OFFSET = 9,
	COLUMN_META_INDEX_PAGE_OFFSET = 10,
	COLUMN_META_DICTIONARY_PAGE_OFFSET = 11,
	COLUMN_META_STATISTICS = 12,
	COLUMN_META_ENCODING_STATS = 13,
	COLUMN_META_BLOOM_FILTER_OFFSET = 14,
	COLUMN_META_BLOOM_FILTER_LENGTH = 15,
	COLUMN_META_SIZE_STATISTICS = 16
};
struct meta_column_meta {
	uint32_t has;
	int32_t type;  /* enum parquet_type */
	int32_t codec; /* enum parquet_codec */
	META_LIST(int32_t) encodings;
	META_LIST(struct slice) path_in_schema;
	int64_t num_values;              /* entries of the chunk, nulls and empty lists counted */
	int64_t total_uncompressed_size; /* bytes, page headers counted */
	int64_t total_compressed_size;
	META_LIST(struct meta_key_value) key_value_metadata;
	int64_t data_page_offset; /* from the start of the file */
	int64_t index_page_offset;
	int64_t dictionary_page_offset;
	struct meta_statistics statistics;
	META_LIST(struct meta_page_encoding_stats) encoding_stats;
	int64_t bloom_filter_offset;
	int32_t bloom_filter_length;
	struct meta_size_statistics size_statistics;
};

/* ColumnChunk */
enum {
	COLUMN_CHUNK_FILE_PATH = 1,
	COLUMN_CHUNK_FILE_OFFSET = 2,
	COLUMN_CHUNK_META_DATA = 3,
	COLUMN_CHUNK_OFFSET_INDEX_OFFSET = 4,
	COLUMN_CHUNK_OFFSET_INDEX_LENGTH = 5,
	COLUMN_CHUNK_COLUMN_INDEX_OFFSET = 6,
	COLUMN_CHUNK_COLUMN_INDEX_LENGTH = 7,
	COLUMN_CHUNK_CRYPTO = 8, /* decoded as a bit only */
	COLUMN_CHUNK_ENCRYPTED_META_DATA = 9
};
struct meta_column_chunk {
	uint32_t has;
	struct slice file_path;
	int64_t file_offset; /* deprecated: written as 0 */
	struct meta_column_meta meta_data;
	int64_t offset_index_offset;
	int32_t offset_index_length;
	int64_t column_index_offset;
	int32_t column_index_length;
	struct slice encrypted_column_metadata;
};

struct meta_sorting_column {
	uint32_t has;
	int32_t column_idx; /* leaf, in schema order */
	bool descending, nulls_first;
};

/* RowGroup */
enum {
	ROW_GROUP_COLUMNS = 1,
	ROW_GROUP_TOTAL_BYTE_SIZE = 2,
	ROW_GROUP_NUM_ROWS = 3,
	ROW_GROUP_SORTING_COLUMNS = 4,
	ROW_GROUP_FILE_OFFSET = 5,
	ROW_GROUP_TOTAL_COMPRESSED_SIZE = 6,
	ROW_GROUP_ORDINAL = 7
};
struct meta_row_group {
	uint32_t has;
	META_LIST(struct meta_column_chunk) columns; /* one for each leaf, in schema order */
	int64_t total_byte_size;                     /* uncompressed */
	int64_t num_rows;
	META_LIST(struct meta_sorting_column) sorting_columns;
	int64_t file_offset;
	int64_t total_compressed_size;
	int32_t ordinal; /* an i16 in the file */
};

/* ColumnOrder: a union; the format's own order is the only one written */
enum { COLUMN_ORDER_TYPE = 1, COLUMN_ORDER_IEEE754 = 2, COLUMN_ORDER_INT96 = 3 };
struct meta_column_order {
	uint32_t has;
};

/* FileMetaData */
enum {
	FILE_VERSION = 1,
	FILE_SCHEMA = 2,
	FILE_NUM_ROWS = 3,
	FILE_ROW_GROUPS = 4,
	FILE_KEY_VALUE = 5,
	FILE_CREATED_BY = 6,
	FILE_COLUMN_ORDERS = 7,
	FILE_ENCRYPTION = 8, /* decoded as a bit only */
	FILE_SIGNING_KEY = 9
};
struct meta_file {
	uint32_t has;
	int32_t version;
	META_LIST(struct meta_schema_element) schema;
	int64_t num_rows;
	META_LIST(struct meta_row_group) row_groups;
	META_LIST(struct meta_key_value) key_value_metadata;
	struct slice created_by;
	META_LIST(struct meta_column_order) column_orders; /* one for each leaf */
	struct slice footer_signing_key_metadata;
};

/* DataPageHeader (v1) */
enum { DATA_PAGE_STATISTICS = 5 };
struct meta_data_page {
	uint32_t has;
	int32_t num_values; /* entries, nulls counted */
	int32_t encoding, definition_level_encoding, repetition_level_encoding;
	struct meta_statistics statistics;
};
/* DictionaryPageHeader */
enum { DICTIONARY_PAGE_IS_SORTED = 3 };
struct meta_dictionary_page {
	uint32_t has;
	int32_t num_values, encoding;
	bool is_sorted;
};
/* DataPageHeaderV2 */
enum { DATA_PAGE_V2_IS_COMPRESSED = 7, DATA_PAGE_V2_STATISTICS = 8 };
struct meta_data_page_v2 {
	uint32_t has;
	int32_t num_values, num_nulls, num_rows;
	int32_t encoding;
	int32_t definition_levels_byte_length, repetition_levels_byte_length;
	bool is_compressed; /* absent = true */
	struct meta_statistics statistics;
};
/* PageHeader */
enum {
	PAGE_HEADER_TYPE = 1,
	PAGE_HEADER_UNCOMPRESSED_SIZE = 2,
	PAGE_HEADER_COMPRESSED_SIZE = 3,
	PAGE_HEADER_CRC = 4,
	PAGE_HEADER_DATA = 5,
	PAGE_HEADER_INDEX = 6, /* an empty struct */
	PAGE_HEADER_DICTIONARY = 7,
	PAGE_HEADER_DATA_V2 = 8
};
struct meta_page_header {
	uint32_t has;
	int32_t type; /* enum parquet_page_type */
	int32_t uncompressed_page_size, compressed_page_size;
	int32_t crc; /* CRC-32 (as gzip) of the page's bytes as stored */
	struct meta_data_page data;
	struct meta_dictionary_page dictionary;
	struct meta_data_page_v2 data_v2;
};

struct meta_page_location {
	uint32_t has;
	int64_t offset; /* of the page header, from the start of the file */
	int32_t compressed_page_size; /* header counted */
	int64_t first_row_index;      /* in the row group */
};
/* OffsetIndex */
enum { OFFSET_INDEX_PAGES = 1, OFFSET_INDEX_UNENCODED = 2 };
struct meta_offset_index {
	uint32_t has;
	META_LIST(struct meta_page_location) page_locations;
	META_LIST(int64_t) unencoded_byte_array_data_bytes;
};

/* ColumnIndex: one entry a data page */
enum {
	COLUMN_INDEX_NULL_PAGES = 1,
	COLUMN_INDEX_MIN = 2,
	COLUMN_INDEX_MAX = 3,
	COLUMN_INDEX_ORDER = 4,
	COLUMN_INDEX_NULL_COUNTS = 5,
	COLUMN_INDEX_REP_HISTOGRAMS = 6,
	COLUMN_INDEX_DEF_HISTOGRAMS = 7,
	COLUMN_INDEX_NAN_COUNTS = 8
};
struct meta_column_index {
	uint32_t has;
	META_LIST(bool) null_pages;
	META_LIST(struct slice) min_values, max_values; /* empty for null pages */
	int32_t boundary_order;                         /* enum parquet_boundary_order */
	META_LIST(int64_t) null_counts;
	META_LIST(int64_t) repetition_level_histograms, definition_level_histograms;
	META_LIST(int64_t) nan_counts;
};

/* BloomFilterHeader. Algorithm, hash and compression are unions: `has` holds a bit for the one member that this program knows (split block,
 * xxHash64, none), or (decoded) none. */
enum { BLOOM_HEADER_NUM_BYTES = 1, BLOOM_HEADER_ALGORITHM = 2, BLOOM_HEADER_HASH = 3, BLOOM_HEADER_COMPRESSION = 4 };
enum { BLOOM_CHOICE_KNOWN = 1 };
struct meta_bloom_choice {
	uint32_t has;
};
struct meta_bloom_header {
	uint32_t has;
	int32_t num_bytes; /* of the bitset behind the header */
	struct meta_bloom_choice algorithm, hash, compression;
};

/* Decoders. Lists come from the arena, slices borrow `bytes`. RC_CORRUPT names the struct and field; RC_LIMIT if the lists would take
 * more than max_bytes of the arena (hostile counts). Outputs are undefined on failure. */
rc_t meta_file_decode(struct slice bytes, struct arena *a, size_t max_bytes, struct meta_file *ret, struct err *reterr);
rc_t meta_column_index_decode(struct slice bytes, struct arena *a, size_t max_bytes, struct meta_column_index *ret, struct err *reterr);
rc_t meta_offset_index_decode(struct slice bytes, struct arena *a, size_t max_bytes, struct meta_offset_index *ret, struct err *reterr);
/* The header at the start of `bytes`; *ret_len = its length. RC_AGAIN if `bytes` end inside it. Allocates nothing. */
rc_t meta_page_header_decode(struct slice bytes, struct meta_page_header *ret, size_t *ret_len, struct err *reterr);
rc_t meta_bloom_header_decode(struct slice bytes, struct meta_bloom_header *ret, size_t *ret_len, struct err *reterr);

/* Encoders append to out; they cannot fail but for out->overflow. */
void meta_file_encode(const struct meta_file *m, struct buf *out);
void meta_column_index_encode(const struct meta_column_index *m, struct buf *out);
void meta_offset_index_encode(const struct meta_offset_index *m, struct buf *out);
void meta_page_header_encode(const struct meta_page_header *m, struct buf *out);
void meta_bloom_header_encode(const struct meta_bloom_header *m, struct buf *out);

#endif
