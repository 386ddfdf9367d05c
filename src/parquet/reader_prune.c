/* Predicates against statistics, Bloom filter and page index, cheapest first; each one narrows the ranges that the ones before have left. */
#include "parquet/prune.h"

#include "parquet/reader_internal.h"

void parquet_ranges_clear(struct parquet_ranges *r)
{
	free(r->items);
	*r = (struct parquet_ranges){ 0 };
}

/* Ranges come in order; one that touches the last is joined to it. */
static void range_add(struct parquet_ranges *r, uint32_t from, uint32_t to)
{
	if (from >= to)
		return;
	if (r->count && r->items[r->count - 1].to >= from) {
		if (r->items[r->count - 1].to < to)
			r->items[r->count - 1].to = to;
		return;
	}
	if (r->count == r->cap) {
		r->cap = r->cap ? 2 * r->cap : 8;
		r->items = mem_realloc(r->items, r->cap * sizeof *r->items);
	}
	r->items[r->count++] = (struct parquet_row_range){ from, to };
}

static void ranges_intersect(struct parquet_ranges *into, const struct parquet_ranges *with)
{
	struct parquet_ranges both = { 0 };
	for (uint32_t i = 0, k = 0; i < into->count && k < with->count;) {
		struct parquet_row_range a = into->items[i], b = with->items[k];
		range_add(&both, a.from > b.from ? a.from : b.from, a.to < b.to ? a.to : b.to);
		if (a.to < b.to)
			i++;
		else
			k++;
	}
	parquet_ranges_clear(into);
	*into = both;
}

/* ---- values and bounds ---- */

/* False if either is NaN: then no comparison holds. */
static bool compare(const struct field *f, struct slice a, struct slice b, int *ret)
{
#define COMPARE_AS(T)                         \
	do {                                  \
		T x, y;                       \
		memcpy(&x, a.data, sizeof x); \
		memcpy(&y, b.data, sizeof y); \
		*ret = (x > y) - (x < y);     \
		return x == x && y == y;      \
	} while (0)
	switch (f->type) {
	case TYPE_BOOL:
		COMPARE_AS(uint8_t);
	case TYPE_INT32:
	case TYPE_DATE:
		COMPARE_AS(int32_t);
	case TYPE_FLOAT:
		COMPARE_AS(float);
	case TYPE_DOUBLE:
		COMPARE_AS(double);
	case TYPE_DECIMAL:
		if (f->precision > 18)
			COMPARE_AS(__int128);
		COMPARE_AS(int64_t);
	case TYPE_STRING:
	case TYPE_BINARY:
	case TYPE_FIXED:
	case TYPE_UUID:
		*ret = slice_cmp(a, b);
		return true;
	default:
		COMPARE_AS(int64_t);
	}
#undef COMPARE_AS
}

/* The bounds of a chunk or page; data NULL: not known. */
struct span {
	const struct field *field;
	struct slice min, max;
};

/* Bounds that contradict each other say nothing. */
static void span_check(struct span *s)
{
	int c;
	if (s->min.data && s->max.data && (!compare(s->field, s->min, s->max, &c) || c > 0))
		s->min.data = s->max.data = NULL;
}

/* How the value stands to the span: below it, above it, or (0) inside, as far as is known. */
static int span_place(const struct span *s, struct slice v)
{
	int c;
	if (s->min.data && compare(s->field, v, s->min, &c) && c < 0)
		return -1;
	if (s->max.data && compare(s->field, v, s->max, &c) && c > 0)
		return 1;
	return 0;
}

