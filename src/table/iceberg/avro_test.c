#include "base/test.h"
#include "table/iceberg/manifest_internal.h"

static struct err err;
static const uint8_t sync_marker[16] = "0123456789abcdef";

static const char small_schema[] =
	"{\"type\":\"record\",\"name\":\"r\",\"fields\":["
	"{\"name\":\"a\",\"type\":\"long\",\"field-id\":1},"
	"{\"name\":\"b\",\"type\":[\"null\",\"string\"],\"field-id\":2},"
	"{\"name\":\"c\",\"type\":{\"type\":\"array\",\"items\":\"int\"},\"field-id\":3},"
	"{\"name\":\"m\",\"type\":{\"type\":\"map\",\"values\":\"boolean\"},\"field-id\":4}]}";

static void make_small(struct avro_writer *w, int records)
{
	const struct avro_meta_pair meta[] = { { "hello", SLICE_LIT("world") } };
	avro_writer_init(w, sync_marker, slice_str(small_schema), meta, 1);
	for (int i = 0; i < records; i++) {
		avro_put_long(&w->block, i - 3);
		avro_put_branch(&w->block, i % 2);
		if (i % 2)
			avro_put_bytes(&w->block, SLICE_LIT("odd"));
		avro_put_long(&w->block, 2);
		avro_put_long(&w->block, i);
		avro_put_long(&w->block, -i);
		avro_put_long(&w->block, 0);
		avro_put_long(&w->block, 1);
		avro_put_bytes(&w->block, SLICE_LIT("k"));
		buf_byte(&w->block, 1);
		avro_put_long(&w->block, 0);
		avro_writer_end_record(w);
	}
}

TEST(avro_written_is_read_back)
{
	struct avro_writer w;
	make_small(&w, 20000);
	CHECK_OK(avro_writer_finish(&w, &err), err);
	AUTO(avro_reader) *r = NULL;
	CHECK_OK(avro_open(buf_slice(&w.out), &r, &err), err);
	CHECK_SLICE(avro_meta(r, "hello"), SLICE_LIT("world"));
	CHECK(avro_meta(r, "no").data == NULL);
	const struct avro_value *v;
	for (int i = 0; i < 20000; i++) {
		CHECK_OK(avro_next(r, &v, &err), err);
		CHECK_INT(avro_int(avro_field(v, 1, "a"), -99), i - 3);
		CHECK((avro_field(v, 2, "b") != NULL) == (i % 2));
		CHECK_INT(avro_field(v, 3, NULL)->count, 2);
		CHECK_INT(avro_field(v, 4, NULL)->count, 2);
		CHECK_SLICE(avro_bytes(&avro_field(v, 4, NULL)->items[0]), SLICE_LIT("k"));
	}
	CHECK_RC(avro_next(r, &v, &err), RC_EOF);
	CHECK_RC(avro_next(r, &v, &err), RC_EOF);
	avro_writer_free(&w);
}

/* Reads all of it; whatever comes, it comes as a return code. */
static rc_t drain(struct slice file)
{
	struct avro_reader *r;
	rc_t rc = avro_open(file, &r, NULL);
	if (rc != RC_OK)
		return rc;
	const struct avro_value *v;
	while ((rc = avro_next(r, &v, NULL)) == RC_OK)
		;
	avro_close(r);
	return rc;
}

