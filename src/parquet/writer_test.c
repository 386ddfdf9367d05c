/* The writer through its front door, read back by this room's reader. tests/interop/parquet_write_test.py does it with others'. */
#include "parquet/writer.h"

#include <stdio.h>

#include "base/test.h"
#include "parquet/reader.h"

struct memory_file {
	struct buf bytes;
	size_t fail_above; /* 0 = never */
};

static rc_t memory_write(void *ctx, const void *data, size_t len, struct err *reterr)
{
	struct memory_file *m = ctx;
	if (m->fail_above && m->bytes.len + len > m->fail_above)
		return err_set(reterr, RC_LIMIT, "the disk is full");
	buf_append(&m->bytes, data, len);
	return RC_OK;
}

static rc_t memory_read(void *ctx, uint64_t offset, size_t len, void *out, struct err *reterr)
{
	memcpy(out, ((struct memory_file *)ctx)->bytes.data + offset, len);
	return RC_OK;
}

static struct field *add(struct schema *s, struct field *parent, const char *name, enum type type)
{
	return schema_add(s, parent, slice_str(name), type);
}

static struct parquet_writer *open_writer(struct memory_file *m, const char *codec)
{
	struct parquet_writer_options o;
	struct parquet_sink sink = { m, memory_write };
	struct parquet_writer *w = NULL;
	buf_init(&m->bytes, BUF_MAX_DEFAULT);
	parquet_writer_options_default(&o);
	o.page_rows = 100;
	if (parquet_codec_parse(slice_str(codec), &o.codec, &o.level, NULL) != RC_OK || parquet_writer_new(&sink, &o, &w, NULL) != RC_OK)
		abort();
	return w;
}

static struct parquet_reader *open_reader(struct memory_file *m)
{
	struct parquet_source source = { m, m->bytes.len, memory_read };
	struct parquet_reader *r = NULL;
	struct err err;
	if (parquet_reader_open(&source, NULL, &r, &err) != RC_OK)
		fprintf(stderr, "  %s\n", err.text);
	return r;
}

/* A file of one row group. */
static void write_batch(struct memory_file *m, const struct schema *s, const struct batch *b)
{
	struct err err;
	AUTO(parquet_writer) *w = open_writer(m, "zstd:1");
	CHECK_OK(parquet_writer_row_group(w, b, &err), err);
	CHECK_OK(parquet_writer_finish(w, s, NULL, &err), err);
}

static void read_group(struct parquet_reader *r, uint32_t group, struct batch *ret)
{
	struct err err;
	if (!r)
		abort();
	batch_init(ret, parquet_reader_schema(r));
	CHECK_OK(parquet_reader_read(r, group, NULL, 0, 0, UINT32_MAX, ret, &err), err);
}

/* Same presence and values for every column that `got` has; *columns counts its leaves. */
static bool same(const struct column *want, const struct column *got, uint32_t *leaves)
{
	if (want->slots != got->slots || want->values != got->values)
		return false;
	for (uint32_t i = 0; i < want->slots; i++)
		if (column_is_present(want, i) != column_is_present(got, i))
			return false;
	bool leaf = !type_is_nested(want->field->type);
	*leaves += leaf;
	if (want->offsets && want->values && memcmp(want->offsets, got->offsets, ((size_t)want->values + 1) * 4) != 0)
		return false;
	if (leaf)
		return slice_eq(buf_slice(&want->data), buf_slice(&got->data));
	for (uint32_t i = 0; i < got->child_count; i++) {
		const struct column *w = NULL;
		for (uint32_t k = 0; k < want->child_count; k++)
			if (slice_eq(want->children[k].field->name, got->children[i].field->name))
				w = &want->children[k];
		if (w ? !same(w, &got->children[i], leaves) : got->children[i].values != 0)
			return false;
	}
	return true;
}

static bool same_batch(const struct batch *want, struct batch *got, uint32_t *leaves)
{
	*leaves = 0;
	if (want->rows != got->rows)
		return false;
	for (uint32_t i = 0; i < got->root.child_count; i++) {
		const struct column *w = NULL;
		for (uint32_t k = 0; k < want->root.child_count; k++)
			if (slice_eq(want->root.children[k].field->name, got->root.children[i].field->name))
				w = &want->root.children[k];
		if (w ? !same(w, &got->root.children[i], leaves) : got->root.children[i].values != 0)
			return false;
	}
	return true;
}

