/* The bytes become a small valid file around pages that are anything: they choose the shape of the schema, the type, the codec and, page
 * by page, the encoding, the levels and the values, which are either encoded for real and then patched or taken as they are.
 * Laws: no crash; what comes out is a consistent batch; smaller windows, row ranges and projections give the same rows. */
#include <lz4.h>
#include <zlib.h>

#include "parquet/encoding/encode.h"
#include "parquet/fuzz_internal.h"
#include "parquet/meta_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ENTRIES_MAX 600
#define PAGES_MAX   4
#define SCRATCH	    65536

/* ---- schemas ---- */

#define GROUP(n, rep, logical) { 0, 0, rep, n, -1, logical, 0, 0 }
#define LEAF(rep)              { -1, 0, rep, 0, -1, 0, 0, 0 }

struct node {
	int type, type_length, repetition, children, converted, logical, precision, scale;
};

static const struct shape {
	struct node nodes[6];
	int count;
	uint8_t max_rep, element_defs[3]; /* [rep]: the least definition level of an entry that continues a list */
	uint8_t max_def[2];		  /* of the leaves; 255: there is no second one */
	bool optional;			  /* the second leaf may be null where the first is not */
} shapes[] = {
	{ { LEAF(REPETITION_REQUIRED) }, 1, 0, { 0 }, { 0, 255 }, false },
	{ { LEAF(REPETITION_OPTIONAL) }, 1, 0, { 0 }, { 1, 255 }, false },
	{ { LEAF(REPETITION_REPEATED) }, 1, 1, { 0, 1 }, { 1, 255 }, false },
	{ { GROUP(1, REPETITION_OPTIONAL, LOGICAL_LIST), GROUP(1, REPETITION_REPEATED, 0), LEAF(REPETITION_OPTIONAL) }, 3, 1, { 0, 2 }, { 3, 255 }, false },
	{ { GROUP(2, REPETITION_OPTIONAL, 0), LEAF(REPETITION_OPTIONAL), LEAF(REPETITION_OPTIONAL) }, 3, 0, { 0 }, { 2, 2 }, true },
	{ { GROUP(1, REPETITION_OPTIONAL, LOGICAL_MAP), GROUP(2, REPETITION_REPEATED, 0), LEAF(REPETITION_REQUIRED), LEAF(REPETITION_OPTIONAL) },
	  4, 1, { 0, 2 }, { 2, 3 }, true },
	{ { GROUP(1, REPETITION_OPTIONAL, LOGICAL_LIST), GROUP(1, REPETITION_REPEATED, 0), GROUP(1, REPETITION_OPTIONAL, LOGICAL_LIST),
	    GROUP(1, REPETITION_REPEATED, 0), LEAF(REPETITION_OPTIONAL) },
	  5, 2, { 0, 2, 4 }, { 5, 255 }, false },
	{ { GROUP(1, REPETITION_OPTIONAL, LOGICAL_LIST), GROUP(1, REPETITION_REPEATED, 0), GROUP(2, REPETITION_OPTIONAL, 0), LEAF(REPETITION_OPTIONAL),
	    LEAF(REPETITION_OPTIONAL) },
	  5, 1, { 0, 2 }, { 4, 4 }, true },
};
#define SHAPES (sizeof shapes / sizeof *shapes)

#define PLAIN(type, length)              { type, length, 0, 0, -1, 0, 0, 0 }
#define DECIMAL(type, length, p, s)      { type, length, 0, 0, CONVERTED_DECIMAL, 0, p, s }
#define CONVERTED(type, length, annotated) { type, length, 0, 0, annotated, 0, 0, 0 }
#define LOGICAL(type, length, annotated) { type, length, 0, 0, -1, annotated, 0, 0 }