TEST(avro_cut_off_files_are_corrupt)
{
	struct avro_writer w;
	make_small(&w, 50);
	CHECK_OK(avro_writer_finish(&w, &err), err);
	struct slice whole = buf_slice(&w.out);
	size_t head = 0;
	while (memcmp(whole.data + head, sync_marker, 16) != 0)
		head++;
	for (size_t n = 0; n < whole.len; n++) {
		uint8_t *copy = mem_alloc(n + 1);
		memcpy(copy, whole.data, n);
		rc_t rc = drain(slice_of(copy, n));
		free(copy);
		CHECK(n == head + 16 ? rc == RC_EOF : rc == RC_CORRUPT);
	}
	avro_writer_free(&w);
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void mutate(struct slice whole, uint64_t seed, int rounds, rc_t (*use)(struct slice))
{
	uint8_t *copy = mem_alloc(whole.len + 1);
	for (int i = 0; i < rounds; i++) {
		memcpy(copy, whole.data, whole.len);
		for (uint64_t k = next_random(&seed) % 4 + 1; k; k--)
			copy[next_random(&seed) % whole.len] = (uint8_t)next_random(&seed);
		use(slice_of(copy, whole.len));
	}
	free(copy);
}

TEST(avro_hostile_bytes_never_crash)
{
	struct avro_writer w;
	make_small(&w, 50);
	CHECK_OK(avro_writer_finish(&w, &err), err);
	mutate(buf_slice(&w.out), 42, 20000, drain);
	avro_writer_free(&w);
}

static struct buf null_codec_file(const char *schema, const void *block, size_t len, int64_t count)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	buf_append(&b, "Obj\1", 4);
	avro_put_long(&b, 1);
	avro_put_bytes(&b, SLICE_LIT("avro.schema"));
	avro_put_bytes(&b, slice_str(schema));
	avro_put_long(&b, 0);
	buf_append(&b, sync_marker, 16);
	avro_put_long(&b, count);
	avro_put_bytes(&b, slice_of(block, len));
	buf_append(&b, sync_marker, 16);
	return b;
}

TEST(avro_bombs_are_refused)
{
	/* a list of 2^40 nulls in a few bytes; 2^40 empty records in none; types that double at each level; recursion; depth */
	struct buf list, block;
	buf_init(&block, 100);
	avro_put_long(&block, (int64_t)1 << 40);
	list = null_codec_file("{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"a\",\"type\":{\"type\":\"array\",\"items\":\"null\"}}]}",
			       block.data, block.len, 1);
	CHECK_RC(drain(buf_slice(&list)), RC_CORRUPT);
	buf_free(&list);
	list = null_codec_file("{\"type\":\"record\",\"name\":\"r\",\"fields\":[]}", "", 0, (int64_t)1 << 40);
	CHECK_RC(drain(buf_slice(&list)), RC_CORRUPT);
	buf_free(&list);
	list = null_codec_file("{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"a\",\"type\":[\"null\",\"r\"]}]}", "", 0, 0);
	CHECK_RC(drain(buf_slice(&list)), RC_UNSUPPORTED);
	buf_free(&list);
	buf_free(&block);
	struct buf schema;
	buf_init(&schema, 1 << 20);
	for (int i = 0; i < 1000; i++)
		buf_append_str(&schema, "{\"type\":\"array\",\"items\":");
	buf_append_str(&schema, "\"int\"");
	for (int i = 0; i < 1000; i++)
		buf_append_str(&schema, "}");
	list = null_codec_file(buf_cstr(&schema), "", 0, 0);
	CHECK_RC(drain(buf_slice(&list)), RC_CORRUPT);
	buf_free(&list);
	buf_free(&schema);
	struct arena a;
	arena_init(&a);
	buf_init(&schema, 1 << 20);
	buf_append_str(&schema, "{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"x\",\"type\":{\"type\":\"record\",\"name\":\"r0\",\"fields\":[]}}");
	for (int i = 1; i < 30; i++)
		buf_printf(&schema, ",{\"name\":\"f%d\",\"type\":{\"type\":\"record\",\"name\":\"r%d\",\"fields\":[{\"name\":\"a\",\"type\":\"r%d\"},"
				    "{\"name\":\"b\",\"type\":\"r%d\"}]}}", i, i, i - 1, i - 1);
	buf_append_str(&schema, "]}");
	list = null_codec_file(buf_cstr(&schema), "", 0, 1);
	CHECK_RC(drain(buf_slice(&list)), RC_CORRUPT);
	buf_free(&list);
	buf_free(&schema);
	arena_free(&a);
}

TEST(avro_unknown_codec_is_named)
{
	struct buf b;
	buf_init(&b, 1000);
	buf_append(&b, "Obj\1", 4);
	avro_put_long(&b, -1);
	avro_put_long(&b, 20);
	avro_put_bytes(&b, SLICE_LIT("avro.codec"));
	avro_put_bytes(&b, SLICE_LIT("snappy"));
	avro_put_long(&b, 0);
	buf_append(&b, sync_marker, 16);
	struct avro_reader *r;
	CHECK_RC(avro_open(buf_slice(&b), &r, &err), RC_UNSUPPORTED);
	CHECK(strstr(err.text, "snappy"));
	buf_free(&b);
}

