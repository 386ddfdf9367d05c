/* Bounds: finding them in dense values, merging, and cutting long ones outwards.
 *
 * Floats follow parquet.thrift (ColumnOrder, TYPE_ORDER): NaN never is a bound, a zero minimum is stored as -0.0 and a zero
 * maximum as +0.0.
 */
#include "parquet/write_internal.h"

/* Four of each side by side: one alone would wait for its own last comparison at every value. */
#define DEFINE_FIND_INT(NAME, T)                                                       \
	static void NAME(const T *v, uint32_t n, T *ret_min, T *ret_max)               \
	{                                                                              \
		T min[4] = { v[0], v[0], v[0], v[0] }, max[4] = { v[0], v[0], v[0], v[0] }; \
		uint32_t i = 0;                                                        \
		for (; i + 4 <= n; i += 4) {                                           \
			for (int k = 0; k < 4; k++) {                                  \
				min[k] = v[i + k] < min[k] ? v[i + k] : min[k];        \
				max[k] = v[i + k] > max[k] ? v[i + k] : max[k];        \
			}                                                              \
		}                                                                      \
		for (; i < n; i++) {                                                   \
			min[0] = v[i] < min[0] ? v[i] : min[0];                        \
			max[0] = v[i] > max[0] ? v[i] : max[0];                        \
		}                                                                      \
		for (int k = 1; k < 4; k++) {                                          \
			min[0] = min[k] < min[0] ? min[k] : min[0];                    \
			max[0] = max[k] > max[0] ? max[k] : max[0];                    \
		}                                                                      \
		*ret_min = min[0];                                                     \
		*ret_max = max[0];                                                     \
	}

DEFINE_FIND_INT(find_u8, uint8_t)
DEFINE_FIND_INT(find_i32, int32_t)
DEFINE_FIND_INT(find_i64, int64_t)

/* Comparisons with NaN are false, so NaN never becomes a bound; n of them were skipped. False if there is nothing else. */
#define DEFINE_FIND_FLOAT(NAME, T)                                                     \
	static bool NAME(const T *v, uint32_t n, T *ret_min, T *ret_max, int64_t *nans) \
	{                                                                              \
		T min = (T)__builtin_inf(), max = -(T)__builtin_inf();                 \
		uint32_t nan = 0;                                                      \
		for (uint32_t i = 0; i < n; i++) {                                     \
			nan += v[i] != v[i];                                           \
			min = v[i] < min ? v[i] : min;                                 \
			max = v[i] > max ? v[i] : max;                                 \
		}                                                                      \
		*ret_min = min == 0 ? -(T)0 : min;                                     \
		*ret_max = max == 0 ? (T)0 : max;                                      \
		*nans = nan;                                                           \
		return nan < n;                                                        \
	}

DEFINE_FIND_FLOAT(find_f32, float)
DEFINE_FIND_FLOAT(find_f64, double)

/* The first 8 bytes as a number that orders as they do; shorter values are filled with zeros. */
static inline uint64_t prefix_key(const uint8_t *p, size_t len)
{
	uint64_t v = 0;
	if (len >= 8)
		memcpy(&v, p, 8);
	else if (len >= 4) {
		uint32_t a, b;
		memcpy(&a, p, 4);
		memcpy(&b, p + len - 4, 4);
		v = (uint64_t)a | (uint64_t)b << (8 * (len - 4));
	} else if (len) {
		v = (uint64_t)p[0] | (uint64_t)p[len >> 1] << (8 * (len >> 1)) | (uint64_t)p[len - 1] << (8 * (len - 1));
	}
	return __builtin_bswap64(v);
}

static void find_bytes(const struct values *v, uint32_t first, uint32_t n, struct bounds *ret)
{
	struct slice min = value_at(v, first), max = min;
	uint64_t min_key = prefix_key(min.data, min.len), max_key = min_key;
	for (uint32_t i = first + 1; i < first + n; i++) {
		struct slice s = value_at(v, i);
		uint64_t key = prefix_key(s.data, s.len);
		if (key <= min_key && (key < min_key || slice_cmp(s, min) < 0)) {
			min = s;
			min_key = key;
		} else if (key >= max_key && (key > max_key || slice_cmp(s, max) > 0)) {
			max = s;
			max_key = key;
		}
	}
	ret->min = min;
	ret->max = max;
}

static void dict_bounds(const struct values *v, const struct dict *d, const uint8_t *used, struct bounds *ret)
{
	bool first = true;
	uint64_t min_key = 0, max_key = 0;
	for (uint32_t i = 0; i < d->count; i++) {
		if (!used[i])
			continue;
		uint32_t len = v->width;
		const uint8_t *p = d->page + (size_t)i * v->width;
		if (!v->width) {
			p = d->page + d->where[i] + 4;
			memcpy(&len, p - 4, 4);
		}
		struct slice s = slice_of(p, len);
		uint64_t key = prefix_key(p, len);
		if (first || (key <= min_key && (key < min_key || slice_cmp(s, ret->min) < 0))) {
			ret->min = s;
			min_key = key;
		}
		if (first || (key >= max_key && (key > max_key || slice_cmp(s, ret->max) > 0))) {
			ret->max = s;
			max_key = key;
		}
		first = false;
	}
}

