#include "parquet/reader.h"

#include "base/test.h"
#include "parquet/meta_internal.h"
#include "parquet/reader_internal.h"
#include "parquet/test_file.h"
#include "parquet/writer.h"

/* ---- random schemas and batches ---- */

static const enum type leaf_types[] = { TYPE_BOOL, TYPE_INT32, TYPE_INT64, TYPE_FLOAT, TYPE_DOUBLE, TYPE_DECIMAL, TYPE_DECIMAL, TYPE_DATE,
					TYPE_TIME, TYPE_TIMESTAMP, TYPE_TIMESTAMPTZ, TYPE_STRING, TYPE_BINARY, TYPE_FIXED, TYPE_UUID };

static void add_random(struct schema *s, struct field *parent, const char *name, int depth, bool leaf_only)
{
	enum type t = leaf_types[rnd(sizeof leaf_types / sizeof *leaf_types)];
	if (!leaf_only && depth < 4 && rnd(3) == 0)
		t = (enum type)(TYPE_STRUCT + rnd(3));
	struct field *f = schema_add(s, parent, slice_str(name), t);
	f->required = leaf_only || rnd(6) == 0;
	f->precision = (uint8_t)(rnd(2) ? 1 + rnd(18) : 19 + rnd(20));
	f->scale = (uint8_t)rnd(f->precision + 1u);
	f->length = 1 + rnd(20);
	if (t != TYPE_DECIMAL)
		f->precision = f->scale = 0;
	if (t != TYPE_FIXED)
		f->length = 0;
	if (t == TYPE_STRUCT) {
		for (uint32_t i = 0, n = 1 + rnd(4); i < n; i++)
			add_random(s, f, (const char *[]){ "a", "b", "c", "d" }[i], depth + 1, false);
	} else if (t == TYPE_LIST) {
		add_random(s, f, "element", depth + 1, false);
	} else if (t == TYPE_MAP) {
		add_random(s, f, "key", depth + 1, true);
		add_random(s, f, "value", depth + 1, false);
	}
}

static void put_random(struct column *c, uint32_t slot, unsigned nulls);

static void put_leaf(struct column *c, uint32_t slot, uint32_t look)
{
	uint8_t bytes[64];
	static uint64_t counter;
	counter++;
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)rnd(256);
	if (look == 1) /* few values: dictionaries */
		memset(bytes, (int)rnd(5), sizeof bytes);
	if (look == 2) { /* ascending: deltas */
		memset(bytes, 0, sizeof bytes);
		memcpy(bytes, &counter, 8);
	}
	const struct field *f = c->field;
	if (f->type == TYPE_STRING || f->type == TYPE_BINARY) {
		size_t len = look == 0 ? rnd(sizeof bytes) : 8 + rnd(3);
		for (size_t i = 0; i < len && f->type == TYPE_STRING; i++)
			bytes[i] = (uint8_t)('a' + bytes[i] % 26);
		column_put_bytes(c, slot, slice_of(bytes, len));
		return;
	}
	size_t width = field_width(f);
	if (f->type == TYPE_BOOL)
		bytes[0] &= 1;
	if (f->type == TYPE_DECIMAL) { /* within the precision */
		__int128 limit = 1, v;
		for (int i = 0; i < f->precision; i++)
			limit *= 10;
		memcpy(&v, bytes, 16);
		v %= limit;
		memcpy(bytes, &v, 16);
	}
	column_put_fixed(c, slot, bytes, width);
}

static uint32_t look_of(const struct field *f)
{
	return (uint32_t)f->id % 3;
}

static void put_random(struct column *c, uint32_t slot, unsigned nulls)
{
	const struct field *f = c->field;
	if (!f->required && rnd(100) < nulls)
		return;
	if (f->type == TYPE_STRUCT) {
		uint32_t i = column_mark(c, slot);
		for (uint32_t k = 0; k < c->child_count; k++)
			put_random(&c->children[k], i, nulls);
	} else if (f->type == TYPE_LIST || f->type == TYPE_MAP) {
		column_list_begin(c, slot);
		for (uint32_t n = rnd(3) ? rnd(4) : 0; n; n--) {
			uint32_t e = column_list_extend(c);
			for (uint32_t k = 0; k < c->child_count; k++)
				put_random(&c->children[k], e, nulls);
		}
	} else {
		put_leaf(c, slot, look_of(f));
	}
}

static void fill_random(struct batch *b, uint32_t rows, unsigned nulls)
{
	for (uint32_t i = 0; i < rows; i++)
		for (uint32_t k = 0; k < b->root.child_count; k++)
			put_random(&b->root.children[k], i, nulls);
	b->rows = rows;
	batch_seal(b);
}

/* ---- comparison ---- */

/* Whether a column has any value in a leaf below: the writer leaves other columns out. */
static bool has_values(const struct column *c)
{
	if (!type_is_nested(c->field->type))
		return c->values > 0;
	for (uint32_t i = 0; i < c->child_count; i++)
		if (has_values(&c->children[i]))
			return true;
	return false;
}