/* ---- Manifests ---- */

static struct schema *two_columns(void)
{
	struct schema *s = schema_new();
	schema_add(s, NULL, SLICE_LIT("__time"), TYPE_TIMESTAMPTZ)->role = ROLE_TIME;
	schema_add(s, NULL, SLICE_LIT("text"), TYPE_STRING);
	schema_assign_ids(s);
	return s;
}

static void make_manifest(struct manifest_writer *w, struct schema *s)
{
	static const struct manifest_spec spec = { 0, 1000, 1, "__time_day", "{}", 0 };
	static const int32_t keep[] = { 1, 2 };
	manifest_writer_init(w, &spec, 77, sync_marker);
	for (int i = 0; i < 5; i++) {
		int64_t lower = i, upper = i + 10, splits[] = { 4, 1000 + i };
		struct data_column columns[] = {
			{ 1, 100, 50, 0, -1, slice_of(&lower, 8), slice_of(&upper, 8) },
			{ 2, 200, 50, i, -1, SLICE_LIT("aaa"), SLICE_LIT("zzzzzzzzzzzzzzzzzzzzzzzz") },
			{ 3, 1, 1, 1, 1, { 0 }, { 0 } },
		};
		struct data_file f = { .path = "x", .day = 20000 + i, .record_count = 50, .file_size = 12345 + i, .columns = columns,
				       .column_count = 3, .split_offsets = splits, .split_count = 2 };
		AUTO_MEM char *path = mem_printf("file:///lake/t/data/f%d.parquet", i);
		manifest_writer_add(w, slice_str(path), &f, s, keep, 2);
	}
}

TEST(manifest_written_is_read_back)
{
	AUTO(schema) *s = two_columns();
	struct manifest_writer w;
	make_manifest(&w, s);
	CHECK_OK(manifest_writer_finish(&w, &err), err);
	CHECK_INT(w.sum.files[0], 5);
	CHECK_INT(w.sum.rows[0], 250);
	struct manifest m = w.sum;
	m.sequence = 9;
	CHECK(manifest_may_hold(&m, 20004, 20010) && !manifest_may_hold(&m, 20005, 20010) && !manifest_may_hold(&m, 0, 19999));
	AUTO(manifest_reader) *r = NULL;
	CHECK_OK(manifest_open(buf_slice(&w.avro.out), &m, true, 1000, &r, &err), err);
	const struct manifest_entry *e;
	for (int i = 0; i < 5; i++) {
		CHECK_OK(manifest_next(r, &e, &err), err);
		CHECK_INT(e->status, ENTRY_ADDED);
		CHECK_INT(e->file.sequence, 9);
		CHECK_INT(e->file.snapshot_id, 77);
		CHECK_INT(e->file.day, 20000 + i);
		CHECK_INT(e->file.record_count, 50);
		CHECK_INT(e->file.file_size, 12345 + i);
		CHECK_INT(e->file.split_count, 2);
		CHECK_INT(e->file.split_offsets[1], 1000 + i);
		CHECK_INT(e->file.column_count, 2);
		CHECK_INT(e->file.columns[1].null_count, i);
		CHECK_INT(e->file.columns[1].nan_count, -1);
		CHECK_SLICE(e->file.columns[1].lower, SLICE_LIT("aaa"));
		CHECK_SLICE(e->file.columns[1].upper, SLICE_LIT("zzzzzzzzzzzzzzz{"));
		CHECK(!e->foreign);
	}
	CHECK_RC(manifest_next(r, &e, &err), RC_EOF);
	manifest_writer_free(&w);
}

static rc_t drain_manifest(struct slice file)
{
	struct manifest m = { .spec_id = 0 };
	struct manifest_reader *r;
	rc_t rc = manifest_open(file, &m, true, 1000, &r, NULL);
	if (rc != RC_OK)
		return rc;
	const struct manifest_entry *e;
	while ((rc = manifest_next(r, &e, NULL)) == RC_OK)
		;
	manifest_close(r);
	return rc;
}

