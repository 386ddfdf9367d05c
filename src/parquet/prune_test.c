#include "parquet/prune.h"

#include <math.h>

#include "base/test.h"
#include "parquet/bloom.h"
#include "parquet/meta_internal.h"
#include "parquet/test_file.h"
#include "parquet/writer.h"

/* ---- Bloom kernels ---- */

TEST(a_bloom_filter_finds_what_was_added_and_little_else)
{
	for (uint32_t n = 1; n < 200000; n = n * 3 + 1) {
		size_t bytes = bloom_bytes(n), wrong = 0;
		CHECK(bytes >= BLOOM_BLOCK && (bytes & (bytes - 1)) == 0 && (bytes == BLOOM_BLOCK || bytes < n * 21 / 8));
		AUTO_MEM uint8_t *blocks = mem_zalloc(bytes, 1);
		for (uint64_t i = 0; i < n; i++)
			bloom_add(blocks, bytes / BLOOM_BLOCK, bloom_hash(&i, 8));
		for (uint64_t i = 0; i < n; i++)
			CHECK(bloom_find(blocks, bytes / BLOOM_BLOCK, bloom_hash(&i, 8)));
		AUTO_MEM uint8_t *folded = mem_zalloc(2 * bytes, 1);
		for (uint64_t i = 0; i < n; i++)
			bloom_add(folded, 2 * bytes / BLOOM_BLOCK, bloom_hash(&i, 8));
		bloom_fold(folded, 2 * bytes / BLOOM_BLOCK);
		CHECK(memcmp(folded, blocks, bytes) == 0);
		for (uint64_t i = n; i < n + 20000u; i++)
			wrong += bloom_find(blocks, bytes / BLOOM_BLOCK, bloom_hash(&i, 8));
		CHECK(wrong <= 20000 / 100 * 3 / 2);
	}
}

TEST(bloom_hashes_are_xxhash64)
{
	CHECK(bloom_hash("", 0) == 0xef46db3751d8e999u && bloom_hash("abc", 3) == 0x44bc2cf5ad770999u);
}

/* ---- a file of random columns ---- */

#define GROUPS 3

static const struct {
	const char *name;
	enum type type;
	uint8_t precision;
} columns[] = { { "b", TYPE_BOOL, 0 },	    { "i", TYPE_INT32, 0 },	{ "l", TYPE_INT64, 0 },	 { "seq", TYPE_INT64, 0 }, { "f", TYPE_FLOAT, 0 },
		{ "d", TYPE_DOUBLE, 0 },    { "d9", TYPE_DECIMAL, 9 },	{ "d18", TYPE_DECIMAL, 18 }, { "d30", TYPE_DECIMAL, 30 },
		{ "day", TYPE_DATE, 0 },    { "at", TYPE_TIMESTAMPTZ, 0 }, { "s", TYPE_STRING, 0 }, { "id", TYPE_STRING, 0 },
		{ "bin", TYPE_BINARY, 0 },  { "fix", TYPE_FIXED, 0 },	{ "u", TYPE_UUID, 0 },	 { "nul", TYPE_INT64, 0 } };
#define COLUMNS (sizeof columns / sizeof *columns)

struct fixture {
	struct schema *schema;
	struct batch groups[GROUPS];
	struct buf file;
	struct slice bytes;
	struct parquet_reader *reader;
};