static bool same_column(const struct column *a, const struct column *b)
{
	const struct field *f = a->field, *g = b->field;
	if (f->type == TYPE_MAP && g->type == TYPE_LIST && !a->values) /* only the keys of a map that never occurs were written */
		return a->slots == b->slots && !b->values;
	if (f->type != g->type || f->precision != g->precision || f->scale != g->scale || f->length != g->length || f->id != g->id ||
	    a->slots != b->slots || a->values != b->values)
		return false;
	for (uint32_t i = 0; f->parent && i < a->slots; i++) /* the root has no bitmap */
		if (column_is_present(a, i) != column_is_present(b, i))
			return false;
	for (uint32_t i = 0; b->coded && i < a->values; i++)
		if (!slice_eq(column_bytes_at(a, i), column_bytes_at(b, i)))
			return false;
	if (b->coded)
		return true;
	if (f->type == TYPE_STRING || f->type == TYPE_BINARY || f->type == TYPE_LIST || f->type == TYPE_MAP)
		if (memcmp(a->offsets, b->offsets, ((size_t)a->values + 1) * 4) != 0)
			return false;
	if (!type_is_nested(f->type))
		return slice_eq(buf_slice(&a->data), buf_slice(&b->data));
	for (uint32_t i = 0; i < a->child_count; i++) {
		const struct field *child = field_child(g, a->children[i].field->name);
		if (child ? !same_column(&a->children[i], &b->children[child->index]) : has_values(&a->children[i]))
			return false;
	}
	return true;
}

static bool any_coded(const struct column *c)
{
	for (uint32_t i = 0; i < c->child_count; i++)
		if (any_coded(&c->children[i]))
			return true;
	return c->coded;
}

/* The rows from .. to of `from_column`, appended to `to`. */
static void copy_slots(const struct column *from, uint32_t first, uint32_t n, struct column *to, uint32_t to_first)
{
	uint32_t v = 0;
	for (uint32_t i = 0; i < first; i++)
		v += column_is_present(from, i);
	size_t width = field_width(from->field);
	for (uint32_t i = 0; i < n; i++) {
		if (!column_is_present(from, first + i))
			continue;
		uint32_t slot = to_first + i;
		switch (from->field->type) {
		case TYPE_STRUCT: {
			uint32_t at = column_mark(to, slot);
			for (uint32_t k = 0; k < from->child_count; k++)
				copy_slots(&from->children[k], v, 1, &to->children[k], at);
			break;
		}
		case TYPE_LIST:
		case TYPE_MAP: {
			column_list_begin(to, slot);
			uint32_t count = from->offsets[v + 1] - from->offsets[v], at = to->offsets[to->values];
			for (uint32_t e = 0; e < count; e++)
				column_list_extend(to);
			for (uint32_t k = 0; k < from->child_count; k++)
				copy_slots(&from->children[k], from->offsets[v], count, &to->children[k], at);
			break;
		}
		case TYPE_STRING:
		case TYPE_BINARY:
			column_put_bytes(to, slot, column_bytes_at(from, v));
			break;
		default:
			column_put_fixed(to, slot, from->data.data + (size_t)v * width, width);
		}
		v++;
	}
}

static bool same_batch(const struct batch *a, const struct batch *b)
{
	if (a->rows != b->rows)
		return false;
	return same_column(&a->root, &b->root);
}

static void write_file(const struct batch *batches, size_t n, const struct parquet_writer_options *opts, struct buf *out)
{
	struct parquet_sink sink = { out, memory_write };
	struct parquet_writer *w = NULL;
	struct err err = { 0 };
	rc_t rc = parquet_writer_new(&sink, opts, &w, &err);
	for (size_t i = 0; i < n && rc == RC_OK; i++)
		rc = parquet_writer_row_group(w, &batches[i], &err);
	if (rc == RC_OK) {
		parquet_writer_metadata(w, "purpose", SLICE_LIT("test"));
		parquet_writer_metadata(w, "name", SLICE_LIT("gr\xc3\xb6\xc3\x9f" "e"));
		parquet_writer_metadata(w, "prefix", SLICE_LIT("base64:AAAA"));
		static const uint8_t bytes[] = { 0xff, 0, 0x80, 0xc3, 0x28 };
		for (size_t k = 1; k <= sizeof bytes; k++)
			parquet_writer_metadata(w, (const char *[]){ "b1", "b2", "b3", "b4", "b5" }[k - 1], slice_of(bytes, k));
		rc = parquet_writer_finish(w, batches[0].schema, NULL, &err);
	}
	parquet_writer_free(w);
	if (rc != RC_OK) {
		fprintf(stderr, "writing failed: %s\n", err.text);
		abort();
	}
}