bool stats_find_in_dictionary(const struct values *v, const struct dict *d, const uint32_t *indices, uint32_t n, uint8_t *used, struct bounds *ret)
{
	if (v->kind < VALUE_FIXED || v->kind == VALUE_DECIMAL || n < d->count)
		return false;
	*ret = (struct bounds){ .has = n > 0 };
	memset(used, 0, d->count);
	if (d->count == 1)
		used[0] = n > 0;
	else
		for (uint32_t i = 0; i < n; i++)
			used[indices[i]] = 1;
	dict_bounds(v, d, used, ret);
	return true;
}

static int decimal_compare(struct slice a, struct slice b)
{
	int sign_a = a.len && a.data[0] & 0x80, sign_b = b.len && b.data[0] & 0x80;
	return sign_a != sign_b ? sign_b - sign_a > 0 ? 1 : -1 : slice_cmp(a, b);
}

int stats_compare(enum value_kind kind, struct slice a, struct slice b)
{
#define COMPARE_AS(T)                          \
	do {                                   \
		T x, y;                        \
		memcpy(&x, a.data, sizeof x);  \
		memcpy(&y, b.data, sizeof y);  \
		return (x > y) - (x < y);      \
	} while (0)
	switch (kind) {
	case VALUE_BOOL:
		COMPARE_AS(uint8_t);
	case VALUE_I32:
		COMPARE_AS(int32_t);
	case VALUE_I64:
		COMPARE_AS(int64_t);
	case VALUE_F32:
		COMPARE_AS(float);
	case VALUE_F64:
		COMPARE_AS(double);
	case VALUE_DECIMAL:
		return decimal_compare(a, b);
	default:
		return slice_cmp(a, b);
	}
}

static void find_decimal(const struct values *v, uint32_t first, uint32_t n, struct bounds *ret)
{
	ret->min = ret->max = value_at(v, first);
	for (uint32_t i = first + 1; i < first + n; i++) {
		struct slice s = value_at(v, i);
		if (decimal_compare(s, ret->min) < 0)
			ret->min = s;
		else if (decimal_compare(s, ret->max) > 0)
			ret->max = s;
	}
}

void stats_find(const struct values *v, uint32_t first, uint32_t n, struct bounds *ret)
{
	*ret = (struct bounds){ .has = n > 0 };
	if (!n)
		return;
	const uint8_t *at = v->data + (size_t)first * v->width;
#define FIND_AS(T, CALL)                                                   \
	do {                                                               \
		T min, max;                                                \
		CALL;                                                      \
		memcpy(ret->min_store, &min, sizeof min);                  \
		memcpy(ret->max_store, &max, sizeof max);                  \
		ret->stored = sizeof min;                                  \
	} while (0)
	switch (v->kind) {
	case VALUE_BOOL:
		FIND_AS(uint8_t, find_u8(at, n, &min, &max));
		break;
	case VALUE_I32:
		FIND_AS(int32_t, find_i32((const int32_t *)(const void *)at, n, &min, &max));
		break;
	case VALUE_I64:
		FIND_AS(int64_t, find_i64((const int64_t *)(const void *)at, n, &min, &max));
		break;
	case VALUE_F32:
		FIND_AS(float, ret->has = find_f32((const float *)(const void *)at, n, &min, &max, &ret->nans));
		break;
	case VALUE_F64:
		FIND_AS(double, ret->has = find_f64((const double *)(const void *)at, n, &min, &max, &ret->nans));
		break;
	case VALUE_DECIMAL:
		find_decimal(v, first, n, ret);
		break;
	default:
		find_bytes(v, first, n, ret);
	}
}

void stats_merge(enum value_kind kind, struct bounds *into, const struct bounds *from)
{
	int64_t nans = into->nans + from->nans;
	if (!into->has) {
		*into = *from;
	} else if (from->has) {
		struct slice min = bounds_min(from), max = bounds_max(from);
		if (stats_compare(kind, min, bounds_min(into)) < 0) {
			memcpy(into->min_store, from->min_store, sizeof into->min_store);
			into->min = from->min;
		}
		if (stats_compare(kind, max, bounds_max(into)) > 0) {
			memcpy(into->max_store, from->max_store, sizeof into->max_store);
			into->max = from->max;
		}
	}
	into->nans = nans;
}

static bool is_continuation(uint8_t c)
{
	return (c & 0xc0) == 0x80;
}

