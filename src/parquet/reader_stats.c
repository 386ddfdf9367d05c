/* What the footer says about a leaf (parquet.thrift Statistics, ColumnOrder). */
#include "parquet/reader_internal.h"

#include <math.h>

bool reader_has_type_order(const struct parquet_reader *r, const struct leaf *l)
{
	const struct meta_column_order *o = r->meta.column_orders.items;
	return l->index < r->meta.column_orders.count && META_HAS(&o[l->index], COLUMN_ORDER_TYPE);
}

/* The old min and max were compared as signed values whatever the type: right for these only. */
static bool signed_order_fits(const struct leaf *l)
{
	return !l->is_unsigned && (l->physical == PARQUET_BOOLEAN || l->physical == PARQUET_INT32 || l->physical == PARQUET_INT64 ||
				   l->physical == PARQUET_FLOAT || l->physical == PARQUET_DOUBLE);
}

struct slice reader_bound(const struct leaf *l, struct slice raw, bool upper, uint8_t out[16])
{
	const struct slice none = { NULL, 0 };
	const struct field *f = l->field;
	if (f->type == TYPE_STRING || f->type == TYPE_BINARY)
		return raw;
	if (l->physical != PARQUET_BYTE_ARRAY && raw.len != l->width)
		return none;
	if (f->type == TYPE_FIXED || f->type == TYPE_UUID)
		return raw;
	const uint32_t offsets[2] = { 0, (uint32_t)raw.len };
	if (!values_convert(l, raw.data, l->physical == PARQUET_BYTE_ARRAY ? offsets : NULL, 1, out))
		return none;
	if (f->type == TYPE_FLOAT) {
		float v;
		memcpy(&v, out, 4);
		if (isnan(v))
			return none;
		v = v == 0 ? (upper ? 0.0f : -0.0f) : v;
		memcpy(out, &v, 4);
	} else if (f->type == TYPE_DOUBLE) {
		double v;
		memcpy(&v, out, 8);
		if (isnan(v))
			return none;
		v = v == 0 ? (upper ? 0.0 : -0.0) : v;
		memcpy(out, &v, 8);
	}
	return slice_of(out, field_width(f));
}

/* The same, to keep. */
static struct slice keep_bound(struct parquet_reader *r, const struct leaf *l, struct slice raw, bool upper)
{
	uint8_t out[16];
	struct slice s = reader_bound(l, raw, upper, out);
	return s.data == out ? arena_copy(&r->arena, s) : s;
}

static void raw_bounds(const struct parquet_reader *r, const struct leaf *l, const struct meta_statistics *st, struct parquet_leaf_stats *ret)
{
	if (l->refused || l->unordered || l->physical == PARQUET_INT96)
		return; /* no order that anyone has agreed on */
	if (reader_has_type_order(r, l)) {
		if (META_HAS(st, STATISTICS_MIN_VALUE))
			ret->raw_min = st->min_value;
		if (META_HAS(st, STATISTICS_MAX_VALUE))
			ret->raw_max = st->max_value;
		ret->min_exact = META_HAS(st, STATISTICS_IS_MIN_VALUE_EXACT) && st->is_min_value_exact;
		ret->max_exact = META_HAS(st, STATISTICS_IS_MAX_VALUE_EXACT) && st->is_max_value_exact;
	}
	if (!ret->raw_min.data && !ret->raw_max.data && signed_order_fits(l)) {
		if (META_HAS(st, STATISTICS_MIN))
			ret->raw_min = st->min;
		if (META_HAS(st, STATISTICS_MAX))
			ret->raw_max = st->max;
	}
}

rc_t parquet_reader_leaf_stats(struct parquet_reader *r, uint32_t row_group, const struct field *f, struct parquet_leaf_stats *ret,
			       struct err *reterr)
{
	const struct leaf *l = reader_leaf(r, f);
	if (!l || row_group >= r->meta.row_groups.count)
		return err_set(reterr, RC_INVALID, "statistics of something that is no leaf of the Parquet file were asked for");
	const struct meta_column_chunk *k = &r->meta.row_groups.items[row_group].columns.items[l->index];
	struct parquet_leaf_stats out = { .nulls = -1 };
	if (META_HAS(k, COLUMN_CHUNK_META_DATA)) {
		const struct meta_column_meta *m = &k->meta_data;
		out.values = m->num_values;
		out.compressed = m->total_compressed_size;
		out.uncompressed = m->total_uncompressed_size;
		if (META_HAS(m, COLUMN_META_STATISTICS) && m->type == (int32_t)l->physical) {
			if (META_HAS(&m->statistics, STATISTICS_NULL_COUNT) && m->statistics.null_count >= 0)
				out.nulls = m->statistics.null_count;
			raw_bounds(r, l, &m->statistics, &out);
		}
	}
	struct leaf_bounds *b = &r->bounds[(size_t)row_group * r->leaf_count + l->index];
	if (!b->decoded) {
		b->decoded = true;
		if (out.raw_min.data)
			b->min = keep_bound(r, l, out.raw_min, false);
		if (out.raw_max.data)
			b->max = keep_bound(r, l, out.raw_max, true);
	}
	out.min = b->min;
	out.max = b->max;
	*ret = out;
	return RC_OK;
}