static void put_i64(struct batch *b, struct field *f, uint32_t slot, int64_t v)
{
	column_put_fixed(batch_column(b, f), slot, &v, 8);
}

static void put_text(struct batch *b, struct field *f, uint32_t slot, const char *text)
{
	column_put_bytes(batch_column(b, f), slot, slice_str(text));
}

struct events { /* id, a { x, tags [ string ] }, later also a.late, b */
	struct schema *schema;
	struct field *id, *a, *x, *tags, *tag, *late, *b;
	struct batch batch;
};

static void events_init(struct events *e)
{
	*e = (struct events){ .schema = schema_new() };
	e->id = add(e->schema, NULL, "id", TYPE_INT64);
	e->a = add(e->schema, NULL, "a", TYPE_STRUCT);
	e->x = add(e->schema, e->a, "x", TYPE_STRING);
	e->tags = add(e->schema, e->a, "tags", TYPE_LIST);
	e->tag = add(e->schema, e->tags, "element", TYPE_STRING);
	batch_init(&e->batch, e->schema);
}

static void events_free(struct events *e)
{
	batch_free(&e->batch);
	schema_free(e->schema);
}

static void events_fill(struct events *e, uint32_t rows, uint32_t salt)
{
	char text[32];
	batch_reset(&e->batch);
	for (uint32_t r = 0; r < rows; r++) {
		put_i64(&e->batch, e->id, r, (int64_t)r * 10 + salt);
		if ((r + salt) % 3 == 0)
			continue;
		uint32_t a = column_mark(batch_column(&e->batch, e->a), r);
		snprintf(text, sizeof text, "text %u", r * 7919 % 50);
		if (r % 2)
			put_text(&e->batch, e->x, a, text);
		if (r % 5 == 0)
			continue;
		struct column *tags = batch_column(&e->batch, e->tags);
		column_list_begin(tags, a);
		for (uint32_t k = 0; k < r % 4; k++) {
			uint32_t slot = column_list_extend(tags);
			if (k != 1)
				put_text(&e->batch, e->tag, slot, text);
		}
		if (e->late && r % 7 == 0)
			put_i64(&e->batch, e->late, a, r);
	}
	e->batch.rows = rows;
	batch_seal(&e->batch);
}

TEST(writer_round_trips_with_every_codec)
{
	static const char *const codecs[] = { "uncompressed", "snappy", "gzip:1", "zstd:1", "lz4_raw" };
	for (size_t i = 0; i < sizeof codecs / sizeof codecs[0]; i++) {
		struct memory_file m = { 0 };
		struct events e;
		struct err err;
		uint32_t leaves;
		events_init(&e);
		events_fill(&e, 1000, 0);
		AUTO(parquet_writer) *w = open_writer(&m, codecs[i]);
		CHECK_OK(parquet_writer_row_group(w, &e.batch, &err), err);
		CHECK_OK(parquet_writer_finish(w, e.schema, NULL, &err), err);
		CHECK_INT(parquet_writer_bytes(w), m.bytes.len);
		AUTO(parquet_reader) *r = open_reader(&m);
		struct batch got;
		read_group(r, 0, &got);
		CHECK(same_batch(&e.batch, &got, &leaves));
		CHECK_INT(leaves, 3);
		batch_free(&got);
		buf_free(&m.bytes);
		events_free(&e);
	}
}