/* A value of the column's type, of few different ones, so that predicates meet; out holds 200 bytes. */
static struct slice value_of(const struct field *f, uint32_t near, uint8_t *out)
{
	int64_t v = (int64_t)rnd(40) - 20 + near;
	__int128 wide = (__int128)v * (rnd(2) ? 1 : 1000000000) * 1000000007;
	double d = rnd(20) ? (double)v / 4 : (const double[]){ (double)NAN, -0.0, 0.0, (double)INFINITY }[rnd(4)];
	float fl = (float)d;
	int32_t i = (int32_t)v;
	memset(out, 0, 200);
	switch (f->type) {
	case TYPE_BOOL:
		out[0] = v & 1;
		return slice_of(out, 1);
	case TYPE_FLOAT:
		return memcpy(out, &fl, 4), slice_of(out, 4);
	case TYPE_DOUBLE:
		return memcpy(out, &d, 8), slice_of(out, 8);
	case TYPE_INT32:
	case TYPE_DATE:
		return memcpy(out, &i, 4), slice_of(out, 4);
	case TYPE_STRING:
	case TYPE_BINARY: { /* often longer than statistics keep, and equal up to there */
		size_t common = rnd(2) ? 0 : 70;
		memset(out, f->type == TYPE_BINARY && rnd(2) ? 0xff : 'x', common);
		int n = rnd(30) ? snprintf((char *)out + common, 40, "%c%03d", 'a' + (int)(near % 7), (int)v) : 0;
		return slice_of(out, common + (size_t)n);
	}
	case TYPE_FIXED:
	case TYPE_UUID:
		out[0] = (uint8_t)(v * 7);
		out[3] = (uint8_t)rnd(3);
		return slice_of(out, field_width(f));
	case TYPE_DECIMAL:
		if (f->precision > 18)
			return memcpy(out, &wide, 16), slice_of(out, 16);
		return memcpy(out, &v, 8), slice_of(out, 8);
	default:
		return memcpy(out, &v, 8), slice_of(out, 8);
	}
}

static void put(struct column *c, uint32_t slot, struct slice v)
{
	if (field_width(c->field))
		column_put_fixed(c, slot, v.data, v.len);
	else
		column_put_bytes(c, slot, v);
}

static void fill(struct batch *b, uint32_t rows, uint32_t drift, unsigned nulls)
{
	uint8_t bytes[200];
	for (uint32_t row = 0; row < rows; row++) {
		for (uint32_t k = 0; k < COLUMNS; k++) {
			struct column *c = &b->root.children[k];
			bool run_of_nulls = (row / 97 + k) % 5 == 0;
			if (slice_eq_str(c->field->name, "nul") || (!slice_eq_str(c->field->name, "seq") && (rnd(100) < nulls || run_of_nulls)))
				continue;
			put(c, row, value_of(c->field, slice_eq_str(c->field->name, "seq") || drift ? row / 8 : 0, bytes));
		}
		struct column *list = &b->root.children[COLUMNS];
		if (rnd(5)) {
			column_list_begin(list, row);
			for (uint32_t n = rnd(4); n; n--)
				if (rnd(4))
					put(&list->children[0], column_list_extend(list), value_of(list->children[0].field, row / 8, bytes));
				else
					column_list_extend(list);
		}
	}
	b->rows = rows;
	batch_seal(b);
}

static struct parquet_writer_options random_options(void)
{
	struct parquet_writer_options o;
	parquet_writer_options_default(&o);
	o.page_rows = 20 + rnd(100);
	o.page_index = rnd(5) > 0;
	o.data_page_v2 = rnd(2);
	o.dictionary_bytes = rnd(2) ? 1 << 20 : 0;
	o.bloom_filters = rnd(2);
	return o;
}

static bool fixture_make(struct fixture *x, struct err *err)
{
	*x = (struct fixture){ .schema = schema_new() };
	for (size_t i = 0; i < COLUMNS; i++) {
		struct field *f = schema_add(x->schema, NULL, slice_str(columns[i].name), columns[i].type);
		f->precision = columns[i].precision;
		f->length = columns[i].type == TYPE_FIXED ? 5 : 0;
	}
	schema_add(x->schema, schema_add(x->schema, NULL, SLICE_LIT("list"), TYPE_LIST), SLICE_LIT("element"), TYPE_INT64);
	schema_assign_ids(x->schema);
	buf_init(&x->file, BUF_MAX_DEFAULT);
	struct parquet_sink sink = { &x->file, memory_write };
	struct parquet_writer_options o = random_options();
	AUTO(parquet_writer) *w = NULL;
	bool good = parquet_writer_new(&sink, &o, &w, err) == RC_OK;
	for (int g = 0; g < GROUPS; g++) {
		batch_init(&x->groups[g], x->schema);
		fill(&x->groups[g], 1 + rnd(1500), rnd(2), rnd(2) * rnd(60));
		good = good && parquet_writer_row_group(w, &x->groups[g], err) == RC_OK;
	}
	good = good && parquet_writer_finish(w, x->schema, NULL, err) == RC_OK;
	x->bytes = buf_slice(&x->file);
	return good;
}