static bool span_may_match(const struct span *s, const struct parquet_predicate *p)
{
	const struct slice *v = p->values;
	int c;
	switch (p->test) {
	case PARQUET_EQUAL:
	case PARQUET_IN:
		for (uint32_t i = 0; i < p->value_count; i++)
			if (span_place(s, v[i]) == 0)
				return true;
		return false;
	case PARQUET_LESS:
		return !(s->min.data && compare(s->field, s->min, *v, &c) && c >= 0);
	case PARQUET_LESS_EQUAL:
		return !(s->min.data && compare(s->field, s->min, *v, &c) && c > 0);
	case PARQUET_MORE:
		return !(s->max.data && compare(s->field, s->max, *v, &c) && c <= 0);
	case PARQUET_MORE_EQUAL:
		return !(s->max.data && compare(s->field, s->max, *v, &c) && c < 0);
	default:
		return true;
	}
}

/* ---- one predicate ---- */

static bool is_null_test(const struct parquet_predicate *p)
{
	return p->test == PARQUET_IS_NULL || p->test == PARQUET_NOT_NULL;
}

static bool chunk_may_match(const struct leaf *l, const struct parquet_leaf_stats *st, const struct parquet_predicate *p)
{
	if (p->test == PARQUET_IS_NULL)
		return l->max_def > 0 && st->nulls != 0;
	if (st->nulls >= 0 && st->nulls == st->values && !st->raw_min.data && !st->raw_max.data)
		return false;
	struct span s = { l->field, st->min, st->max };
	span_check(&s);
	return span_may_match(&s, p);
}

static rc_t bloom_may_match(struct parquet_reader *r, uint32_t row_group, const struct leaf *l, const struct parquet_predicate *p, bool *ret,
			    struct err *reterr)
{
	*ret = p->test != PARQUET_EQUAL && p->test != PARQUET_IN;
	for (uint32_t i = 0; i < p->value_count && !*ret; i++)
		TRY(reader_bloom_find(r, row_group, l, p->values[i], ret, reterr));
	return RC_OK;
}

static bool page_may_match(const struct leaf *l, const struct meta_column_index *index, uint32_t i, const struct parquet_predicate *p)
{
	bool counted = META_HAS(index, COLUMN_INDEX_NULL_COUNTS), nulls_only = index->null_pages.items[i];
	int64_t nulls = counted ? index->null_counts.items[i] : -1;
	/* a page of nulls that a writer without statistics made up */
	if (nulls_only && (l->max_def == 0 || (counted && nulls <= 0)))
		return true;
	if (p->test == PARQUET_IS_NULL)
		return nulls_only || nulls != 0;
	if (nulls_only)
		return false;
	uint8_t min[16], max[16];
	struct span s = { l->field, reader_bound(l, index->min_values.items[i], false, min), reader_bound(l, index->max_values.items[i], true, max) };
	span_check(&s);
	return span_may_match(&s, p);
}

/* The pages that may match. *ret_known = false: there is no page index to tell. */
static rc_t pages_may_match(struct parquet_reader *r, uint32_t row_group, const struct leaf *l, const struct parquet_predicate *p, uint32_t rows,
			    struct parquet_ranges *ret, bool *ret_known, struct err *reterr)
{
	const struct meta_column_index *index;
	const struct meta_offset_index *places;
	*ret_known = false;
	TRY(reader_column_index(r, row_group, l, &index, reterr));
	TRY(reader_offset_index(r, row_group, l, &places, reterr));
	if (!index || !places || !places->page_locations.count)
		return RC_OK;
	uint32_t n = places->page_locations.count;
	const struct meta_page_location *at = places->page_locations.items;
	if (index->null_pages.count != n)
		return err_set(reterr, RC_CORRUPT, "the column index has %u pages where the offset index has %u", index->null_pages.count, n);
	for (uint32_t i = 0; i < n; i++) {
		uint64_t from = (uint64_t)at[i].first_row_index, to = i + 1 < n ? (uint64_t)at[i + 1].first_row_index : rows;
		/* pages begin with rows; where one does not, its row counts for both */
		to = to > from ? to : from + 1;
		if (from < rows && page_may_match(l, index, i, p))
			range_add(ret, (uint32_t)from, to < rows ? (uint32_t)to : rows);
	}
	*ret_known = true;
	return RC_OK;
}