static const struct node leaf_kinds[] = {
	PLAIN(PARQUET_BOOLEAN, 0), PLAIN(PARQUET_INT32, 0), PLAIN(PARQUET_INT64, 0), PLAIN(PARQUET_INT96, 0), PLAIN(PARQUET_FLOAT, 0),
	PLAIN(PARQUET_DOUBLE, 0), PLAIN(PARQUET_BYTE_ARRAY, 0), CONVERTED(PARQUET_BYTE_ARRAY, 0, CONVERTED_UTF8),
	PLAIN(PARQUET_FIXED_LEN_BYTE_ARRAY, 5), LOGICAL(PARQUET_FIXED_LEN_BYTE_ARRAY, 16, LOGICAL_UUID),
	LOGICAL(PARQUET_FIXED_LEN_BYTE_ARRAY, 2, LOGICAL_FLOAT16), DECIMAL(PARQUET_INT32, 0, 9, 2), DECIMAL(PARQUET_INT64, 0, 18, 3),
	DECIMAL(PARQUET_INT32, 0, 30, 0), DECIMAL(PARQUET_INT64, 0, 30, 0), DECIMAL(PARQUET_BYTE_ARRAY, 0, 18, 2),
	DECIMAL(PARQUET_BYTE_ARRAY, 0, 38, 2), DECIMAL(PARQUET_FIXED_LEN_BYTE_ARRAY, 7, 10, 2), DECIMAL(PARQUET_FIXED_LEN_BYTE_ARRAY, 20, 38, 0),
	CONVERTED(PARQUET_INT32, 0, CONVERTED_TIME_MILLIS), CONVERTED(PARQUET_INT64, 0, CONVERTED_TIMESTAMP_MILLIS),
	LOGICAL(PARQUET_INT64, 0, LOGICAL_TIMESTAMP), CONVERTED(PARQUET_INT32, 0, CONVERTED_UINT_32),
	CONVERTED(PARQUET_INT64, 0, CONVERTED_UINT_64), CONVERTED(PARQUET_INT32, 0, CONVERTED_DATE), PLAIN(PARQUET_FIXED_LEN_BYTE_ARRAY, 4),
	PLAIN(PARQUET_FIXED_LEN_BYTE_ARRAY, 8),
};
#define LEAF_KINDS (sizeof leaf_kinds / sizeof *leaf_kinds)

/* ---- the maker ---- */

enum {
	FILE_V2 = 1,	   /* data pages v2 */
	FILE_CRC = 2,	   /* checksums, right ones */
	FILE_INDEX = 4,	   /* an offset index, a true one; pages then begin with rows */
	FILE_DICT = 8,	   /* a dictionary page */
	FILE_LIES = 16,	   /* a byte each is added to row count, value count, sizes, offsets … */
	FILE_PACKED = 32,  /* levels BIT_PACKED */
	FILE_INDEX_PAGE = 64, /* an index page that is to be passed over */
	FILE_RAW_CODEC = 128, /* bodies are not compressed, though the codec says so */
};
enum {
	PAGE_RAW = 1,	     /* values are bytes as they come */
	PAGE_PATCH = 2,	     /* encoded values are patched */
	PAGE_RAW_LEVELS = 4, /* levels are bytes as they come */
	PAGE_STORED = 8,     /* v2: is_compressed = false */
	PAGE_RUNS = 16,	     /* levels in long runs */
	PAGE_LARGE = 32,     /* eight times the entries */
	PAGE_PATCH_LEVELS = 64,
};

struct levels {
	uint32_t entries;
	uint8_t reps[ENTRIES_MAX], defs[ENTRIES_MAX], odd[ENTRIES_MAX];
};

struct maker {
	struct slice in;
	const struct shape *shape;
	const struct node *kind;
	uint8_t flags, codec;
	uint32_t rows, pages, dict_entries;
	struct levels levels[PAGES_MAX];
	struct buf file;
	struct codec_ctx *codecs;
	uint8_t last_def;
	bool honest; /* nothing in the file lies about itself */
	uint8_t noise;
};