TEST(writer_gives_earlier_row_groups_the_late_columns)
{
	struct memory_file m = { 0 };
	struct events e;
	struct err err;
	uint32_t leaves;
	struct parquet_file_info info;
	events_init(&e);
	AUTO(parquet_writer) *w = open_writer(&m, "zstd:1");
	events_fill(&e, 500, 1);
	CHECK_OK(parquet_writer_row_group(w, &e.batch, &err), err);
	e.late = add(e.schema, e.a, "late", TYPE_INT64);
	e.b = add(e.schema, NULL, "b", TYPE_INT64);
	batch_adopt_schema(&e.batch);
	events_fill(&e, 300, 2);
	put_i64(&e.batch, e.b, 299, 5);
	CHECK_OK(parquet_writer_row_group(w, &e.batch, &err), err);
	schema_assign_ids(e.schema);
	CHECK_OK(parquet_writer_finish(w, e.schema, &info, &err), err);
	CHECK_INT(info.rows, 800);
	CHECK_INT(info.bytes, m.bytes.len);
	CHECK_INT(info.split_count, 2);
	CHECK_INT(info.leaf_count, 5);
	CHECK_INT(info.split_offsets[0], 4);
	CHECK(info.split_offsets[1] > 4 && info.split_offsets[1] < info.bytes);
	for (uint32_t i = 0; i < 5; i++)
		CHECK(info.leaves[i].field_id == info.leaves[i].field->id && info.leaves[i].field_id);
	CHECK(info.leaves[4].field == e.b);
	CHECK_INT(info.leaves[4].value_count, 800);
	CHECK_INT(info.leaves[4].null_count, 799);
	CHECK(info.leaves[2].repeated && !info.leaves[2].has_lower);
	parquet_file_info_clear(&info);
	AUTO(parquet_reader) *r = open_reader(&m);
	struct batch got;
	read_group(r, 1, &got);
	CHECK(same_batch(&e.batch, &got, &leaves));
	CHECK_INT(leaves, 5);
	e.late = NULL;
	events_fill(&e, 500, 1);
	CHECK_OK(parquet_reader_read(r, 0, NULL, 0, 0, UINT32_MAX, &got, &err), err);
	CHECK(same_batch(&e.batch, &got, &leaves));
	batch_free(&got);
	buf_free(&m.bytes);
	events_free(&e);
}

TEST(writer_gives_the_same_bytes_for_the_same_batches)
{
	struct memory_file m[2] = { 0 };
	for (int i = 0; i < 2; i++) {
		struct events e;
		struct err err;
		events_init(&e);
		AUTO(parquet_writer) *w = open_writer(&m[i], "zstd:1");
		for (uint32_t g = 0; g < 3; g++) {
			events_fill(&e, 400, g);
			CHECK_OK(parquet_writer_row_group(w, &e.batch, &err), err);
			if (i == 1) /* giving memory back changes nothing */
				CHECK_OK(parquet_writer_rest(w, &err), err);
		}
		parquet_writer_metadata(w, "k", SLICE_LIT("v"));
		CHECK_OK(parquet_writer_finish(w, e.schema, NULL, &err), err);
		events_free(&e);
	}
	CHECK(slice_eq(buf_slice(&m[0].bytes), buf_slice(&m[1].bytes)));
	buf_free(&m[0].bytes);
	buf_free(&m[1].bytes);
}

TEST(writer_tells_spark_the_calendar_of_dates_and_timestamps)
{
	static const enum type types[] = { TYPE_DATE, TYPE_TIMESTAMP, TYPE_TIMESTAMPTZ, TYPE_TIME, TYPE_INT64 };
	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		struct memory_file m = { 0 };
		const int64_t zero = 0;
		AUTO(schema) *s = schema_new();
		struct field *l = add(s, NULL, "l", TYPE_LIST), *e = add(s, l, "element", types[i]);
		struct batch b;
		batch_init(&b, s);
		column_list_begin(batch_column(&b, l), 0);
		column_list_extend(batch_column(&b, l));
		column_put_fixed(batch_column(&b, e), 0, &zero, types[i] == TYPE_DATE ? 4 : 8);
		b.rows = 1;
		batch_seal(&b);
		write_batch(&m, s, &b);
		AUTO(parquet_reader) *r = open_reader(&m);
		struct slice version = parquet_reader_metadata(r, "org.apache.spark.version");
		CHECK_SLICE(version, i < 3 ? SLICE_LIT("3.5.0") : (struct slice){ 0 });
		batch_free(&b);
		buf_free(&m.bytes);
	}
}

