/* Thrift from files. The first byte chooses: a footer, a column index, an offset index or a page header of any bytes; or a schema with
 * statistics that is made from the bytes, so that every annotation meets every physical type. What is decoded and encoded again stays
 * the same, and what opens answers every question about it. */
#include "parquet/fuzz_internal.h"
#include "parquet/meta_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BUDGET ((size_t)1 << 20)

/* ---- decode, encode, decode ---- */

struct way {
	rc_t (*decode)(struct slice in, struct arena *a, size_t max, void *ret, struct err *reterr);
	void (*encode)(const void *m, struct buf *out);
};

static rc_t decode_file(struct slice in, struct arena *a, size_t max, void *ret, struct err *reterr)
{
	return meta_file_decode(in, a, max, ret, reterr);
}

static rc_t decode_column_index(struct slice in, struct arena *a, size_t max, void *ret, struct err *reterr)
{
	return meta_column_index_decode(in, a, max, ret, reterr);
}

static rc_t decode_offset_index(struct slice in, struct arena *a, size_t max, void *ret, struct err *reterr)
{
	return meta_offset_index_decode(in, a, max, ret, reterr);
}

static rc_t decode_page_header(struct slice in, struct arena *a, size_t max, void *ret, struct err *reterr)
{
	(void)a, (void)max;
	size_t len;
	rc_t rc = meta_page_header_decode(in, ret, &len, reterr);
	must(rc != RC_OK || (len <= in.len && len > 0));
	/* What is cut off wants more bytes, and nothing else is said of it. */
	struct meta_page_header cut;
	size_t cut_len;
	if (rc == RC_OK)
		must(meta_page_header_decode(slice_of(in.data, len - 1), &cut, &cut_len, reterr) == RC_AGAIN);
	return rc;
}

static void encode_file(const void *m, struct buf *out)
{
	meta_file_encode(m, out);
}

static void encode_column_index(const void *m, struct buf *out)
{
	meta_column_index_encode(m, out);
}

static void encode_offset_index(const void *m, struct buf *out)
{
	meta_offset_index_encode(m, out);
}

static void encode_page_header(const void *m, struct buf *out)
{
	meta_page_header_encode(m, out);
}

static const struct way all_ways[] = { { decode_file, encode_file },
	                               { decode_column_index, encode_column_index },
	                               { decode_offset_index, encode_offset_index },
	                               { decode_page_header, encode_page_header } };

static void check_again(const struct way *way, struct slice in)
{
	union {
		struct meta_file file;
		struct meta_column_index column_index;
		struct meta_offset_index offset_index;
		struct meta_page_header page_header;
	} m, again;
	struct err err;
	struct arena a;
	AUTO_BUF struct buf first, second;
	buf_init(&first, BUF_MAX_DEFAULT);
	buf_init(&second, BUF_MAX_DEFAULT);
	arena_init(&a);
	if (way->decode(in, &a, BUDGET, &m, &err) == RC_OK) {
		way->encode(&m, &first);
		must(way->decode(buf_slice(&first), &a, BUDGET, &again, &err) == RC_OK);
		way->encode(&again, &second);
		must(slice_eq(buf_slice(&first), buf_slice(&second)));
	}
	arena_free(&a);
}

/* ---- a file around a footer ---- */

static void check_bounds(const struct field *f, const struct parquet_leaf_stats *st)
{
	size_t width = field_width(f);
	must(!width || !st->min.data || st->min.len == width);
	must(!width || !st->max.data || st->max.len == width);
	must(st->nulls >= -1 && (st->raw_min.data || !st->min.data) && (st->raw_max.data || !st->max.data));
}

static void ask_everything(struct parquet_reader *r)
{
	const struct schema *s = parquet_reader_schema(r);
	struct err err;
	struct parquet_leaf_stats st;
	uint32_t groups = parquet_reader_row_group_count(r), fields = 0;
	char path[256], type[32];
	int64_t rows = 0;
	for (uint32_t g = 0; g <= groups; g++) {
		must(parquet_reader_row_group_rows(r, g) >= 0 && (g < groups || !parquet_reader_row_group_rows(r, g)));
		rows += parquet_reader_row_group_rows(r, g);
		parquet_reader_row_group_bytes(r, g);
	}
	must(rows == parquet_reader_rows(r));
	for (const struct field *f = s->root; (f = field_next(s->root, f));) {
		fields++;
		parquet_reader_refused(r, f);
		field_path(f, path, sizeof path);
		if (!type_is_nested(f->type))
			type_name(f, type);
		for (uint32_t g = 0; g <= groups; g++) {
			rc_t rc = parquet_reader_leaf_stats(r, g, f, &st, &err);
			must(rc == (g < groups && !type_is_nested(f->type) ? RC_OK : RC_INVALID));
			if (rc == RC_OK)
				check_bounds(f, &st);
		}
	}
	must(fields == s->field_count);
	parquet_reader_metadata(r, "ARROW:schema");
	parquet_reader_created_by(r);
}

static void check_open(struct slice footer)
{
	AUTO_BUF struct buf file;
	buf_init(&file, BUF_MAX_DEFAULT);
	buf_append_str(&file, "PAR1");
	buf_append_slice(&file, footer);
	buf_u32(&file, (uint32_t)footer.len);
	buf_append_str(&file, "PAR1");
	struct slice bytes = buf_slice(&file);
	const struct parquet_source source = { &bytes, bytes.len, fuzz_read };
	const struct parquet_limits limits = { .footer_bytes = 1 << 16, .meta_bytes = 1 << 20, .page_bytes = 1 << 16, .depth = 20 };
	AUTO(parquet_reader) *r = NULL;
	struct err err;
	if (parquet_reader_open(&source, &limits, &r, &err) == RC_OK)
		ask_everything(r);
}