static struct parquet_writer_options random_options(void)
{
	static const enum parquet_codec codecs[] = { PARQUET_UNCOMPRESSED, PARQUET_SNAPPY, PARQUET_GZIP, PARQUET_ZSTD, PARQUET_LZ4_RAW };
	struct parquet_writer_options o;
	parquet_writer_options_default(&o);
	o.codec = codecs[rnd(5)];
	o.level = 1;
	o.page_bytes = rnd(2) ? 64 + rnd(2000) : 1 << 20;
	o.page_rows = rnd(2) ? 1 + rnd(100) : 20000;
	o.dictionary_bytes = rnd(3) ? 1 << 20 : rnd(2) * 100;
	o.page_index = rnd(2);
	o.data_page_v2 = rnd(2);
	o.delta = rnd(2);
	o.byte_stream_split = rnd(2);
	return o;
}

#define GROUPS 2

/* Reads a row range and compares it with the same rows of what was written. */
static bool range_is_right(struct parquet_reader *r, uint32_t g, const struct batch *written, uint32_t from, uint32_t to, struct batch *got,
			   struct err *reterr)
{
	if (parquet_reader_read(r, g, NULL, 0, from, to, got, reterr) != RC_OK)
		return false;
	struct batch want;
	batch_init(&want, written->schema);
	for (uint32_t k = 0; k < want.root.child_count; k++)
		copy_slots(&written->root.children[k], from, to - from, &want.root.children[k], 0);
	want.rows = to - from;
	batch_seal(&want);
	bool same = same_batch(&want, got);
	batch_free(&want);
	return same;
}

TEST(what_the_writer_wrote_reads_equal_whole_and_in_ranges)
{
	bool simd = reader_levels_simd, coded = false;
	for (int round = 0; round < 300; round++) {
		reader_levels_simd = simd && round & 1;
		struct schema *s = schema_new();
		for (uint32_t i = 0, n = 1 + rnd(8); i < n; i++)
			add_random(s, NULL, (const char *[]){ "p", "q", "r", "s", "t", "u", "v", "w" }[i], 0, false);
		schema_assign_ids(s);
		struct batch written[GROUPS];
		for (int g = 0; g < GROUPS; g++) {
			batch_init(&written[g], s);
			fill_random(&written[g], 1 + rnd(rnd(2) ? 20 : 700), (const unsigned[]){ 0, 20, 90, 100 }[rnd(4)]);
		}
		struct parquet_writer_options o = random_options();
		struct buf file;
		buf_init(&file, BUF_MAX_DEFAULT);
		write_file(written, GROUPS, &o, &file);
		struct slice bytes = buf_slice(&file);
		struct parquet_source source = { &bytes, bytes.len, memory_read };
		struct parquet_limits limits = { .window_bytes = 1 + rnd(5000) };
		struct parquet_reader *r = NULL;
		struct err err;
		CHECK_OK(parquet_reader_open(&source, &limits, &r, &err), err);
		CHECK_INT(parquet_reader_row_group_count(r), GROUPS);
		struct batch got;
		batch_init(&got, parquet_reader_schema(r));
		for (uint32_t g = 0; g < GROUPS; g++) {
			got.may_be_coded = rnd(2);
			CHECK_INT(parquet_reader_row_group_rows(r, g), written[g].rows);
			CHECK_OK(parquet_reader_read(r, g, NULL, 0, 0, UINT32_MAX, &got, &err), err);
			CHECK(same_batch(&written[g], &got));
			CHECK(got.may_be_coded || !any_coded(&got.root));
			coded |= any_coded(&got.root);
			uint32_t from = rnd(written[g].rows), to = from + 1 + rnd(written[g].rows - from);
			err_clear(&err);
			if (!range_is_right(r, g, &written[g], from, to, &got, &err))
				TEST_FAIL_("round %d group %u rows %u to %u of %u: %s", round, g, from, to, written[g].rows, err.text);
		}
		batch_free(&got);
		parquet_reader_free(r);
		buf_free(&file);
		for (int g = 0; g < GROUPS; g++)
			batch_free(&written[g]);
		schema_free(s);
	}
	CHECK(coded);
	reader_levels_simd = simd;
}

/* Members that are there whenever their object is: their pages hold the same levels, up to the row where a member begins to be missing. */
static void fill_together(struct batch *b, uint32_t rows)
{
	struct column *o = &b->root.children[0], *list = &o->children[o->child_count - 1], *element = &list->children[0];
	uint32_t alone[16];
	for (uint32_t k = 0; k < 16; k++)
		alone[k] = rnd(2) ? rows : rnd(rows);
	for (uint32_t i = 0; i < rows; i++) {
		if (rnd(10) == 0)
			continue;
		uint32_t slot = column_mark(o, i), n = rnd(4);
		for (uint32_t k = 0; k + 1 < o->child_count; k++)
			if (i < alone[k] || rnd(3))
				put_leaf(&o->children[k], slot, k % 3);
		column_list_begin(list, slot);
		while (n--) {
			uint32_t e = column_mark(element, column_list_extend(list));
			for (uint32_t k = 0; k < element->child_count; k++)
				if (i < alone[8 + k] || rnd(3))
					put_leaf(&element->children[k], e, k % 3);
		}
	}
	b->rows = rows;
	batch_seal(b);
}

