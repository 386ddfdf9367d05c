/* Physical values → the model's (LogicalTypes.md): widths, units, byte orders. */
#include "parquet/reader_internal.h"

#define JULIAN_EPOCH 2440588 /* Julian day number of 1970-01-01 */
#define DAY_US UINT64_C(86400000000)

static inline int32_t load_i32(const uint8_t *p)
{
	return (int32_t)decode_load32(p);
}

static inline int64_t load_i64(const uint8_t *p)
{
	return (int64_t)decode_load64(p);
}

static inline void store_i64(uint8_t *out, size_t i, int64_t v)
{
	memcpy(out + i * 8, &v, 8);
}

static inline void store_i128(uint8_t *out, size_t i, __int128 v)
{
	memcpy(out + i * 16, &v, 16);
}

/* IEEE 754 half → single, exact. */
static float half_to_float(unsigned h)
{
	uint32_t sign = (uint32_t)(h >> 15) << 31, exponent = h >> 10 & 31, fraction = h & 0x3ff, bits;
	if (exponent == 31) {
		bits = sign | 0x7f800000u | fraction << 13;
	} else if (exponent) {
		bits = sign | (exponent + 112) << 23 | fraction << 13;
	} else if (fraction) { /* subnormal: normalise */
		unsigned shift = (unsigned)__builtin_clz(fraction) - 21;
		bits = sign | (113 - shift) << 23 | (fraction << shift & 0x3ff) << 13;
	} else {
		bits = sign;
	}
	float f;
	memcpy(&f, &bits, 4);
	return f;
}

/* Big-endian two's complement of any length; false if more than `max` bytes are significant. An empty value is 0. */
static bool big_endian(const uint8_t *p, size_t len, size_t max, __int128 *ret)
{
	uint8_t fill = len && p[0] & 0x80 ? 0xff : 0;
	while (len > max && p[0] == fill) {
		p++;
		len--;
	}
	if (len > max || (len == max && (p[0] & 0x80) != (fill & 0x80)))
		return false;
	unsigned __int128 v = fill ? ~(unsigned __int128)0 : 0;
	for (size_t i = 0; i < len; i++)
		v = v << 8 | p[i];
	*ret = (__int128)v;
	return true;
}

static bool convert_decimal_bytes(const struct leaf *l, const uint8_t *in, const uint32_t *offsets, size_t n, uint8_t *out)
{
	bool wide = l->convert == CONVERT_BYTES_I128;
	for (size_t i = 0; i < n; i++) {
		const uint8_t *p = offsets ? in + offsets[i] : in + i * l->width;
		size_t len = offsets ? offsets[i + 1] - offsets[i] : l->width;
		__int128 v;
		if (!big_endian(p, len, wide ? 16 : 8, &v))
			return false;
		if (wide)
			store_i128(out, i, v);
		else
			store_i64(out, i, (int64_t)v);
	}
	return true;
}

static bool convert_times(const struct leaf *l, const uint8_t *in, size_t n, uint8_t *out)
{
	bool bad = false;
	for (size_t i = 0; i < n; i++) {
		int64_t v, days;
		switch (l->convert) {
		case CONVERT_I32_TIMES_1000:
			v = (int64_t)load_i32(in + i * 4) * 1000;
			break;
		case CONVERT_I64_TIMES_1000:
			bad |= __builtin_mul_overflow(load_i64(in + i * 8), (int64_t)1000, &v);
			break;
		case CONVERT_I64_BY_1000:
			v = load_i64(in + i * 8);
			v = v / 1000 - (v % 1000 < 0);
			break;
		default: /* CONVERT_INT96 wraps around as Spark's writer does: its days past 290,000 AD only come right again that way */
			days = (int64_t)load_i32(in + i * 12 + 8) - JULIAN_EPOCH;
			v = load_i64(in + i * 12);
			v = (int64_t)((uint64_t)days * DAY_US + (uint64_t)(v / 1000 - (v % 1000 < 0)));
			break;
		}
		store_i64(out, i, v);
	}
	return !bad;
}

static void convert_integers(const struct leaf *l, const uint8_t *in, size_t n, uint8_t *out)
{
	switch (l->convert) {
	case CONVERT_I32_I64:
		for (size_t i = 0; i < n; i++)
			store_i64(out, i, load_i32(in + i * 4));
		break;
	case CONVERT_U32_I64:
		for (size_t i = 0; i < n; i++)
			store_i64(out, i, (int64_t)decode_load32(in + i * 4));
		break;
	case CONVERT_I32_I128:
		for (size_t i = 0; i < n; i++)
			store_i128(out, i, load_i32(in + i * 4));
		break;
	case CONVERT_I64_I128:
		for (size_t i = 0; i < n; i++)
			store_i128(out, i, load_i64(in + i * 8));
		break;
	default: /* CONVERT_U64_I128 */
		for (size_t i = 0; i < n; i++)
			store_i128(out, i, (__int128)decode_load64(in + i * 8));
	}
}

bool values_convert(const struct leaf *l, const uint8_t *in, const uint32_t *offsets, size_t n, uint8_t *out)
{
	switch (l->convert) {
	case CONVERT_NONE:
		memcpy(out, in, n * field_width(l->field));
		return true;
	case CONVERT_HALF:
		for (size_t i = 0; i < n; i++) {
			float f = half_to_float((unsigned)in[2 * i] | (unsigned)in[2 * i + 1] << 8);
			memcpy(out + i * 4, &f, 4);
		}
		return true;
	case CONVERT_BYTES_I64:
	case CONVERT_BYTES_I128:
		return convert_decimal_bytes(l, in, offsets, n, out);
	case CONVERT_I32_TIMES_1000:
	case CONVERT_I64_TIMES_1000:
	case CONVERT_I64_BY_1000:
	case CONVERT_INT96:
		return convert_times(l, in, n, out);
	default:
		convert_integers(l, in, n, out);
		return true;
	}
}