static rc_t fixture_open(struct fixture *x, struct err *err)
{
	parquet_reader_free(x->reader);
	x->reader = NULL;
	struct parquet_source source = { &x->bytes, x->bytes.len, memory_read };
	return parquet_reader_open(&source, NULL, &x->reader, err);
}

static void fixture_free(struct fixture *x)
{
	parquet_reader_free(x->reader);
	for (int g = 0; g < GROUPS; g++)
		batch_free(&x->groups[g]);
	buf_free(&x->file);
	schema_free(x->schema);
}

/* ---- what is true, said independently of the pruning ---- */

static int order(const struct field *f, struct slice a, struct slice b) /* 2: not ordered */
{
	double x = 0, y = 0;
	float fx, fy;
	int64_t ix = 0, iy = 0;
	__int128 wx = 0, wy = 0;
	int32_t sx, sy;
	if (!field_width(f) || f->type == TYPE_FIXED || f->type == TYPE_UUID)
		return slice_cmp(a, b);
	if (f->type == TYPE_DOUBLE || f->type == TYPE_FLOAT) {
		if (a.len == 8) {
			memcpy(&x, a.data, 8);
			memcpy(&y, b.data, 8);
		} else {
			memcpy(&fx, a.data, 4);
			memcpy(&fy, b.data, 4);
			x = (double)fx, y = (double)fy;
		}
		return isnan(x) || isnan(y) ? 2 : (x > y) - (x < y);
	}
	if (a.len == 16) {
		memcpy(&wx, a.data, 16);
		memcpy(&wy, b.data, 16);
		return (wx > wy) - (wx < wy);
	}
	if (a.len == 4) {
		memcpy(&sx, a.data, 4);
		memcpy(&sy, b.data, 4);
		return (sx > sy) - (sx < sy);
	}
	memcpy(&ix, a.data, a.len);
	memcpy(&iy, b.data, b.len);
	return (ix > iy) - (ix < iy);
}

static bool holds(const struct parquet_predicate *p, struct slice v)
{
	int c = p->value_count ? order(p->field, v, p->values[0]) : 2;
	switch (p->test) {
	case PARQUET_EQUAL:
		return c == 0;
	case PARQUET_LESS:
		return c < 0;
	case PARQUET_LESS_EQUAL:
		return c <= 0;
	case PARQUET_MORE:
		return c > 0 && c != 2;
	case PARQUET_MORE_EQUAL:
		return c >= 0 && c != 2;
	case PARQUET_IN:
		for (uint32_t i = 0; i < p->value_count; i++)
			if (order(p->field, v, p->values[i]) == 0)
				return true;
		return false;
	default:
		return p->test == PARQUET_NOT_NULL;
	}
}

static struct slice dense_at(const struct column *c, uint32_t value)
{
	size_t width = field_width(c->field);
	return width ? slice_of(c->data.data + (size_t)value * width, width) : column_bytes_at(c, value);
}