static uint8_t next_byte(struct maker *m)
{
	if (!m->in.len)
		return (uint8_t)(m->noise = (uint8_t)(m->noise * 29 + 113));
	uint8_t b = m->in.data[0];
	m->in = slice_skip(m->in, 1);
	return b;
}

/* The truth, unless the file lies. */
static int64_t told(struct maker *m, int64_t truth)
{
	if (!(m->flags & FILE_LIES))
		return truth;
	int32_t l = (int8_t)next_byte(m);
	m->honest &= l == 0;
	return truth + (l == INT8_MIN ? INT32_MAX : l == INT8_MAX ? 1 << 20 : l);
}

static int32_t told32(struct maker *m, int64_t truth)
{
	return (int32_t)(uint32_t)(uint64_t)told(m, truth);
}

static void make_levels(struct maker *m, struct levels *l, bool at_row, uint8_t how)
{
	const struct shape *s = m->shape;
	uint8_t max_def = s->max_def[1] != 255 && s->max_def[1] > s->max_def[0] ? s->max_def[1] : s->max_def[0];
	uint32_t entries = next_byte(m);
	l->entries = how & PAGE_LARGE ? entries * 8 % ENTRIES_MAX : entries % 48;
	uint8_t byte = 0;
	for (uint32_t i = 0; i < l->entries; i++) {
		if (!(how & PAGE_RUNS) || i % 40 == 0)
			byte = next_byte(m);
		uint8_t rep = s->max_rep ? byte % (s->max_rep + 1u) : 0, def = (uint8_t)((byte >> 2 & 15) % (max_def + 1u));
		uint8_t least = s->element_defs[rep];
		if (rep && (def < least || m->last_def < least || (at_row && i == 0)))
			rep = 0;
		l->reps[i] = rep;
		l->defs[i] = m->last_def = def;
		l->odd[i] = byte >> 7;
		m->rows += rep == 0;
	}
}

/* The levels of one leaf: the other's, cut to its own maximum. */
static uint8_t leaf_def(const struct maker *m, const struct levels *l, int leaf, uint32_t i)
{
	uint8_t max = m->shape->max_def[leaf], def = l->defs[i] < max ? l->defs[i] : max;
	return def == max && leaf && m->shape->optional && l->odd[i] ? (uint8_t)(def - 1) : def;
}

static uint32_t leaf_values(const struct maker *m, const struct levels *l, int leaf)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < l->entries; i++)
		n += leaf_def(m, l, leaf, i) == m->shape->max_def[leaf];
	return n;
}

static void patch(struct maker *m, struct buf *b, size_t from)
{
	for (int i = next_byte(m) % 4; i >= 0 && b->len > from; i--) {
		size_t at = from + (next_byte(m) | (size_t)next_byte(m) << 8) % (b->len - from);
		b->data[at] ^= next_byte(m);
	}
	if (next_byte(m) % 8 == 0 && b->len > from)
		b->len -= next_byte(m) % (b->len - from);
}

static size_t pack_msb(uint8_t *out, const uint8_t *in, uint32_t n, unsigned width)
{
	size_t bit = 0;
	for (uint32_t i = 0; i < n; i++)
		for (unsigned k = width; k-- > 0; bit++)
			out[bit / 8] = (uint8_t)((bit % 8 ? out[bit / 8] : 0) | (in[i] >> k & 1) << (7 - bit % 8));
	return (bit + 7) / 8;
}