static rc_t drain_list(struct slice file)
{
	struct manifest_list l;
	manifest_list_init(&l);
	rc_t rc = manifest_list_read(file, &l, NULL);
	manifest_list_free(&l);
	return rc;
}

TEST(manifest_hostile_bytes_never_crash)
{
	AUTO(schema) *s = two_columns();
	struct manifest_writer w;
	make_manifest(&w, s);
	CHECK_OK(manifest_writer_finish(&w, &err), err);
	mutate(buf_slice(&w.avro.out), 7, 10000, drain_manifest);
	struct manifest_list l;
	manifest_list_init(&l);
	w.sum.path = SLICE_LIT("file:///lake/t/metadata/x-m0.avro");
	manifest_list_add(&l, &w.sum);
	AUTO_BUF struct buf b;
	buf_init(&b, 1 << 20);
	CHECK_OK(manifest_list_write(&l, 77, -1, 1, sync_marker, &b, &err), err);
	CHECK_RC(drain_list(buf_slice(&b)), RC_OK);
	mutate(buf_slice(&b), 8, 10000, drain_list);
	manifest_list_free(&l);
	manifest_writer_free(&w);
}

/* ---- Bounds ---- */

static void check_cut(enum type type, const char *in, size_t len)
{
	struct field f = { .type = type };
	uint8_t lo[TABLE_BOUND_BYTES], up[TABLE_BOUND_BYTES];
	struct slice v = slice_of(in, len), l = bound_cut(&f, v, false, lo), u = bound_cut(&f, v, true, up);
	CHECK(l.data == NULL || (l.len <= TABLE_BOUND_BYTES && slice_cmp(l, v) <= 0));
	CHECK(u.data == NULL || (u.len <= TABLE_BOUND_BYTES && slice_cmp(u, v) >= 0));
}

TEST(bounds_stay_bounds_when_cut)
{
	const char *texts[] = {
		"", "short", "exactly 16 bytes", "exactly 16 bytes.", "\xf4\x8f\xbf\xbf\xf4\x8f\xbf\xbf\xf4\x8f\xbf\xbf\xf4\x8f\xbf\xbf" "x",
		"aaaaaaaaaaaaaaa\xc3\xa4" "b", "aaaaaaaaaaaaa\xed\x9f\xbf" "bb", "aaaaaaaaaaaaaaa\x7f" "z",
		"\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
		"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80",
	};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		check_cut(TYPE_STRING, texts[i], strlen(texts[i]));
		check_cut(TYPE_BINARY, texts[i], strlen(texts[i]));
	}
	uint64_t seed = 5;
	for (int i = 0; i < 20000; i++) {
		char random[24];
		for (size_t k = 0; k < sizeof random; k++)
			random[k] = (char)next_random(&seed);
		check_cut(TYPE_BINARY, random, sizeof random);
		check_cut(TYPE_STRING, random, sizeof random);
	}
	struct field f = { .type = TYPE_STRING };
	uint8_t out[TABLE_BOUND_BYTES];
	CHECK_SLICE(bound_cut(&f, SLICE_LIT("aaaaaaaaaaaaaaa\x7f" "z"), true, out), SLICE_LIT("aaaaaaaaaaaaaab"));
	CHECK(bound_cut(&f, SLICE_LIT("\xf4\x8f\xbf\xbf\xf4\x8f\xbf\xbf\xf4\x8f\xbf\xbf\xf4\x8f\xbf\xbf" "x"), true, out).data == NULL);
}

TEST(bounds_of_decimals_are_big_endian_and_short)
{
	struct field f = { .type = TYPE_DECIMAL, .precision = 18, .scale = 2 };
	uint8_t out[16];
	const struct {
		int64_t v;
		size_t len;
		uint8_t bytes[8];
	} cases[] = { { 0, 1, { 0 } }, { 127, 1, { 0x7f } }, { 128, 2, { 0, 0x80 } }, { -1, 1, { 0xff } }, { -128, 1, { 0x80 } }, { -129, 2, { 0xff, 0x7f } },
		      { 1420, 2, { 0x05, 0x8c } }, { INT64_MIN, 8, { 0x80 } } };
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		CHECK_SLICE(table_bound(&f, slice_of(&cases[i].v, 8), out), slice_of(cases[i].bytes, cases[i].len));
}

TEST_MAIN()