/* For each row of a column, whether it satisfies p. `list`: the column is its element. */
static void truth(const struct column *c, const struct column *list, const struct parquet_predicate *p, uint32_t rows, bool *ret)
{
	uint32_t value = 0, instance = 0, slot = 0;
	for (uint32_t row = 0; row < rows; row++) {
		bool hit = false;
		if (!list) {
			bool there = column_is_present(c, row);
			hit = there ? holds(p, dense_at(c, value++)) : p->test == PARQUET_IS_NULL;
		} else if (!column_is_present(list, row)) {
			hit = p->test == PARQUET_IS_NULL;
		} else {
			uint32_t n = list->offsets[instance + 1] - list->offsets[instance];
			instance++;
			hit = n == 0 && p->test == PARQUET_IS_NULL;
			for (; n; n--) {
				bool there = column_is_present(c, slot++);
				hit |= there ? holds(p, dense_at(c, value++)) : p->test == PARQUET_IS_NULL;
			}
		}
		ret[row] &= hit;
	}
}

struct made {
	struct parquet_predicate p;
	struct slice values[4];
	uint8_t bytes[4][200];
	uint32_t column; /* of the batch's root */
};

static void predicate_make(struct fixture *x, struct made *m)
{
	m->column = rnd(COLUMNS + 1);
	const struct field *own = x->schema->root->children[m->column], *f = field_child(parquet_reader_schema(x->reader)->root, own->name);
	m->p = (struct parquet_predicate){ f, (enum parquet_test)rnd(PARQUET_NOT_NULL + 1), m->values, 1 };
	if (own->type == TYPE_LIST && f)
		m->p.field = f->children[0];
	if (m->p.test == PARQUET_IN)
		m->p.value_count = rnd(5);
	if (m->p.test >= PARQUET_IS_NULL)
		m->p.value_count = 0;
	for (uint32_t i = 0; i < m->p.value_count && f; i++)
		m->values[i] = value_of(m->p.field, rnd(2) ? rnd(200) : 0, m->bytes[i]);
}

static bool covered(const struct parquet_ranges *r, uint32_t row)
{
	for (uint32_t i = 0; i < r->count; i++)
		if (row >= r->items[i].from && row < r->items[i].to)
			return true;
	return false;
}

static bool well_formed(const struct parquet_ranges *r, uint32_t rows)
{
	for (uint32_t i = 0; i < r->count; i++)
		if (r->items[i].from >= r->items[i].to || r->items[i].to > rows || (i && r->items[i].from <= r->items[i - 1].to))
			return false;
	return true;
}

TEST(pruned_and_filtered_is_filtered)
{
	uint64_t all = 0, left = 0, hits = 0;
	for (int round = 0; round < 40; round++) {
		struct fixture x;
		struct err err = { 0 };
		CHECK(fixture_make(&x, &err));
		CHECK_OK(fixture_open(&x, &err), err);
		for (int k = 0; k < 400; k++) {
			struct made m[2];
			struct parquet_predicate p[2];
			uint32_t n = 1 + rnd(2), g = rnd(GROUPS), rows = x.groups[g].rows;
			for (uint32_t i = 0; i < n; i++) {
				predicate_make(&x, &m[i]);
				p[i] = m[i].p;
			}
			if (!p[0].field || (n > 1 && !p[1].field))
				continue; /* a column without values is not in the file */
			AUTO_MEM bool *want = mem_alloc(rows);
			memset(want, 1, rows);
			for (uint32_t i = 0; i < n; i++) {
				const struct column *c = &x.groups[g].root.children[m[i].column];
				bool list = c->field->type == TYPE_LIST;
				truth(list ? &c->children[0] : c, list ? c : NULL, &p[i], rows, want);
			}
			struct parquet_ranges got = { 0 };
			CHECK_OK(parquet_reader_prune(x.reader, g, p, n, &got, &err), err);
			CHECK(well_formed(&got, rows));
			for (uint32_t row = 0; row < rows; row++) {
				bool in = covered(&got, row);
				all++;
				left += in;
				hits += want[row];
				if (want[row] && !in)
					TEST_FAIL_("round %d: row %u of group %u was lost, column %u, test %d", round, row, g, m[0].column, (int)p[0].test);
			}
			parquet_ranges_clear(&got);
		}
		fixture_free(&x);
	}
	CHECK(hits * 20 > all && left < all * 8 / 10 && left > hits);
}