/* One kind of levels, with the length in front that v1 pages have. */
static void put_levels(struct maker *m, const struct levels *l, int leaf, bool rep, uint8_t how, bool v1, struct buf *out)
{
	unsigned max = rep ? m->shape->max_rep : m->shape->max_def[leaf];
	if (!max)
		return;
	static uint8_t values[ENTRIES_MAX], encoded[SCRATCH];
	for (uint32_t i = 0; i < l->entries; i++)
		values[i] = rep ? l->reps[i] : leaf_def(m, l, leaf, i);
	size_t n, at = out->len;
	bool packed = v1 && m->flags & FILE_PACKED;
	if (how & PAGE_RAW_LEVELS) {
		n = next_byte(m) % 64;
		for (size_t i = 0; i < n; i++)
			encoded[i] = next_byte(m);
		m->honest = false;
	} else {
		n = packed ? pack_msb(encoded, values, l->entries, encode_width(max)) : encode_rle_u8(encoded, values, l->entries, encode_width(max));
	}
	if (v1 && !packed)
		buf_u32(out, (uint32_t)told32(m, (int64_t)n));
	buf_append(out, encoded, n);
	if (how & PAGE_PATCH_LEVELS) {
		patch(m, out, at);
		m->honest = false;
	}
}

/* n values of the leaf's physical type: fixed ones packed, byte arrays with offsets. */
static void make_values(struct maker *m, uint32_t n, uint8_t *out, uint32_t *offsets)
{
	const uint32_t widths[] = { 1, 4, 8, 12, 4, 8, 0, (uint32_t)m->kind->type_length };
	uint32_t width = widths[m->kind->type], at = 0;
	uint8_t style = next_byte(m), last[32] = { 0 };
	offsets[0] = 0;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t len = width ? width : style & 1 ? next_byte(m) % 32u : style >> 4;
		uint8_t b = style & 2 ? (uint8_t)i : next_byte(m);
		for (uint32_t k = 0; k < len; k++) {
			if (k == 0)
				last[0] = b;
			else if (style & 4)
				last[k % sizeof last] = next_byte(m);
			out[at + k] = m->kind->type == PARQUET_BOOLEAN ? b & 1 : last[k % sizeof last];
		}
		at += len;
		offsets[i + 1] = at;
	}
}

static size_t encode_values(struct maker *m, int encoding, uint32_t n, const uint8_t *v, const uint32_t *offsets, uint8_t *out)
{
	static int32_t scratch[2][ENTRIES_MAX];
	static uint32_t wide[ENTRIES_MAX];
	size_t len;
	switch (encoding == ENCODING_RLE && m->kind->type != PARQUET_BOOLEAN ? ENCODING_PLAIN : encoding) {
	case ENCODING_RLE:
		len = encode_rle_u8(out + 4, v, n, 1);
		memcpy(out, &(uint32_t){ (uint32_t)len }, 4);
		return len + 4;
	case ENCODING_DELTA_BINARY_PACKED:
		return offsets[n] / (n ? n : 1) == 8 ? encode_delta_i64(out, (const int64_t *)v, n) : encode_delta_i32(out, (const int32_t *)v, n);
	case ENCODING_DELTA_LENGTH_BYTE_ARRAY:
		return encode_delta_length(out, v, offsets, 0, n, scratch[0]);
	case ENCODING_DELTA_BYTE_ARRAY:
		return encode_delta_bytes(out, v, offsets, 0, n, scratch[0], scratch[1]);
	case ENCODING_BYTE_STREAM_SPLIT:
		return n ? encode_split(out, v, n, offsets[1]) : 0;
	case ENCODING_PLAIN_DICTIONARY:
	case ENCODING_RLE_DICTIONARY:
		for (uint32_t i = 0; i < n; i++)
			wide[i] = v[i] % (m->dict_entries ? m->dict_entries : 1);
		out[0] = (uint8_t)encode_width(m->dict_entries);
		return 1 + encode_rle_u32(out + 1, wide, n, out[0]);
	default:
		if (m->kind->type == PARQUET_BOOLEAN)
			return encode_plain_bool(out, v, n);
		if (m->kind->type == PARQUET_BYTE_ARRAY)
			return encode_plain_bytes(out, v, offsets, 0, n);
		memcpy(out, v, offsets[n]);
		return offsets[n];
	}
}