/* ---- a schema from bytes ---- */

static uint8_t next_byte(struct slice *in)
{
	uint8_t b = in->len ? in->data[0] : 0;
	*in = slice_skip(*in, in->len ? 1 : 0);
	return b;
}

static void annotate(struct meta_schema_element *e, uint8_t what, uint8_t facets)
{
	e->precision = what & 128 ? facets : facets % 40;
	e->scale = facets >> 4;
	META_SET(e, SCHEMA_PRECISION);
	META_SET(e, SCHEMA_SCALE);
	if (what % 64 < 22) {
		e->converted_type = what % 64;
		META_SET(e, SCHEMA_CONVERTED_TYPE);
		return;
	}
	if (what % 64 >= 22 + 20)
		return;
	META_SET(e, SCHEMA_LOGICAL_TYPE);
	struct meta_logical_type *t = &e->logical_type;
	t->has = 1u << (what % 64 - 22); /* bit 0 is no type: one that is newer than this program */
	t->has &= ~1u;
	t->decimal = (struct meta_decimal_type){ .precision = e->precision, .scale = e->scale };
	t->time.unit.has = t->timestamp.unit.has = 1u << (facets % 4) & ~1u;
	t->time.is_adjusted_to_utc = t->timestamp.is_adjusted_to_utc = facets >> 2 & 1;
	t->integer = (struct meta_int_type){ .bit_width = 8 << (facets % 4), .is_signed = facets >> 2 & 1 };
}

#define ELEMENTS 48

/* Elements until the tree is closed; the bytes that are left serve as bounds. Returns the leaves. */
static uint32_t make_schema(struct slice *in, struct meta_schema_element *e, uint32_t *ret_count)
{
	static const struct slice names[] = { SLICE_LIT("a"), SLICE_LIT("array"), SLICE_LIT("a_tuple"), SLICE_LIT("list") };
	uint32_t count = 1, open = 1 + next_byte(in) % 4, leaves = 0;
	e[0] = (struct meta_schema_element){ .has = 1u << SCHEMA_NUM_CHILDREN, .name = SLICE_LIT("schema"), .num_children = (int32_t)open };
	for (; open && count < ELEMENTS; count++, open--) {
		uint8_t kind = next_byte(in), what = next_byte(in), facets = next_byte(in);
		struct meta_schema_element *m = &e[count];
		*m = (struct meta_schema_element){ .has = 1u << SCHEMA_REPETITION, .name = names[facets & 3], .repetition_type = kind >> 3 & 3 };
		if (m->repetition_type == 3)
			m->repetition_type = kind == 0xff ? 3 : 1;
		if (kind & 0x80 && count + open + 4 < ELEMENTS) {
			m->num_children = kind & 3;
			m->has |= 1u << SCHEMA_NUM_CHILDREN;
			open += (uint32_t)m->num_children;
		} else {
			m->type = kind & 7;
			m->type_length = kind & 0x40 ? 16 : kind & 0x20 ? 2 : facets;
			m->has |= 1u << SCHEMA_TYPE | 1u << SCHEMA_TYPE_LENGTH;
			leaves++;
		}
		annotate(m, what, facets);
	}
	*ret_count = count;
	return leaves;
}

static struct slice next_bytes(struct slice *in, size_t n)
{
	struct slice s = slice_of(in->data, n < in->len ? n : in->len);
	*in = slice_skip(*in, s.len);
	return s;
}

static void check_made(struct slice in)
{
	struct meta_schema_element elements[ELEMENTS];
	struct meta_column_chunk chunks[ELEMENTS] = { 0 };
	struct meta_column_order orders[ELEMENTS] = { 0 };
	struct meta_row_group group = { .num_rows = 1 };
	struct meta_file m = { .has = 1u << FILE_COLUMN_ORDERS, .version = 2, .num_rows = 1 };
	m.schema.items = elements;
	group.columns.count = make_schema(&in, elements, &m.schema.count);
	group.columns.items = chunks;
	m.row_groups.items = &group;
	m.row_groups.count = 1;
	m.column_orders.items = orders;
	m.column_orders.count = group.columns.count;
	for (uint32_t i = 0, leaf = 0; i < m.schema.count; i++) {
		if (!META_HAS(&elements[i], SCHEMA_TYPE))
			continue;
		uint8_t how = next_byte(&in);
		struct meta_column_meta *c = &chunks[leaf].meta_data;
		struct meta_statistics *st = &c->statistics;
		chunks[leaf].has = 1u << COLUMN_CHUNK_META_DATA;
		orders[leaf++].has = 1u << (1 + how % 3);
		c->type = elements[i].type;
		c->has = 1u << COLUMN_META_STATISTICS;
		size_t width = (size_t[]){ 1, 4, 8, 12, 4, 8, how >> 4, (size_t)elements[i].type_length }[c->type];
		st->min = st->min_value = next_bytes(&in, width);
		st->max = st->max_value = next_bytes(&in, width);
		st->null_count = (int8_t)how;
		st->is_min_value_exact = how & 1;
		st->has = (how & 0x80 ? 6u : 0) | (how & 0x40 ? 0 : 0x60u) | 1u << STATISTICS_NULL_COUNT | 1u << STATISTICS_IS_MIN_VALUE_EXACT;
	}
	AUTO_BUF struct buf footer;
	buf_init(&footer, BUF_MAX_DEFAULT);
	meta_file_encode(&m, &footer);
	check_open(buf_slice(&footer));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	struct slice in = slice_of(data + 1, size - 1);
	unsigned what = data[0] % 8;
	if (what >= 4) {
		check_made(in);
		return 0;
	}
	check_again(&all_ways[what], in);
	if (what == 0)
		check_open(in);
	return 0;
}