TEST(writer_lists_the_ids_of_the_columns_that_the_file_has)
{
	static const char *const names[] = { "a", "b", "without values", "c" };
	for (int ids = 0; ids < 2; ids++) {
		struct memory_file m = { 0 };
		const int64_t one = 1;
		AUTO(schema) *s = schema_new();
		struct batch b;
		for (int i = 0; i < 4; i++)
			add(s, NULL, names[i], TYPE_INT64);
		if (ids)
			schema_assign_ids(s);
		batch_init(&b, s);
		for (uint32_t i = 0; i < 4; i++)
			if (i != 2)
				column_put_fixed(batch_column(&b, s->root->children[i]), 0, &one, 8);
		b.rows = 1;
		batch_seal(&b);
		write_batch(&m, s, &b);
		AUTO(parquet_reader) *r = open_reader(&m);
		CHECK_SLICE(parquet_reader_metadata(r, PARQUET_COLUMNS_KEY), ids ? SLICE_LIT("1-2,4") : (struct slice){ 0 });
		batch_free(&b);
		buf_free(&m.bytes);
	}
}

TEST(writer_keeps_the_presence_of_lists_that_are_always_empty)
{
	struct memory_file m = { 0 };
	uint32_t leaves;
	AUTO(schema) *s = schema_new();
	struct field *l = add(s, NULL, "l", TYPE_LIST), *never = add(s, NULL, "never", TYPE_DOUBLE);
	struct field *e = add(s, l, "element", TYPE_STRUCT);
	add(s, e, "p", TYPE_INT64);
	add(s, e, "q", TYPE_INT64);
	struct batch b, got;
	batch_init(&b, s);
	CHECK(batch_column(&b, never));
	column_list_begin(batch_column(&b, l), 2);
	column_list_begin(batch_column(&b, l), 4);
	b.rows = 6;
	batch_seal(&b);
	write_batch(&m, s, &b);
	AUTO(parquet_reader) *r = open_reader(&m);
	read_group(r, 0, &got);
	CHECK(same_batch(&b, &got, &leaves));
	CHECK_INT(leaves, 1); /* l.element.p alone */
	CHECK_INT(got.root.child_count, 1);
	CHECK_INT(got.root.children[0].values, 2);
	batch_free(&got);
	batch_free(&b);
	buf_free(&m.bytes);
}

/* Levels that siblings have alike are read once, and structure above them that is built again for each goes again: neither counts for each. */
TEST(a_read_is_charged_for_what_it_keeps_of_sparse_siblings)
{
	for (int differs = 0; differs < 2; differs++) {
		struct err err;
		struct memory_file m = { 0 };
		AUTO(schema) *s = schema_new();
		struct field *parents[12], *leaves[64];
		char name[16];
		for (int i = 0; i < 12; i++)
			parents[i] = add(s, i ? parents[i - 1] : NULL, "a", TYPE_STRUCT);
		for (int i = 0; i < 64; i++) {
			snprintf(name, sizeof name, "k%d", i);
			leaves[i] = add(s, parents[11], name, TYPE_INT64);
		}
		struct batch b, got;
		batch_init(&b, s);
		for (uint32_t row = 0; row < 50000; row++) {
			for (int i = 0; i < 12; i++)
				column_mark(batch_column(&b, parents[i]), row);
			for (int i = 0; i < 64; i++)
				if (i == 0 || row < 100 || (differs && row == 49999 && i > 32))
					put_i64(&b, leaves[i], row, row);
		}
		b.rows = 50000;
		batch_seal(&b);
		write_batch(&m, s, &b);
		struct parquet_source source = { &m, m.bytes.len, memory_read };
		struct parquet_limits limits = { .batch_bytes = 1200000 }; /* 64 + 12 bitmaps of 6,250 bytes, 50,000 values of 8 and 63 of 100 */
		AUTO(parquet_reader) *r = NULL;
		CHECK_OK(parquet_reader_open(&source, &limits, &r, &err), err);
		read_group(r, 0, &got);
		CHECK_INT(got.rows, 50000);
		batch_free(&got);
		batch_free(&b);
		buf_free(&m.bytes);
	}
}

TEST(writer_stands_in_a_column_for_rows_without_values)
{
	struct memory_file m = { 0 };
	AUTO(schema) *s = schema_new();
	add(s, add(s, NULL, "a", TYPE_STRUCT), "x", TYPE_STRING);
	add(s, NULL, "y", TYPE_STRING);
	struct batch b;
	batch_init(&b, s);
	b.rows = 3;
	batch_seal(&b);
	write_batch(&m, s, &b);
	AUTO(parquet_reader) *r = open_reader(&m);
	CHECK(r);
	CHECK_INT(parquet_reader_rows(r), 3);
	CHECK_INT(parquet_reader_schema(r)->leaf_count, 1);
	batch_free(&b);
	buf_free(&m.bytes);
}