static void put_values(struct maker *m, int encoding, uint32_t n, uint8_t how, struct buf *out)
{
	static _Alignas(16) uint8_t values[SCRATCH], encoded[SCRATCH * 2];
	static uint32_t offsets[ENTRIES_MAX + 1];
	size_t at = out->len;
	if (how & PAGE_RAW) {
		for (int len = next_byte(m); len > 0; len--)
			buf_byte(out, next_byte(m));
		return;
	}
	make_values(m, n, values, offsets);
	buf_append(out, encoded, encode_values(m, encoding, n, values, offsets, encoded));
	if (how & PAGE_PATCH)
		patch(m, out, at);
}

static void put_body(struct maker *m, struct slice src, struct buf *out)
{
	struct err err;
	if (m->codec == PARQUET_UNCOMPRESSED || m->flags & FILE_RAW_CODEC || m->codec == PARQUET_BROTLI || m->codec == PARQUET_LZO ||
	    m->codec > PARQUET_LZ4_RAW) {
		buf_append_slice(out, src);
		return;
	}
	if (m->codec == PARQUET_LZ4_HADOOP) {
		static uint8_t block[SCRATCH * 4];
		int n = LZ4_compress_default((const char *)src.data, (char *)block, (int)src.len, sizeof block);
		buf_u32(out, __builtin_bswap32((uint32_t)src.len));
		buf_u32(out, __builtin_bswap32((uint32_t)n));
		buf_append(out, block, (size_t)n);
		return;
	}
	must(codec_compress(m->codecs, (enum parquet_codec)m->codec, 1, src, out, &err) == RC_OK);
}

/* Appends header and body; levels are what of a v2 body is not compressed. */
static void put_page(struct maker *m, struct meta_page_header *h, struct slice levels, struct slice rest, bool stored)
{
	AUTO_BUF struct buf body;
	buf_init(&body, BUF_MAX_DEFAULT);
	buf_append_slice(&body, levels);
	if (stored)
		buf_append_slice(&body, rest);
	else
		put_body(m, rest, &body);
	h->uncompressed_page_size = told32(m, (int64_t)(levels.len + rest.len));
	h->compressed_page_size = told32(m, (int64_t)body.len);
	if (m->flags & FILE_CRC) {
		META_SET(h, PAGE_HEADER_CRC);
		h->crc = told32(m, (int64_t)crc32_z(0, body.data, body.len));
	}
	meta_page_header_encode(h, &m->file);
	buf_append_slice(&m->file, buf_slice(&body));
}

static void put_dictionary(struct maker *m)
{
	AUTO_BUF struct buf values;
	buf_init(&values, BUF_MAX_DEFAULT);
	uint8_t how = next_byte(m);
	m->dict_entries = next_byte(m) % 80;
	put_values(m, ENCODING_PLAIN, m->dict_entries, how & (PAGE_RAW | PAGE_PATCH), &values);
	struct meta_page_header h = { .has = 1u << PAGE_HEADER_DICTIONARY, .type = PAGE_DICTIONARY };
	h.dictionary.num_values = told32(m, m->dict_entries);
	h.dictionary.encoding = how & 0x80 ? ENCODING_PLAIN_DICTIONARY : how & 0x40 && m->flags & FILE_LIES ? how : ENCODING_PLAIN;
	put_page(m, &h, (struct slice){ 0 }, buf_slice(&values), false);
}

/* An encoding that goes with the type, or any. */
static int page_encoding(struct maker *m)
{
	static const uint8_t fitting[8][6] = {
		[PARQUET_BOOLEAN] = { 0, 3, 8, 0, 3, 3 },	[PARQUET_INT32] = { 0, 5, 8, 9, 2, 5 },	 [PARQUET_INT64] = { 0, 5, 8, 9, 2, 5 },
		[PARQUET_INT96] = { 0, 8, 2, 0, 8, 0 },		[PARQUET_FLOAT] = { 0, 8, 9, 2, 9, 0 },	 [PARQUET_DOUBLE] = { 0, 8, 9, 2, 9, 0 },
		[PARQUET_BYTE_ARRAY] = { 0, 6, 7, 8, 2, 7 },	[PARQUET_FIXED_LEN_BYTE_ARRAY] = { 0, 7, 8, 9, 2, 7 },
	};
	uint8_t b = next_byte(m);
	if (b >= 240)
		return b % 16;
	int encoding = fitting[m->kind->type][b % 6];
	bool dict = encoding == ENCODING_RLE_DICTIONARY || encoding == ENCODING_PLAIN_DICTIONARY;
	return dict && !m->dict_entries && b < 200 ? ENCODING_PLAIN : encoding;
}