TEST(members_that_are_missing_together_up_to_some_row_read_equal)
{
	bool simd = reader_levels_simd;
	for (int round = 0; round < 200; round++) {
		reader_levels_simd = simd && round & 1;
		struct schema *s = schema_new();
		struct field *o = schema_add(s, NULL, SLICE_LIT("o"), TYPE_STRUCT);
		for (uint32_t i = 0; i < 6; i++)
			schema_add(s, o, slice_str((const char *[]){ "a", "b", "c", "d", "e", "f" }[i]), rnd(2) ? TYPE_INT64 : TYPE_STRING);
		struct field *list = schema_add(s, o, SLICE_LIT("l"), TYPE_LIST), *element = schema_add(s, list, SLICE_LIT("element"), TYPE_STRUCT);
		for (uint32_t i = 0; i < 4; i++)
			schema_add(s, element, slice_str((const char *[]){ "a", "b", "c", "d" }[i]), rnd(2) ? TYPE_INT64 : TYPE_STRING);
		schema_assign_ids(s);
		struct batch written, got;
		batch_init(&written, s);
		fill_together(&written, 1 + rnd(3000));
		struct parquet_writer_options options = random_options();
		struct buf file;
		buf_init(&file, BUF_MAX_DEFAULT);
		write_file(&written, 1, &options, &file);
		struct slice bytes = buf_slice(&file);
		struct parquet_source source = { &bytes, bytes.len, memory_read };
		struct parquet_reader *r = NULL;
		struct err err = { 0 };
		CHECK_OK(parquet_reader_open(&source, NULL, &r, &err), err);
		batch_init(&got, parquet_reader_schema(r));
		for (int turn = 0; turn < 4; turn++) {
			got.may_be_coded = rnd(2);
			uint32_t from = turn ? rnd(written.rows) : 0, to = turn ? from + 1 + rnd(written.rows - from) : written.rows;
			if (!range_is_right(r, 0, &written, from, to, &got, &err))
				TEST_FAIL_("round %d rows %u to %u of %u: %s", round, from, to, written.rows, err.text);
		}
		batch_free(&got);
		parquet_reader_free(r);
		buf_free(&file);
		batch_free(&written);
		schema_free(s);
	}
	reader_levels_simd = simd;
}

/* ---- a fixed small file for the rest ---- */

struct sample {
	struct schema *schema;
	struct buf file;
	struct slice bytes;
	struct parquet_source source;
};

#define SAMPLE_ROWS 1000

static int64_t scrambled(uint64_t i)
{
	i = (i + 1) * 0x9e3779b97f4a7c15u;
	i = (i ^ i >> 29) * 0xbf58476d1ce4e5b9u;
	return (int64_t)(i ^ i >> 32);
}

/* n: 0, 1, 2 …; s: "value <i / 100>", null in odd rows; o: struct { x: -i; l: list of i % 3 strings }; h: i scrambled. */
static void sample_make(struct sample *m, size_t page_rows)
{
	m->schema = schema_new();
	struct field *n = schema_add(m->schema, NULL, SLICE_LIT("n"), TYPE_INT64);
	n->required = true;
	schema_add(m->schema, NULL, SLICE_LIT("s"), TYPE_STRING);
	struct field *o = schema_add(m->schema, NULL, SLICE_LIT("o"), TYPE_STRUCT);
	schema_add(m->schema, o, SLICE_LIT("x"), TYPE_INT32);
	struct field *l = schema_add(m->schema, o, SLICE_LIT("l"), TYPE_LIST);
	schema_add(m->schema, l, SLICE_LIT("element"), TYPE_STRING);
	schema_add(m->schema, NULL, SLICE_LIT("h"), TYPE_INT64);
	schema_assign_ids(m->schema);
	struct batch b;
	batch_init(&b, m->schema);
	for (uint32_t i = 0; i < SAMPLE_ROWS; i++) {
		int64_t v = i;
		int32_t x = -(int32_t)i;
		char text[32];
		snprintf(text, sizeof text, "value %u", i / 100);
		column_put_fixed(&b.root.children[0], i, &v, 8);
		if (i % 2 == 0)
			column_put_bytes(&b.root.children[1], i, slice_str(text));
		v = scrambled(i);
		column_put_fixed(&b.root.children[3], i, &v, 8);
		struct column *oc = &b.root.children[2];
		column_mark(oc, i);
		column_put_fixed(&oc->children[0], i, &x, 4);
		column_list_begin(&oc->children[1], i);
		for (uint32_t k = 0; k < i % 3; k++)
			column_put_bytes(&oc->children[1].children[0], column_list_extend(&oc->children[1]), slice_str(text));
	}
	b.rows = SAMPLE_ROWS;
	batch_seal(&b);
	struct parquet_writer_options opts;
	parquet_writer_options_default(&opts);
	opts.page_rows = (uint32_t)page_rows;
	buf_init(&m->file, BUF_MAX_DEFAULT);
	write_file(&b, 1, &opts, &m->file);
	m->bytes = buf_slice(&m->file);
	m->source = (struct parquet_source){ &m->bytes, m->bytes.len, memory_read };
	batch_free(&b);
}