TEST(writer_starts_every_row_group_with_its_first_column)
{
	/* the schema's first column occurs only in the second row group: its first chunk lies behind, so another one leads */
	struct memory_file m = { 0 };
	struct err err;
	struct parquet_file_info info;
	AUTO(schema) *s = schema_new();
	struct field *first = add(s, NULL, "first", TYPE_INT64), *second = add(s, NULL, "second", TYPE_INT64);
	struct batch b;
	batch_init(&b, s);
	AUTO(parquet_writer) *w = open_writer(&m, "uncompressed");
	for (int g = 0; g < 2; g++) {
		batch_reset(&b);
		for (uint32_t r = 0; r < 50; r++)
			put_i64(&b, g ? first : second, r, r * 1000003);
		b.rows = 50;
		batch_seal(&b);
		CHECK_OK(parquet_writer_row_group(w, &b, &err), err);
	}
	CHECK_OK(parquet_writer_finish(w, s, &info, &err), err);
	CHECK(info.leaves[0].field == second);
	CHECK(info.split_offsets[0] == 4 && info.split_offsets[1] < info.bytes / 2);
	parquet_file_info_clear(&info);
	AUTO(parquet_reader) *r = open_reader(&m);
	CHECK(r);
	CHECK_SLICE(parquet_reader_schema(r)->root->children[0]->name, SLICE_LIT("second"));
	batch_free(&b);
	buf_free(&m.bytes);
}

/* Such a column is compared, not hashed: another value must be seen wherever it stands, be it as long as the others or not. */
TEST(writer_sees_the_one_value_that_differs_in_a_long_column)
{
	static const char *const others[] = { "usual", "usuaL", "usual!", "", "usualusual" };
	for (uint32_t i = 0; i < 14 * 5; i++) {
		uint32_t at = 1000 + i / 5 * 777, rows = 10999 + i % 5, leaves;
		struct memory_file m = { 0 };
		AUTO(schema) *s = schema_new();
		struct field *text = add(s, NULL, "text", TYPE_STRING), *number = add(s, NULL, "number", TYPE_INT64);
		struct batch b, got;
		batch_init(&b, s);
		for (uint32_t row = 0; row < rows; row++) {
			put_text(&b, text, row, row == at ? others[i % 5] : "usual");
			put_i64(&b, number, row, row == at ? 7 + i % 5 : 7);
		}
		b.rows = rows;
		batch_seal(&b);
		write_batch(&m, s, &b);
		AUTO(parquet_reader) *r = open_reader(&m);
		read_group(r, 0, &got);
		CHECK(same_batch(&b, &got, &leaves));
		CHECK_INT(leaves, 2);
		batch_free(&got);
		batch_free(&b);
		buf_free(&m.bytes);
	}
}

TEST(writer_passes_on_the_sinks_failure_and_stays_failed)
{
	struct memory_file m = { .fail_above = 3000 };
	struct events e;
	struct err err;
	events_init(&e);
	events_fill(&e, 1000, 0);
	AUTO(parquet_writer) *w = open_writer(&m, "uncompressed");
	rc_t rc = RC_OK;
	for (int i = 0; i < 2000 && rc == RC_OK; i++) /* bytes leave in pieces of 1 MiB */
		rc = parquet_writer_row_group(w, &e.batch, &err);
	CHECK_INT(rc, RC_LIMIT);
	CHECK_STR(err.text, "the disk is full");
	CHECK_RC(parquet_writer_row_group(w, &e.batch, &err), RC_INVALID);
	CHECK_RC(parquet_writer_finish(w, e.schema, NULL, &err), RC_INVALID);
	buf_free(&m.bytes);
	events_free(&e);
}