static void put_data_page(struct maker *m, const struct levels *l, int leaf, uint8_t how)
{
	AUTO_BUF struct buf levels, values;
	buf_init(&levels, BUF_MAX_DEFAULT);
	buf_init(&values, BUF_MAX_DEFAULT);
	bool v2 = m->flags & FILE_V2;
	int encoding = page_encoding(m);
	struct meta_page_header h = { .has = 1u << (v2 ? PAGE_HEADER_DATA_V2 : PAGE_HEADER_DATA), .type = v2 ? PAGE_DATA_V2 : PAGE_DATA };
	put_levels(m, l, leaf, true, how, !v2, &levels);
	size_t reps = levels.len;
	put_levels(m, l, leaf, false, how, !v2, &levels);
	size_t defs = levels.len - reps;
	uint32_t n = leaf_values(m, l, leaf);
	if (!v2)
		buf_append_slice(&values, buf_slice(&levels));
	put_values(m, encoding, n, how, &values);
	int32_t entries = told32(m, l->entries), level_encoding = m->flags & FILE_PACKED ? ENCODING_BIT_PACKED : ENCODING_RLE;
	if (v2) {
		struct meta_data_page_v2 *d = &h.data_v2;
		d->num_values = entries;
		d->num_nulls = (int32_t)(l->entries - n);
		d->encoding = encoding;
		d->repetition_levels_byte_length = told32(m, (int64_t)reps);
		d->definition_levels_byte_length = told32(m, (int64_t)defs);
		d->is_compressed = !(how & PAGE_STORED);
		META_SET(d, DATA_PAGE_V2_IS_COMPRESSED);
		put_page(m, &h, buf_slice(&levels), buf_slice(&values), how & PAGE_STORED);
	} else {
		h.data = (struct meta_data_page){ .num_values = entries, .encoding = encoding };
		h.data.definition_level_encoding = (int32_t)(told(m, level_encoding) % 8);
		h.data.repetition_level_encoding = level_encoding;
		put_page(m, &h, (struct slice){ 0 }, buf_slice(&values), false);
	}
}

static void put_chunk(struct maker *m, int leaf, struct meta_column_chunk *c, struct meta_page_location *at)
{
	struct meta_column_meta *k = &c->meta_data;
	k->type = m->kind->type;
	k->codec = m->codec;
	m->dict_entries = 0;
	size_t start = m->file.len;
	if (m->flags & FILE_INDEX_PAGE) {
		struct meta_page_header h = { .has = 1u << PAGE_HEADER_INDEX, .type = PAGE_INDEX };
		put_page(m, &h, (struct slice){ 0 }, SLICE_LIT("passed over"), true);
	}
	if (m->flags & FILE_DICT) {
		k->dictionary_page_offset = (int64_t)start;
		META_SET(k, COLUMN_META_DICTIONARY_PAGE_OFFSET);
		put_dictionary(m);
		start = m->file.len;
	}
	k->data_page_offset = told(m, (int64_t)start);
	int64_t row = 0;
	for (uint32_t p = 0; p < m->pages; p++) {
		const struct levels *l = &m->levels[p];
		at[p] = (struct meta_page_location){ .offset = told(m, (int64_t)m->file.len), .first_row_index = told(m, row) };
		put_data_page(m, l, leaf, next_byte(m));
		at[p].compressed_page_size = (int32_t)((int64_t)m->file.len - at[p].offset);
		k->num_values += l->entries;
		for (uint32_t i = 0; i < l->entries; i++)
			row += l->reps[i] == 0;
	}
	k->num_values = told(m, k->num_values);
	k->total_compressed_size = told(m, (int64_t)m->file.len - k->data_page_offset);
	META_SET(c, COLUMN_CHUNK_META_DATA);
}