static void sample_free(struct sample *m)
{
	buf_free(&m->file);
	schema_free(m->schema);
}

TEST(columns_that_were_not_asked_for_stay_absent)
{
	struct sample m;
	struct parquet_reader *r = NULL;
	struct err err;
	struct batch b;
	sample_make(&m, 20000);
	CHECK_OK(parquet_reader_open(&m.source, NULL, &r, &err), err);
	CHECK_SLICE(parquet_reader_metadata(r, "purpose"), SLICE_LIT("test"));
	CHECK(!parquet_reader_metadata(r, "nothing").data);
	CHECK_SLICE(parquet_reader_metadata(r, "name"), SLICE_LIT("gr\xc3\xb6\xc3\x9f" "e"));
	CHECK_SLICE(parquet_reader_metadata(r, "prefix"), SLICE_LIT("base64:AAAA"));
	for (size_t k = 1; k <= 5; k++)
		CHECK_SLICE(parquet_reader_metadata(r, (const char *[]){ "b1", "b2", "b3", "b4", "b5" }[k - 1]), slice_of("\xff\0\x80\xc3\x28", k));
	CHECK(!memmem(m.file.data, m.file.len, "\xff\0\x80", 3)); /* readers in Rust want every value to be UTF-8 */
	CHECK_INT(parquet_reader_rows(r), SAMPLE_ROWS);
	batch_init(&b, parquet_reader_schema(r));
	const struct field *o = field_child(parquet_reader_schema(r)->root, SLICE_LIT("o"));
	const struct field *l = field_child(o, SLICE_LIT("l"));
	CHECK_OK(parquet_reader_read(r, 0, &l, 1, 10, 20, &b, &err), err);
	struct column *oc = batch_column(&b, o), *lc = batch_column(&b, l), *n = &b.root.children[0];
	CHECK_INT(b.rows, 10);
	CHECK_INT(n->slots, 10);
	CHECK_INT(n->values, 0);
	CHECK_INT(oc->values, 10);
	CHECK_INT(oc->children[0].values, 0);
	CHECK_INT(lc->values, 10);
	CHECK_INT(lc->offsets[1], 1); /* row 10 has one */
	CHECK_OK(parquet_reader_read(r, 0, &o, 0, 0, UINT32_MAX, &b, &err), err); /* no columns: rows only */
	CHECK_INT(b.rows, SAMPLE_ROWS);
	CHECK_INT(b.root.children[0].values, 0);
	CHECK_OK(parquet_reader_read(r, 0, NULL, 0, 500, 500, &b, &err), err);
	CHECK_INT(b.rows, 0);
	CHECK_RC(parquet_reader_read(r, 1, NULL, 0, 0, 1, &b, &err), RC_INVALID);
	struct field *foreign = m.schema->root->children[0];
	CHECK_RC(parquet_reader_read(r, 0, (const struct field *const *)&foreign, 1, 0, 1, &b, &err), RC_INVALID);
	batch_free(&b);
	parquet_reader_free(r);
	sample_free(&m);
}

TEST(a_row_range_fetches_only_its_pages)
{
	struct sample m;
	struct parquet_reader *r = NULL;
	struct err err;
	struct batch b;
	sample_make(&m, 10);
	struct parquet_limits limits = { .window_bytes = 512 };
	CHECK_OK(parquet_reader_open(&m.source, &limits, &r, &err), err);
	batch_init(&b, parquet_reader_schema(r));
	const struct field *h = field_child(parquet_reader_schema(r)->root, SLICE_LIT("h"));
	struct parquet_leaf_stats stats;
	CHECK_OK(parquet_reader_leaf_stats(r, 0, h, &stats, &err), err);
	CHECK_OK(parquet_reader_read(r, 0, &h, 1, 0, 1, &b, &err), err); /* the offset index is fetched once */
	size_t before = bytes_read;
	CHECK_OK(parquet_reader_read(r, 0, &h, 1, 700, 701, &b, &err), err);
	CHECK(column_i64_at(batch_column(&b, h), 0) == scrambled(700));
	CHECK((int64_t)(bytes_read - before) < stats.compressed / 4);
	batch_free(&b);
	parquet_reader_free(r);
	sample_free(&m);
}