TEST(writer_refuses_what_it_cannot_write_truly)
{
	struct memory_file m = { 0 };
	struct err err;
	struct parquet_writer *w;
	AUTO(schema) *s = schema_new(), *other = schema_new();
	struct field *need = add(s, NULL, "need", TYPE_INT64), *d = add(s, NULL, "d", TYPE_DECIMAL);
	need->required = true;
	d->precision = 20;
	struct batch b;
	batch_init(&b, s);
	put_i64(&b, need, 0, 1);
	b.rows = 2;
	batch_seal(&b);
	w = open_writer(&m, "zstd:1");
	CHECK_RC(parquet_writer_row_group(w, &b, &err), RC_INVALID); /* a required column with a null */
	CHECK(strstr(err.text, "need"));
	parquet_writer_free(w);
	buf_free(&m.bytes);
	batch_reset(&b);
	put_i64(&b, need, 0, 1);
	__int128 big = (__int128)1 << 100;
	column_put_fixed(batch_column(&b, d), 0, &big, 16);
	b.rows = 1;
	w = open_writer(&m, "zstd:1");
	CHECK_RC(parquet_writer_row_group(w, &b, &err), RC_INVALID); /* not sealed: root has no slots */
	parquet_writer_free(w);
	buf_free(&m.bytes);
	batch_seal(&b);
	w = open_writer(&m, "zstd:1");
	CHECK_RC(parquet_writer_row_group(w, &b, &err), RC_INVALID); /* 31 digits in decimal(20) */
	parquet_writer_free(w);
	buf_free(&m.bytes);
	w = open_writer(&m, "zstd:1");
	batch_reset(&b);
	put_i64(&b, need, 0, 1);
	b.rows = 1;
	batch_seal(&b);
	CHECK_OK(parquet_writer_row_group(w, &b, &err), err);
	CHECK_RC(parquet_writer_finish(w, other, NULL, &err), RC_INVALID); /* another schema */
	CHECK_OK(parquet_writer_finish(w, s, NULL, &err), err);
	CHECK_RC(parquet_writer_finish(w, s, NULL, &err), RC_INVALID);
	parquet_writer_free(w);
	buf_free(&m.bytes);
	struct parquet_writer_options o;
	parquet_writer_options_default(&o);
	o.codec = PARQUET_BROTLI;
	CHECK_RC(parquet_writer_new(&(struct parquet_sink){ &m, memory_write }, &o, &w, &err), RC_INVALID);
	batch_free(&b);
}

TEST(writer_bounds_are_icebergs)
{
	struct memory_file m = { 0 };
	struct err err;
	struct parquet_file_info info;
	AUTO(schema) *s = schema_new();
	struct field *t = add(s, NULL, "t", TYPE_STRING), *n = add(s, NULL, "n", TYPE_DECIMAL), *f = add(s, NULL, "f", TYPE_DOUBLE);
	n->precision = 9;
	struct batch b;
	batch_init(&b, s);
	put_text(&b, t, 0, "abcdefghijklmnopqrstuvwxyz");
	put_text(&b, t, 1, "zzzzzzzzzzzzzzzzzzzz");
	put_i64(&b, n, 0, -129);
	put_i64(&b, n, 1, 127);
	double v[2] = { (double)__builtin_nan(""), 2.5 };
	column_put_fixed(batch_column(&b, f), 0, &v[0], 8);
	column_put_fixed(batch_column(&b, f), 1, &v[1], 8);
	b.rows = 3;
	batch_seal(&b);
	AUTO(parquet_writer) *w = open_writer(&m, "zstd:1");
	CHECK_OK(parquet_writer_row_group(w, &b, &err), err);
	CHECK_OK(parquet_writer_finish(w, s, &info, &err), err);
	struct parquet_leaf_info *l = info.leaves;
	CHECK_SLICE(slice_of(l[0].lower, l[0].lower_len), SLICE_LIT("abcdefghijklmnop"));
	CHECK_SLICE(slice_of(l[0].upper, l[0].upper_len), SLICE_LIT("zzzzzzzzzzzzzzz{"));
	CHECK_SLICE(slice_of(l[1].lower, l[1].lower_len), SLICE_LIT("\xff\x7f"));
	CHECK_SLICE(slice_of(l[1].upper, l[1].upper_len), SLICE_LIT("\x7f"));
	CHECK_INT(l[2].nan_count, 1);
	CHECK_SLICE(slice_of(l[2].lower, l[2].lower_len), slice_of(&v[1], 8));
	CHECK(l[0].null_count == 1 && l[0].value_count == 3);
	parquet_file_info_clear(&info);
	batch_free(&b);
	buf_free(&m.bytes);
}

TEST_MAIN()