static struct slice id_of(uint32_t column, uint64_t i, uint8_t *out)
{
	uint64_t h = bloom_hash(&i, 8);
	if (column == 0)
		return slice_of(out, (size_t)snprintf((char *)out, 40, "%016llx%016llx", (unsigned long long)h, (unsigned long long)(h * h)));
	memcpy(out, &h, 8);
	h *= h;
	memcpy(out + 8, &h, 8);
	return slice_of(out, column == 1 ? 8 : 16);
}

/* Columns: ids as text, as numbers and as UUIDs; then what gets no filter: ascending numbers, few values, unique but long texts, doubles. */
static void fill_ids(struct batch *b, uint32_t rows, uint64_t from)
{
	uint8_t out[200];
	for (uint32_t i = 0; i < rows; i++) {
		for (uint32_t k = 0; k < 3; k++)
			if (k != 1 || i % 3)
				put(&b->root.children[k], i, id_of(k, from + i, out));
		int64_t seq = (int64_t)(from + i) * 1000 + rnd(900), few = rnd(50);
		double d = (double)(seq * 7919);
		column_put_fixed(&b->root.children[3], i, &seq, 8);
		column_put_fixed(&b->root.children[4], i, &few, 8);
		for (size_t n = 0; n < 150; n++)
			out[n] = (uint8_t)('a' + rnd(26));
		column_put_bytes(&b->root.children[5], i, slice_of(out, 150));
		column_put_fixed(&b->root.children[6], i, &d, 8);
	}
	b->rows = rows;
	batch_seal(b);
}

TEST(ids_get_a_bloom_filter_and_other_columns_do_not)
{
	static const enum type types[] = { TYPE_STRING, TYPE_INT64, TYPE_UUID, TYPE_INT64, TYPE_INT64, TYPE_STRING, TYPE_DOUBLE };
	struct fixture x = { .schema = schema_new() };
	struct err err = { 0 };
	char name[] = "c0";
	for (size_t i = 0; i < 7; i++, name[1]++)
		schema_add(x.schema, NULL, slice_str(name), types[i]);
	schema_assign_ids(x.schema);
	buf_init(&x.file, BUF_MAX_DEFAULT);
	struct parquet_sink sink = { &x.file, memory_write };
	struct parquet_writer_options o;
	parquet_writer_options_default(&o);
	o.bloom_filters = true;
	AUTO(parquet_writer) *w = NULL;
	CHECK_OK(parquet_writer_new(&sink, &o, &w, &err), err);
	static const uint32_t rows[GROUPS] = { 30000, 900, 7000 }; /* 900 are too few */
	for (uint32_t g = 0; g < GROUPS; g++) {
		batch_init(&x.groups[g], x.schema);
		fill_ids(&x.groups[g], rows[g], g * 100000);
		CHECK_OK(parquet_writer_row_group(w, &x.groups[g], &err), err);
	}
	CHECK_OK(parquet_writer_finish(w, x.schema, NULL, &err), err);
	x.bytes = buf_slice(&x.file);
	CHECK_OK(fixture_open(&x, &err), err);
	const struct field *root = parquet_reader_schema(x.reader)->root;
	uint8_t out[200];
	for (uint32_t g = 0; g < GROUPS; g++)
		for (uint32_t k = 0; k < 7; k++) {
			uint32_t found = 0, wrong = 0;
			bool may;
			for (uint32_t i = 0; i < 3000 && k < 3; i++) {
				struct slice v = id_of(k, g * 100000 + i % rows[g], out);
				CHECK_OK(parquet_reader_may_hold(x.reader, g, root->children[k], v, &may, &err), err);
				found += may || (k == 1 && i % rows[g] % 3 == 0);
			}
			CHECK(k >= 3 || found == 3000);
			for (uint32_t i = 0; i < 3000; i++) {
				memcpy(out, &i, 4);
				struct slice v = k < 3 ? id_of(k, 1000000 + i, out) : slice_of(out, types[k] == TYPE_STRING ? 4 : 8);
				CHECK_OK(parquet_reader_may_hold(x.reader, g, root->children[k], v, &may, &err), err);
				wrong += may;
			}
			if (k < 3 && rows[g] > 1000 ? wrong >= 60 : wrong != 3000)
				TEST_FAIL_("group %u column %u: %u of 3000 absent values may be there", g, k, wrong);
		}
	fixture_free(&x);
}