/* Bytes of the longest prefix of at most `max` bytes and max_points code points (0: any number) that ends between code points. */
static size_t prefix_at_point(struct slice v, size_t max, size_t max_points)
{
	size_t end = 0, points = 0;
	while (end < v.len) {
		size_t next = end + 1;
		while (next < v.len && is_continuation(v.data[next]) && next - end < 4)
			next++;
		if (next > max || (max_points && points == max_points))
			break;
		end = next;
		points++;
	}
	return end;
}

static bool can_cut(enum value_kind kind)
{
	return kind == VALUE_STRING || kind == VALUE_BINARY;
}

/* Bytes to keep of v; v.len if it is short enough. */
static size_t cut_length(enum value_kind kind, struct slice v, size_t max, size_t max_points)
{
	if (kind == VALUE_STRING) {
		if (v.len <= max && (!max_points || v.len <= max_points))
			return v.len;
		size_t n = prefix_at_point(v, max, max_points);
		/* not one whole code point: no UTF-8, so cut anywhere */
		return n || !v.len ? n : v.len < max ? v.len : max;
	}
	if (max_points && max > max_points)
		max = max_points;
	return v.len < max ? v.len : max;
}

bool stats_cut_lower(enum value_kind kind, struct slice v, size_t max, size_t max_points, uint8_t *out, size_t *ret_len, bool *ret_exact)
{
	size_t n = can_cut(kind) ? cut_length(kind, v, max, max_points) : v.len;
	if (n > max)
		return false;
	if (n)
		memcpy(out, v.data, n);
	*ret_len = n;
	*ret_exact = n == v.len;
	return true;
}

/* Decodes the code point in p[0 .. len), which is one by its first byte and its continuations; -1 if it is none. */
static int32_t point_decode(const uint8_t *p, size_t len)
{
	if (len == 1)
		return p[0] < 0x80 ? p[0] : -1;
	int32_t c = p[0] & (0xff >> (len + 1));
	size_t want = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc2 ? 2 : 0;
	if (want != len || p[0] > 0xf4)
		return -1;
	for (size_t i = 1; i < len; i++)
		c = c << 6 | (p[i] & 0x3f);
	return c > 0x10ffff ? -1 : c;
}

static size_t point_encode(int32_t c, uint8_t *out)
{
	if (c < 0x80) {
		out[0] = (uint8_t)c;
		return 1;
	}
	size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	for (size_t i = n; i-- > 1; c >>= 6)
		out[i] = (uint8_t)(0x80 | (c & 0x3f));
	out[0] = (uint8_t)((0xf00 >> n) | c);
	return n;
}

/* Raises the last code point that can be raised and drops those behind it. False: none can, or this is no UTF-8. */
static bool raise_points(uint8_t *out, size_t *len)
{
	for (size_t end = *len; end;) {
		size_t start = end - 1;
		while (start && end - start < 4 && is_continuation(out[start]))
			start--;
		int32_t c = point_decode(out + start, end - start);
		if (c < 0)
			return false;
		if (c < 0x10ffff) {
			*len = start + point_encode(c == 0xd7ff ? 0xe000 : c + 1, out + start);
			return true;
		}
		end = start;
	}
	return false;
}

static bool raise_bytes(uint8_t *out, size_t *len)
{
	for (size_t n = *len; n; n--)
		if (out[n - 1] != 0xff) {
			out[n - 1]++;
			*len = n;
			return true;
		}
	return false;
}

bool stats_cut_upper(enum value_kind kind, struct slice v, size_t max, size_t max_points, uint8_t *out, size_t *ret_len, bool *ret_exact)
{
	size_t n;
	bool exact;
	if (!stats_cut_lower(kind, v, max, max_points, out, &n, &exact))
		return false;
	if (!exact && !(kind == VALUE_STRING && raise_points(out, &n)) && !(kind == VALUE_BINARY && raise_bytes(out, &n)))
		return false;
	*ret_len = n;
	*ret_exact = exact;
	return true;
}

struct slice stats_iceberg(const struct field *f, enum value_kind kind, struct slice v, uint8_t *out)
{
	if (f->type != TYPE_DECIMAL)
		return v;
	uint8_t big[16];
	if (kind == VALUE_I64 || kind == VALUE_I32) { /* little-endian as stored */
		for (size_t i = 0; i < v.len; i++)
			big[i] = v.data[v.len - 1 - i];
	} else {
		memcpy(big, v.data, v.len);
	}
	/* the shortest two's complement: drop first bytes that only repeat the sign */
	size_t skip = 0;
	while (skip + 1 < v.len && ((big[skip] == 0 && !(big[skip + 1] & 0x80)) || (big[skip] == 0xff && big[skip + 1] & 0x80)))
		skip++;
	memcpy(out, big + skip, v.len - skip);
	return slice_of(out, v.len - skip);
}