static void put_index(struct maker *m, struct meta_column_chunk *c, struct meta_page_location *at)
{
	struct meta_offset_index index = { 0 };
	index.page_locations.items = at;
	index.page_locations.count = m->pages;
	c->offset_index_offset = told(m, (int64_t)m->file.len);
	meta_offset_index_encode(&index, &m->file);
	c->offset_index_length = told32(m, (int64_t)m->file.len - c->offset_index_offset);
	META_SET(c, COLUMN_CHUNK_OFFSET_INDEX_OFFSET);
	META_SET(c, COLUMN_CHUNK_OFFSET_INDEX_LENGTH);
}

static void set_kind(struct meta_schema_element *e, const struct node *k)
{
	e->type = k->type;
	e->has |= 1u << SCHEMA_TYPE | 1u << SCHEMA_TYPE_LENGTH | 1u << SCHEMA_PRECISION | 1u << SCHEMA_SCALE;
	e->type_length = k->type_length;
	e->precision = k->precision;
	e->scale = k->scale;
	if (k->converted >= 0) {
		e->converted_type = k->converted;
		META_SET(e, SCHEMA_CONVERTED_TYPE);
	}
}

static void put_footer(struct maker *m, struct meta_column_chunk *chunks, uint32_t leaves)
{
	struct meta_schema_element e[8] = { { .has = 1u << SCHEMA_NUM_CHILDREN, .name = SLICE_LIT("schema"), .num_children = 1 } };
	for (int i = 0; i < m->shape->count; i++) {
		const struct node *n = &m->shape->nodes[i];
		struct meta_schema_element *to = &e[i + 1];
		*to = (struct meta_schema_element){ .has = 1u << SCHEMA_REPETITION, .name = SLICE_LIT("x"), .repetition_type = n->repetition };
		const struct node *annotated = n->children ? n : m->kind;
		if (n->children) {
			to->num_children = n->children;
			META_SET(to, SCHEMA_NUM_CHILDREN);
		} else {
			set_kind(to, m->kind);
		}
		if (annotated->logical) {
			to->logical_type.has = 1u << annotated->logical;
			to->logical_type.timestamp.unit.has = 1u << TIME_UNIT_NANOS;
			META_SET(to, SCHEMA_LOGICAL_TYPE);
		}
	}
	struct meta_row_group g = { .num_rows = told(m, m->rows) };
	g.columns.items = chunks;
	g.columns.count = leaves;
	struct meta_file f = { .version = 2 };
	f.schema.items = e;
	f.schema.count = (uint32_t)m->shape->count + 1;
	f.row_groups.items = &g;
	f.row_groups.count = 1;
	size_t at = m->file.len;
	meta_file_encode(&f, &m->file);
	buf_u32(&m->file, (uint32_t)(m->file.len - at));
	buf_append_str(&m->file, "PAR1");
}

static void make_file(struct maker *m)
{
	m->shape = &shapes[next_byte(m) % SHAPES];
	m->kind = &leaf_kinds[next_byte(m) % LEAF_KINDS];
	m->codec = next_byte(m) % 16;
	m->codec = m->codec < 9 ? m->codec : PARQUET_UNCOMPRESSED;
	m->flags = next_byte(m);
	m->pages = 1 + next_byte(m) % PAGES_MAX;
	buf_append_str(&m->file, "PAR1");
	for (uint32_t p = 0; p < m->pages; p++)
		make_levels(m, &m->levels[p], m->flags & FILE_INDEX || p == 0, next_byte(m));
	struct meta_column_chunk chunks[2] = { 0 };
	struct meta_page_location at[2][PAGES_MAX];
	uint32_t leaves = m->shape->max_def[1] == 255 ? 1 : 2;
	for (uint32_t i = 0; i < leaves; i++)
		put_chunk(m, (int)i, &chunks[i], at[i]);
	for (uint32_t i = 0; i < leaves && m->flags & FILE_INDEX; i++)
		put_index(m, &chunks[i], at[i]);
	put_footer(m, chunks, leaves);
}