TEST(statistics_bound_the_values)
{
	struct sample m;
	struct parquet_reader *r = NULL;
	struct err err;
	struct parquet_leaf_stats st;
	sample_make(&m, 20000);
	CHECK_OK(parquet_reader_open(&m.source, NULL, &r, &err), err);
	const struct field *root = parquet_reader_schema(r)->root;
	CHECK_OK(parquet_reader_leaf_stats(r, 0, root->children[0], &st, &err), err);
	int64_t v;
	CHECK_INT(st.min.len, 8);
	memcpy(&v, st.min.data, 8);
	CHECK_INT(v, 0);
	memcpy(&v, st.max.data, 8);
	CHECK_INT(v, SAMPLE_ROWS - 1);
	CHECK_INT(st.nulls, 0);
	CHECK_INT(st.values, SAMPLE_ROWS);
	CHECK_OK(parquet_reader_leaf_stats(r, 0, root->children[1], &st, &err), err);
	CHECK_SLICE(st.min, SLICE_LIT("value 0"));
	CHECK_SLICE(st.max, SLICE_LIT("value 9"));
	CHECK_INT(st.nulls, SAMPLE_ROWS / 2);
	CHECK_RC(parquet_reader_leaf_stats(r, 0, root->children[2], &st, &err), RC_INVALID);
	parquet_reader_free(r);
	sample_free(&m);
}

TEST(every_cut_of_a_file_is_refused)
{
	struct sample m;
	struct err err;
	sample_make(&m, 20000);
	for (size_t n = 0; n < m.bytes.len; n++) {
		struct slice cut = { m.bytes.data, n };
		struct parquet_source source = { &cut, n, memory_read };
		struct parquet_reader *r = NULL;
		CHECK_RC(parquet_reader_open(&source, NULL, &r, &err), RC_CORRUPT);
		CHECK(!r);
	}
	sample_free(&m);
}

TEST(a_damaged_byte_never_gives_an_inconsistent_batch)
{
	struct sample m;
	sample_make(&m, 100);
	for (int i = 0; i < 3000; i++) {
		AUTO_MEM uint8_t *copy = mem_alloc(m.bytes.len);
		memcpy(copy, m.bytes.data, m.bytes.len);
		for (uint32_t k = 0; k <= rnd(3); k++)
			copy[rnd((uint32_t)m.bytes.len)] = (uint8_t)rnd(256);
		struct slice bytes = { copy, m.bytes.len };
		struct parquet_source source = { &bytes, bytes.len, memory_read };
		struct parquet_limits limits = { .batch_bytes = 1 << 22, .page_bytes = 1 << 20, .meta_bytes = 1 << 22 };
		struct parquet_reader *r = NULL;
		if (parquet_reader_open(&source, &limits, &r, NULL) != RC_OK)
			continue;
		struct batch b;
		batch_init(&b, parquet_reader_schema(r));
		for (uint32_t g = 0; g < parquet_reader_row_group_count(r) && g < 4; g++)
			if (parquet_reader_read(r, g, NULL, 0, 0, UINT32_MAX, &b, NULL) != RC_OK)
				CHECK_INT(b.rows, 0);
		batch_free(&b);
		parquet_reader_free(r);
	}
	sample_free(&m);
}

TEST(a_read_that_would_pass_its_limits_is_refused)
{
	struct sample m;
	struct err err;
	struct batch b;
	struct parquet_reader *r = NULL;
	sample_make(&m, 20000);
	struct parquet_limits limits = { .batch_bytes = 3000 };
	CHECK_OK(parquet_reader_open(&m.source, &limits, &r, &err), err);
	batch_init(&b, parquet_reader_schema(r));
	CHECK_RC(parquet_reader_read(r, 0, NULL, 0, 0, UINT32_MAX, &b, &err), RC_LIMIT);
	CHECK_INT(b.rows, 0);
	batch_free(&b);
	parquet_reader_free(r);
	r = NULL;
	limits = (struct parquet_limits){ .page_bytes = 100 };
	CHECK_OK(parquet_reader_open(&m.source, &limits, &r, &err), err);
	batch_init(&b, parquet_reader_schema(r));
	CHECK_RC(parquet_reader_read(r, 0, NULL, 0, 0, UINT32_MAX, &b, &err), RC_LIMIT);
	batch_free(&b);
	parquet_reader_free(r);
	limits = (struct parquet_limits){ .footer_bytes = 100 };
	CHECK_RC(parquet_reader_open(&m.source, &limits, &r, &err), RC_LIMIT);
	sample_free(&m);
}