static rc_t check(const struct parquet_reader *r, const struct parquet_predicate *p, const struct leaf **ret, struct err *reterr)
{
	const struct leaf *l = reader_leaf(r, p->field);
	if (!l)
		return err_set(reterr, RC_INVALID, "a predicate on something that is no leaf of the Parquet file");
	size_t width = field_width(l->field);
	bool good = p->test == PARQUET_IN || p->value_count == !is_null_test(p);
	for (uint32_t i = 0; i < p->value_count && good; i++)
		good = !width || p->values[i].len == width;
	if (!good)
		return err_set(reterr, RC_INVALID, "a predicate on column %.*s has values that do not fit it", SLICE_ARG(l->field->name));
	*ret = l;
	return RC_OK;
}

static rc_t narrow(struct parquet_reader *r, uint32_t row_group, const struct leaf *l, const struct parquet_predicate *p, uint32_t rows,
		   struct parquet_ranges *ret, struct err *reterr)
{
	struct parquet_leaf_stats st;
	bool may;
	TRY(parquet_reader_leaf_stats(r, row_group, l->field, &st, reterr));
	may = chunk_may_match(l, &st, p);
	if (may)
		TRY(bloom_may_match(r, row_group, l, p, &may, reterr));
	if (!may) {
		ret->count = 0;
		return RC_OK;
	}
	if (l->physical == PARQUET_INT96 || l->unordered || !reader_has_type_order(r, l))
		return RC_OK;
	struct parquet_ranges pages = { 0 };
	bool known = false;
	rc_t rc = pages_may_match(r, row_group, l, p, rows, &pages, &known, reterr);
	if (rc == RC_OK && known)
		ranges_intersect(ret, &pages);
	parquet_ranges_clear(&pages);
	return rc;
}

rc_t parquet_reader_prune(struct parquet_reader *r, uint32_t row_group, const struct parquet_predicate *predicates, size_t n,
			  struct parquet_ranges *ret, struct err *reterr)
{
	int64_t rows = parquet_reader_row_group_rows(r, row_group);
	if (row_group >= parquet_reader_row_group_count(r))
		return err_set(reterr, RC_INVALID, "row group %u of %u was asked for", row_group, parquet_reader_row_group_count(r));
	if (rows > INT32_MAX)
		return err_set(reterr, RC_LIMIT, "Parquet row group %u has more than 2^31 rows", row_group);
	struct parquet_ranges left = { 0 };
	range_add(&left, 0, (uint32_t)rows);
	rc_t rc = RC_OK;
	for (size_t i = 0; i < n && rc == RC_OK && left.count; i++) {
		const struct leaf *l = NULL;
		rc = check(r, &predicates[i], &l, reterr);
		if (rc != RC_OK || l->refused)
			continue;
		rc = narrow(r, row_group, l, &predicates[i], (uint32_t)rows, &left, reterr);
		if (rc != RC_OK) {
			char path[200];
			field_path(l->field, path, sizeof path);
			err_prefix(reterr, "Parquet column %s, row group %u", path, row_group);
		}
	}
	if (rc != RC_OK) {
		parquet_ranges_clear(&left);
		return rc;
	}
	parquet_ranges_clear(ret);
	*ret = left;
	return RC_OK;
}

rc_t parquet_reader_may_hold(struct parquet_reader *r, uint32_t row_group, const struct field *f, struct slice value, bool *ret,
			     struct err *reterr)
{
	const struct parquet_predicate p = { f, PARQUET_EQUAL, &value, 1 };
	const struct leaf *l = NULL;
	TRY(check(r, &p, &l, reterr));
	if (row_group >= parquet_reader_row_group_count(r))
		return err_set(reterr, RC_INVALID, "row group %u of %u was asked for", row_group, parquet_reader_row_group_count(r));
	return reader_bloom_find(r, row_group, l, value, ret, reterr);
}