TEST(a_predicate_that_is_none_is_refused)
{
	struct fixture x;
	struct err err = { 0 };
	CHECK(fixture_make(&x, &err));
	CHECK_OK(fixture_open(&x, &err), err);
	const struct field *root = parquet_reader_schema(x.reader)->root, *l = field_child(root, SLICE_LIT("l"));
	int64_t seven = 7;
	struct slice value = slice_of((const uint8_t *)&seven, 8), shorter = slice_of(value.data, 4);
	struct parquet_ranges got = { 0 };
	struct parquet_predicate bad[] = { { l, PARQUET_EQUAL, &value, 0 },   { l, PARQUET_EQUAL, &shorter, 1 }, { l, PARQUET_IS_NULL, &value, 1 },
					   { root, PARQUET_EQUAL, &value, 1 }, { x.schema->root->children[1], PARQUET_IS_NULL, NULL, 0 } };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		CHECK_RC(parquet_reader_prune(x.reader, 0, &bad[i], 1, &got, &err), RC_INVALID);
	bool may = false;
	CHECK_RC(parquet_reader_prune(x.reader, GROUPS, NULL, 0, &got, &err), RC_INVALID);
	CHECK_RC(parquet_reader_may_hold(x.reader, GROUPS, l, value, &may, &err), RC_INVALID);
	CHECK_RC(parquet_reader_may_hold(x.reader, 0, l, shorter, &may, &err), RC_INVALID);
	CHECK_OK(parquet_reader_prune(x.reader, 0, NULL, 0, &got, &err), err);
	CHECK(got.count == 1 && got.items[0].from == 0 && got.items[0].to == x.groups[0].rows);
	parquet_ranges_clear(&got);
	fixture_free(&x);
}

/* Any answer and any error, but within bounds: the sanitizers see to that. */
TEST(damaged_indexes_and_filters_are_survived)
{
	struct fixture x;
	struct err err = { 0 };
	uint32_t failed = 0;
	CHECK(fixture_make(&x, &err));
	AUTO_MEM uint8_t *whole = mem_alloc(x.file.len);
	memcpy(whole, x.file.data, x.file.len);
	size_t data_end = x.file.len - (x.file.len < 30000 ? x.file.len : 30000);
	for (int round = 0; round < 3000; round++) {
		memcpy(x.file.data, whole, x.file.len);
		for (uint32_t n = 1 + rnd(6); n; n--)
			x.file.data[data_end + rnd((uint32_t)(x.file.len - data_end))] = (uint8_t)(rnd(2) ? rnd(256) : 0xff);
		if (fixture_open(&x, &err) != RC_OK) {
			failed++;
			continue;
		}
		for (uint32_t g = 0; g < parquet_reader_row_group_count(x.reader) && g < GROUPS; g++)
			for (int k = 0; k < 4; k++) {
				struct made m;
				struct parquet_ranges got = { 0 };
				predicate_make(&x, &m);
				if (m.p.field && !type_is_nested(m.p.field->type) && parquet_reader_prune(x.reader, g, &m.p, 1, &got, &err) == RC_OK)
					CHECK(well_formed(&got, UINT32_MAX));
				parquet_ranges_clear(&got);
			}
	}
	CHECK(failed < 3000);
	fixture_free(&x);
}

TEST_MAIN()