/* A file made by hand: schema elements, one row group whose only column chunk is `pages`. */
static void hand_made(struct meta_schema_element *elements, uint32_t n, struct slice pages, int32_t codec, int64_t values, int64_t rows,
		      struct buf *out)
{
	struct meta_column_chunk chunk = { 0 };
	META_SET(&chunk, COLUMN_CHUNK_META_DATA);
	chunk.meta_data = (struct meta_column_meta){ .type = elements[n - 1].type, .codec = codec, .num_values = values, .data_page_offset = 4,
						     .total_compressed_size = (int64_t)pages.len };
	struct meta_row_group group = { .num_rows = rows };
	group.columns.items = &chunk;
	group.columns.count = 1;
	struct meta_file m = { .version = 1, .num_rows = rows };
	m.schema.items = elements;
	m.schema.count = n;
	m.row_groups.items = &group;
	m.row_groups.count = 1;
	buf_append_str(out, "PAR1");
	buf_append_slice(out, pages);
	size_t before = out->len;
	meta_file_encode(&m, out);
	buf_u32(out, (uint32_t)(out->len - before));
	buf_append_str(out, "PAR1");
}

static rc_t read_hand_made(const struct buf *file, struct batch *ret, struct parquet_reader **ret_r, struct err *reterr)
{
	static struct slice bytes;
	bytes = buf_slice(file);
	struct parquet_source source = { &bytes, bytes.len, memory_read };
	TRY(parquet_reader_open(&source, NULL, ret_r, reterr));
	batch_init(ret, parquet_reader_schema(*ret_r));
	return parquet_reader_read(*ret_r, 0, NULL, 0, 0, UINT32_MAX, ret, reterr);
}

static void page(struct buf *out, int32_t entries, int32_t encoding, struct slice body, int32_t claimed)
{
	struct meta_page_header h = { .type = PAGE_DATA, .uncompressed_page_size = claimed, .compressed_page_size = (int32_t)body.len };
	h.data = (struct meta_data_page){ .num_values = entries, .encoding = encoding, .definition_level_encoding = ENCODING_RLE,
					  .repetition_level_encoding = ENCODING_RLE };
	META_SET(&h, PAGE_HEADER_DATA);
	meta_page_header_encode(&h, out);
	buf_append_slice(out, body);
}

static void elements_leaf(struct meta_schema_element e[2], int32_t type, int32_t repetition)
{
	e[0] = (struct meta_schema_element){ .name = SLICE_LIT("root"), .num_children = 1 };
	META_SET(&e[0], SCHEMA_NUM_CHILDREN);
	e[1] = (struct meta_schema_element){ .name = SLICE_LIT("x"), .type = type, .repetition_type = repetition };
	META_SET(&e[1], SCHEMA_TYPE);
	META_SET(&e[1], SCHEMA_REPETITION);
}

struct hostile {
	const char *what;
	int32_t type, repetition, codec, entries, encoding, claimed; /* claimed: size in the page header; 0 = the true one */
	int64_t values, rows;
	struct slice body;
	rc_t want;
};