/* ---- the laws ---- */

static bool read_rows(struct parquet_reader *r, uint32_t from, uint32_t to, struct batch *b, struct buf *out, struct err *reterr)
{
	if (parquet_reader_read(r, 0, NULL, 0, from, to, b, reterr) != RC_OK)
		return false;
	check_batch(b);
	batch_print(b, out);
	return true;
}

static void check_file(struct slice file, bool honest, uint32_t cut)
{
	struct parquet_limits limits = { .page_bytes = 1 << 20, .batch_bytes = 4 << 20, .window_bytes = 4096 };
	const struct parquet_source source = { &file, file.len, fuzz_read };
	AUTO(parquet_reader) *r = NULL, *small = NULL;
	AUTO_BUF struct buf whole, parts;
	struct err err;
	buf_init(&whole, BUF_MAX_DEFAULT);
	buf_init(&parts, BUF_MAX_DEFAULT);
	if (parquet_reader_open(&source, &limits, &r, &err) != RC_OK)
		return;
	limits.window_bytes = 16;
	must(parquet_reader_open(&source, &limits, &small, &err) == RC_OK);
	struct batch b, s;
	batch_init(&b, parquet_reader_schema(r));
	batch_init(&s, parquet_reader_schema(small));
	bool ok = read_rows(r, 0, UINT32_MAX, &b, &whole, &err);
	must(read_rows(small, 0, UINT32_MAX, &s, &parts, &err) == ok && slice_eq(buf_slice(&parts), buf_slice(&whole)));
	uint32_t rows = (uint32_t)parquet_reader_row_group_rows(r, 0), from = rows ? cut % (rows + 1) : 0;
	buf_reset(&parts);
	bool parts_ok = read_rows(r, 0, from, &b, &parts, &err);
	parts_ok &= read_rows(r, from, from + (rows - from) / 2, &b, &parts, &err);
	parts_ok &= read_rows(r, from + (rows - from) / 2, UINT32_MAX, &b, &parts, &err);
	if (ok && honest && !parts_ok)
		fprintf(stderr, "rows 0 … %u … %u: %s\n", from, rows, err.text);
	must(!ok || !honest || (parts_ok && slice_eq(buf_slice(&parts), buf_slice(&whole))));
	/* With codes the batch takes another part of its limit. */
	b.may_be_coded = true;
	buf_reset(&parts);
	if (read_rows(r, 0, UINT32_MAX, &b, &parts, &err))
		must(!ok || slice_eq(buf_slice(&parts), buf_slice(&whole)));
	else
		must(!ok || err.rc == RC_LIMIT);
	const struct field *top = parquet_reader_schema(r)->root->children[0];
	while (type_is_nested(top->type))
		top = top->children[top->child_count - 1];
	must(parquet_reader_read(r, 0, &top, 1, 0, UINT32_MAX, &b, &err) == RC_OK || !ok);
	check_batch(&b);
	batch_free(&b);
	batch_free(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 6)
		return 0;
	static struct maker m;
	m = (struct maker){ .in = slice_of(data, size), .honest = true, .codecs = codec_ctx_new() };
	buf_init(&m.file, BUF_MAX_DEFAULT);
	make_file(&m);
	uint8_t *exact = mem_alloc(m.file.len); /* so that a byte read too far is seen */
	memcpy(exact, m.file.data, m.file.len);
	check_file(slice_of(exact, m.file.len), m.honest, data[size - 1]);
	free(exact);
	buf_free(&m.file);
	codec_ctx_free(m.codecs);
	return 0;
}