TEST(hostile_pages_are_refused_without_being_believed)
{
	const struct hostile cases[] = {
		{ "2 GB page", PARQUET_INT32, 0, PARQUET_ZSTD, 1, ENCODING_PLAIN, INT32_MAX, 1, 1, SLICE_LIT("abcd"), RC_LIMIT },
		{ "2^31 values of width 0 in a dictionary", PARQUET_INT32, 0, 0, INT32_MAX, ENCODING_RLE_DICTIONARY, 0, INT32_MAX, INT32_MAX,
		  SLICE_LIT("\0"), RC_CORRUPT },
		{ "2^31 equal booleans", PARQUET_BOOLEAN, 0, 0, INT32_MAX, ENCODING_RLE, 0, INT32_MAX, INT32_MAX,
		  SLICE_LIT("\6\0\0\0\xfe\xff\xff\xff\x0f\1"), RC_LIMIT },
		{ "2^31 deltas of width 0", PARQUET_INT64, 0, 0, INT32_MAX, ENCODING_DELTA_BINARY_PACKED, 0, INT32_MAX, INT32_MAX,
		  SLICE_LIT("\200\1\4\xff\xff\xff\xff\x07\0"), RC_LIMIT },
		{ "fewer values than entries", PARQUET_INT32, 0, 0, 2, ENCODING_PLAIN, 0, 2, 2, SLICE_LIT("abcd"), RC_CORRUPT },
		{ "string longer than its page", PARQUET_BYTE_ARRAY, 0, 0, 1, ENCODING_PLAIN, 0, 1, 1, SLICE_LIT("\377\377\377\377a"), RC_CORRUPT },
		{ "levels longer than the page", PARQUET_INT32, 1, 0, 1, ENCODING_PLAIN, 0, 1, 1, SLICE_LIT("\377\0\0\0\2\1"), RC_CORRUPT },
		{ "definition level over the maximum", PARQUET_INT32, 1, 0, 1, ENCODING_PLAIN, 0, 1, 1, SLICE_LIT("\2\0\0\0\2\3"), RC_CORRUPT },
		{ "rows that the footer does not count", PARQUET_INT32, 0, 0, 1, ENCODING_PLAIN, 0, 1, 5, SLICE_LIT("abcd"), RC_CORRUPT },
		{ "no list that an element could continue", PARQUET_INT32, 2, 0, 1, ENCODING_PLAIN, 0, 1, 1,
		  SLICE_LIT("\2\0\0\0\2\1\2\0\0\0\2\1abcd"), RC_CORRUPT },
		{ "encoding of the future", PARQUET_INT32, 0, 0, 1, 77, 0, 1, 1, SLICE_LIT("abcd"), RC_UNSUPPORTED },
		{ "encoding ALP", PARQUET_DOUBLE, 0, 0, 1, ENCODING_ALP, 0, 1, 1, SLICE_LIT("abcd"), RC_UNSUPPORTED },
		{ "encoding of another type", PARQUET_DOUBLE, 0, 0, 1, ENCODING_DELTA_BYTE_ARRAY, 0, 1, 1, SLICE_LIT("abcd"), RC_CORRUPT },
		{ "LZO", PARQUET_INT32, 0, PARQUET_LZO, 1, ENCODING_PLAIN, 0, 1, 1, SLICE_LIT("abcd"), RC_UNSUPPORTED },
		{ "codec of the future", PARQUET_INT32, 0, 99, 1, ENCODING_PLAIN, 0, 1, 1, SLICE_LIT("abcd"), RC_UNSUPPORTED },
		{ "more values than the footer says", PARQUET_INT32, 0, 0, 2, ENCODING_PLAIN, 0, 1, 1, SLICE_LIT("abcdefgh"), RC_CORRUPT },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct hostile *c = &cases[i];
		struct meta_schema_element e[2];
		struct buf pages, file;
		struct batch b = { 0 };
		struct parquet_reader *r = NULL;
		struct err err = { 0 };
		buf_init(&pages, 1 << 20);
		buf_init(&file, 1 << 20);
		elements_leaf(e, c->type, c->repetition);
		page(&pages, c->entries, c->encoding, c->body, c->claimed ? c->claimed : (int32_t)c->body.len);
		hand_made(e, 2, buf_slice(&pages), c->codec, c->values, c->rows, &file);
		rc_t rc = read_hand_made(&file, &b, &r, &err);
		if (rc != c->want)
			TEST_FAIL_("%s: %s (%s), want %s", c->what, rc_name(rc), err.text, rc_name(c->want));
		batch_free(&b);
		parquet_reader_free(r);
		buf_free(&pages);
		buf_free(&file);
	}
}

TEST(what_cannot_be_read_is_named_and_can_be_left_out)
{
	struct meta_schema_element e[2];
	struct buf pages, file;
	struct batch b;
	struct parquet_reader *r = NULL;
	struct err err = { 0 };
	buf_init(&pages, 1 << 20);
	buf_init(&file, 1 << 20);
	elements_leaf(e, PARQUET_FIXED_LEN_BYTE_ARRAY, REPETITION_REQUIRED);
	e[1].type_length = 12;
	e[1].converted_type = CONVERTED_INTERVAL;
	META_SET(&e[1], SCHEMA_TYPE_LENGTH);
	META_SET(&e[1], SCHEMA_CONVERTED_TYPE);
	page(&pages, 1, ENCODING_PLAIN, SLICE_LIT("abcdefghijkl"), 12);
	hand_made(e, 2, buf_slice(&pages), 0, 1, 1, &file);
	CHECK_RC(read_hand_made(&file, &b, &r, &err), RC_UNSUPPORTED);
	CHECK(strstr(err.text, "INTERVAL") && strstr(err.text, "column x"));
	CHECK(parquet_reader_refused(r, parquet_reader_schema(r)->root->children[0]));
	const struct field *none = NULL;
	CHECK_OK(parquet_reader_read(r, 0, &none, 0, 0, 1, &b, &err), err);
	CHECK_INT(b.rows, 1);
	batch_free(&b);
	parquet_reader_free(r);
	buf_free(&pages);
	buf_free(&file);
}

TEST(a_schema_too_deep_or_not_closed_is_refused)
{
	struct meta_schema_element e[300];
	struct buf file;
	struct batch b;
	struct parquet_reader *r = NULL;
	struct err err;
	buf_init(&file, 1 << 20);
	for (int i = 0; i < 300; i++) {
		e[i] = (struct meta_schema_element){ .name = SLICE_LIT("g"), .num_children = 1 };
		META_SET(&e[i], SCHEMA_NUM_CHILDREN);
	}
	e[299].num_children = 0;
	META_SET(&e[299], SCHEMA_TYPE);
	hand_made(e, 300, SLICE_LIT(""), 0, 0, 0, &file);
	CHECK_RC(read_hand_made(&file, &b, &r, &err), RC_LIMIT);
	buf_reset(&file);
	hand_made(e, 20, SLICE_LIT(""), 0, 0, 0, &file);
	CHECK_RC(read_hand_made(&file, &b, &r, &err), RC_CORRUPT);
	buf_free(&file);
}

TEST_MAIN()
