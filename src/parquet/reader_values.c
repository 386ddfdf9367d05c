/* Encoded values → the column's values: chooses kernels by encoding and type, checks sizes first. */
#include "parquet/reader_internal.h"

#define INDEX_CHUNK 4096

rc_t reader_charge(struct parquet_reader *r, uint64_t bytes, struct err *reterr)
{
	if (bytes > r->batch_left)
		return err_set(reterr, RC_LIMIT, "the rows asked for take more than %zu bytes: ask for fewer rows or raise the limit",
			       r->limits.batch_bytes);
	r->batch_left -= (size_t)bytes;
	return RC_OK;
}

/* Room for `bytes` more in b, with a pad behind, charged. */
static rc_t room(struct parquet_reader *r, struct buf *b, uint64_t bytes, struct err *reterr)
{
	TRY(reader_charge(r, bytes, reterr));
	if (!buf_reserve(b, (size_t)bytes + DECODE_PAD))
		return err_set(reterr, RC_LIMIT, "the rows asked for take more than %zu bytes in one column: ask for fewer rows", b->max);
	return RC_OK;
}

static rc_t short_page(struct err *reterr)
{
	return err_set(reterr, RC_CORRUPT, "a page holds fewer values than its header says, or damaged ones");
}

static rc_t wrong_encoding(const struct page *p, struct err *reterr)
{
	if (p->encoding < 0 || p->encoding > ENCODING_BYTE_STREAM_SPLIT)
		return err_set(reterr, RC_UNSUPPORTED, "page encoding %s%d is not supported", p->encoding == ENCODING_ALP ? "ALP " : "", p->encoding);
	return err_set(reterr, RC_CORRUPT, "page encoding %d does not go with the column's type", p->encoding);
}

static bool is_bytes(const struct field *f)
{
	return f->type == TYPE_STRING || f->type == TYPE_BINARY;
}

/* ---- fixed width ---- */

/* All `total` delta values; the range of them goes to out. */
static rc_t delta_fixed(struct parquet_reader *r, const struct leaf *l, const struct page *p, size_t skip, size_t take, size_t total,
			uint8_t *out, struct err *reterr)
{
	bool whole = !skip && take == total;
	uint8_t *to = out;
	if (!whole) {
		buf_reset(&r->numbers);
		TRY(room(r, &r->numbers, (uint64_t)total * l->width, reterr));
		to = r->numbers.data;
	}
	size_t used = l->width == 4 ? delta_decode_i32(p->values, p->values_end, (int32_t *)to, total)
				    : delta_decode_i64(p->values, p->values_end, (int64_t *)to, total);
	if (used == DECODE_BAD)
		return short_page(reterr);
	if (!whole)
		memcpy(out, to + skip * l->width, take * l->width);
	return RC_OK;
}

static rc_t rle_bool(struct parquet_reader *r, const struct page *p, size_t skip, size_t take, uint8_t *out, struct err *reterr)
{
	if (p->values_end - p->values < 4 || decode_load32(p->values) > (size_t)(p->values_end - p->values) - 4)
		return short_page(reterr);
	struct hybrid_reader h;
	hybrid_init(&h, p->values + 4, p->values + 4 + decode_load32(p->values), 1);
	uint8_t skipped[INDEX_CHUNK];
	for (size_t n; skip; skip -= n) {
		n = skip < INDEX_CHUNK ? skip : INDEX_CHUNK;
		if (!hybrid_read_u8(&h, skipped, n))
			return short_page(reterr);
	}
	return hybrid_read_u8(&h, out, take) ? RC_OK : short_page(reterr);
}

/* Physical values skip .. skip + take - 1 into out, which has room for them. */
static rc_t decode_fixed(struct parquet_reader *r, const struct leaf *l, const struct page *p, size_t skip, size_t take, size_t total,
			 uint8_t *out, struct err *reterr)
{
	size_t avail = (size_t)(p->values_end - p->values), end = skip + take;
	switch (p->encoding) {
	case ENCODING_PLAIN:
		if (l->physical == PARQUET_BOOLEAN) {
			if ((end + 7) / 8 > avail)
				return short_page(reterr);
			plain_bool_decode(p->values, skip, out, take);
			return RC_OK;
		}
		if (end > avail / l->width)
			return short_page(reterr);
		memcpy(out, p->values + skip * l->width, take * l->width);
		return RC_OK;
	case ENCODING_RLE:
		return l->physical == PARQUET_BOOLEAN ? rle_bool(r, p, skip, take, out, reterr) : wrong_encoding(p, reterr);
	case ENCODING_DELTA_BINARY_PACKED:
		if (l->physical != PARQUET_INT32 && l->physical != PARQUET_INT64)
			return wrong_encoding(p, reterr);
		return delta_fixed(r, l, p, skip, take, total, out, reterr);
	case ENCODING_BYTE_STREAM_SPLIT:
		if (l->physical == PARQUET_BOOLEAN || l->physical == PARQUET_INT96)
			return wrong_encoding(p, reterr);
		if (total > avail / l->width)
			return short_page(reterr);
		split_decode(p->values, total, l->width, skip, out, take);
		return RC_OK;
	default:
		return wrong_encoding(p, reterr);
	}
}

static rc_t not_representable(const struct leaf *l, struct err *reterr)
{
	return err_set(reterr, RC_UNSUPPORTED, "a value is out of range: %s",
		       l->field->type == TYPE_DECIMAL ? "a decimal has more digits than its type allows"
						      : "a time stamp lies further from 1970 than 64-bit microseconds reach");
}

/* Converts physical values that stand at `in` into the column. */
static rc_t append_converted(struct parquet_reader *r, const struct leaf *l, const uint8_t *in, const uint32_t *offsets, size_t n,
			     struct column *c, struct err *reterr)
{
	size_t width = field_width(l->field);
	TRY(room(r, &c->data, (uint64_t)n * width, reterr));
	if (!values_convert(l, in, offsets, n, c->data.data + c->data.len))
		return not_representable(l, reterr);
	c->data.len += n * width;
	return RC_OK;
}

static rc_t append_fixed(struct parquet_reader *r, const struct leaf *l, const struct page *p, size_t skip, size_t take, size_t total,
			 struct column *c, struct err *reterr)
{
	if (l->convert == CONVERT_NONE) {
		TRY(room(r, &c->data, (uint64_t)take * l->width, reterr));
		TRY(decode_fixed(r, l, p, skip, take, total, c->data.data + c->data.len, reterr));
		c->data.len += take * l->width;
		return RC_OK;
	}
	buf_reset(&r->converted);
	TRY(room(r, &r->converted, (uint64_t)take * l->width, reterr));
	TRY(decode_fixed(r, l, p, skip, take, total, r->converted.data, reterr));
	return append_converted(r, l, r->converted.data, NULL, take, c, reterr);
}

/* ---- byte arrays ---- */

/* Lengths of a DELTA encoding into r->numbers[at ..]; moves *in behind them. */
static rc_t read_lengths(struct parquet_reader *r, const uint8_t **in, const uint8_t *end, size_t at, size_t n, struct err *reterr)
{
	size_t used = delta_decode_i32(*in, end, (int32_t *)r->numbers.data + at, n);
	if (used == DECODE_BAD)
		return short_page(reterr);
	*in += used;
	return RC_OK;
}

/* Values that stand one behind the other at `in`. */
static rc_t append_suffixes(struct parquet_reader *r, const struct page *p, size_t n, const int32_t *lengths, const uint8_t *in, struct buf *data,
			    uint32_t *offsets, struct err *reterr)
{
	size_t bytes = lengths_to_offsets(lengths, offsets, n);
	if (bytes == DECODE_BAD || bytes > (size_t)(p->values_end - in))
		return short_page(reterr);
	TRY(room(r, data, bytes, reterr));
	if (bytes)
		memcpy(data->data + data->len, in, bytes);
	data->len += bytes;
	return RC_OK;
}

static rc_t delta_length(struct parquet_reader *r, const struct page *p, size_t n, size_t total, struct buf *data, uint32_t *offsets,
			 struct err *reterr)
{
	const uint8_t *in = p->values;
	buf_reset(&r->numbers);
	TRY(room(r, &r->numbers, (uint64_t)total * 4, reterr));
	TRY(read_lengths(r, &in, p->values_end, 0, total, reterr));
	return append_suffixes(r, p, n, (const int32_t *)r->numbers.data, in, data, offsets, reterr);
}

static rc_t delta_bytes(struct parquet_reader *r, const struct page *p, size_t n, size_t total, struct buf *data, uint32_t *offsets,
			struct err *reterr)
{
	const uint8_t *in = p->values;
	buf_reset(&r->numbers);
	TRY(room(r, &r->numbers, (uint64_t)total * 8, reterr));
	TRY(read_lengths(r, &in, p->values_end, 0, total, reterr));
	TRY(read_lengths(r, &in, p->values_end, total, total, reterr));
	const int32_t *prefix = (const int32_t *)r->numbers.data, *suffix = prefix + total;
	int32_t any = 0;
	for (size_t i = 0; i < n; i++)
		any |= prefix[i];
	if (!any)
		return append_suffixes(r, p, n, suffix, in, data, offsets, reterr);
	uint64_t bytes = delta_bytes_size(prefix, suffix, n, (size_t)(p->values_end - in));
	if (bytes == DECODE_BAD)
		return short_page(reterr);
	TRY(room(r, data, bytes, reterr));
	delta_bytes_join(prefix, suffix, in, data->data, offsets, n);
	data->len += (size_t)bytes;
	return RC_OK;
}

/* The first n of `total` byte arrays, appended to data; offsets[0] is given. */
static rc_t decode_bytes(struct parquet_reader *r, const struct page *p, size_t n, size_t total, struct buf *data, uint32_t *offsets,
			 struct err *reterr)
{
	size_t avail = (size_t)(p->values_end - p->values);
	switch (p->encoding) {
	case ENCODING_PLAIN:
		if (n > avail / 4)
			return short_page(reterr);
		TRY(room(r, data, avail, reterr));
		if (plain_bytes_decode(p->values, p->values_end, data->data, offsets, n) == DECODE_BAD)
			return short_page(reterr);
		data->len = offsets[n];
		return RC_OK;
	case ENCODING_DELTA_LENGTH_BYTE_ARRAY:
		return delta_length(r, p, n, total, data, offsets, reterr);
	case ENCODING_DELTA_BYTE_ARRAY:
		return delta_bytes(r, p, n, total, data, offsets, reterr);
	default:
		return wrong_encoding(p, reterr);
	}
}

/* Of the last n texts, which are still to be appended. */
static uint32_t *next_offsets(struct column *c, size_t n)
{
	return c->offsets + (c->coded ? c->entries : c->values - n);
}

/* Appends values first .. first + n - 1 of r->bytes to the column. */
static rc_t append_scratch_bytes(struct parquet_reader *r, const struct leaf *l, size_t first, size_t n, struct column *c, struct err *reterr)
{
	const uint32_t *from = r->bytes.offsets + first;
	const uint8_t *bytes_from = r->bytes.data.data + from[0];
	bool fixed = l->physical == PARQUET_FIXED_LEN_BYTE_ARRAY; /* in DELTA_BYTE_ARRAY, which gives each a length of its own */
	for (size_t i = 0; fixed && i < n; i++)
		if (from[i + 1] - from[i] != l->width)
			return short_page(reterr);
	if (l->convert != CONVERT_NONE)
		return fixed ? append_converted(r, l, bytes_from, NULL, n, c, reterr) : append_converted(r, l, r->bytes.data.data, from, n, c, reterr);
	size_t bytes = from[n] - from[0];
	if (!fixed) {
		uint32_t *to = next_offsets(c, n);
		for (size_t i = 0; i < n; i++)
			to[i + 1] = to[0] + (from[i + 1] - from[0]);
	}
	TRY(room(r, &c->data, bytes, reterr));
	memcpy(c->data.data + c->data.len, bytes_from, bytes);
	c->data.len += bytes;
	return RC_OK;
}

static rc_t append_bytes(struct parquet_reader *r, const struct leaf *l, const struct page *p, size_t skip, size_t take, size_t total,
			 struct column *c, struct err *reterr)
{
	if (is_bytes(l->field) && !skip)
		return decode_bytes(r, p, take, total, &c->data, next_offsets(c, take), reterr);
	struct column *b = &r->bytes;
	b->values = 0;
	buf_reset(&b->data);
	TRY(reader_charge(r, (skip + take) * 4, reterr));
	reader_reserve_offsets(b, skip + take);
	b->offsets[0] = 0;
	TRY(decode_bytes(r, p, skip + take, total, &b->data, b->offsets, reterr));
	return append_scratch_bytes(r, l, skip, take, c, reterr);
}

/* ---- dictionary ---- */

/* Room for the codes of all values, and `texts` more texts. */
static void reserve_codes(struct column *c, size_t texts)
{
	while ((size_t)c->entries + texts + 1 > c->offsets_cap)
		column_grow_offsets(c);
	if (c->values > c->codes_cap) {
		c->codes_cap = c->values > 2 * c->codes_cap ? c->values : 2 * c->codes_cap;
		c->codes = mem_realloc(c->codes, c->codes_cap * sizeof *c->codes);
	}
}

/* n values as codes of the column's own dictionary. */
static rc_t append_codes(struct parquet_reader *r, struct hybrid_reader *h, size_t n, struct column *c, struct err *reterr)
{
	uint32_t *codes = c->codes + (c->values - n);
	if (!hybrid_read_u32(h, codes, n))
		return short_page(reterr);
	if (index_max(codes, n) >= r->dict.values)
		return err_set(reterr, RC_CORRUPT, "a page refers to a dictionary entry that does not exist");
	return RC_OK;
}

/* The column takes the chunk's dictionary over. It has no values but those that are to come. */
static rc_t take_dictionary(struct parquet_reader *r, struct column *c, struct err *reterr)
{
	struct column *d = &r->dict;
	TRY(reader_charge(r, d->data.len + (uint64_t)d->values * sizeof *d->offsets, reterr));
	struct buf data = c->data;
	uint32_t *offsets = c->offsets;
	size_t cap = c->offsets_cap;
	c->data = d->data;
	c->offsets = d->offsets;
	c->offsets_cap = d->offsets_cap;
	c->entries = d->values;
	c->coded = true;
	d->data = data;
	d->offsets = offsets;
	d->offsets_cap = cap;
	return RC_OK;
}

static rc_t append_dict_chunk(struct parquet_reader *r, const uint32_t *index, size_t done, size_t n, size_t take, struct column *c,
			      struct err *reterr)
{
	const struct column *d = &r->dict;
	if (index_max(index, n) >= d->values)
		return err_set(reterr, RC_CORRUPT, "a page refers to a dictionary entry that does not exist");
	if (is_bytes(c->field)) {
		uint64_t bytes = dict_bytes_size(d->offsets, index, n);
		TRY(room(r, &c->data, bytes, reterr));
		dict_bytes_gather(d->data.data, d->offsets, index, c->data.data, c->offsets + (c->values - take) + done, n);
		c->data.len += (size_t)bytes;
	} else {
		size_t width = field_width(c->field);
		TRY(room(r, &c->data, (uint64_t)n * width, reterr));
		dict_gather(d->data.data, width, index, c->data.data + c->data.len, n);
		c->data.len += n * width;
	}
	return RC_OK;
}

static rc_t append_dict(struct parquet_reader *r, const struct page *p, size_t skip, size_t take, struct column *c, struct err *reterr)
{
	if (!r->has_dict)
		return err_set(reterr, RC_CORRUPT, "a page wants a dictionary, but the column chunk has none");
	if (p->values == p->values_end || p->values[0] > 32)
		return short_page(reterr);
	struct hybrid_reader h;
	hybrid_init(&h, p->values + 1, p->values_end, p->values[0]);
	uint32_t index[INDEX_CHUNK];
	for (size_t n; skip; skip -= n) {
		n = skip < INDEX_CHUNK ? skip : INDEX_CHUNK;
		if (!hybrid_read_u32(&h, index, n))
			return short_page(reterr);
	}
	if (c->coded)
		return append_codes(r, &h, take, c, reterr);
	for (size_t done = 0, n; done < take; done += n) {
		n = take - done < INDEX_CHUNK ? take - done : INDEX_CHUNK;
		if (!hybrid_read_u32(&h, index, n))
			return short_page(reterr);
		TRY(append_dict_chunk(r, index, done, n, take, c, reterr));
	}
	return RC_OK;
}

static rc_t append_any(struct parquet_reader *r, const struct leaf *l, const struct page *p, size_t skip, size_t take, size_t total,
		       struct column *c, struct err *reterr)
{
	if (l->physical == PARQUET_BYTE_ARRAY || (l->physical == PARQUET_FIXED_LEN_BYTE_ARRAY && p->encoding == ENCODING_DELTA_BYTE_ARRAY))
		return append_bytes(r, l, p, skip, take, total, c, reterr);
	return append_fixed(r, l, p, skip, take, total, c, reterr);
}

rc_t values_append(struct parquet_reader *r, const struct leaf *l, const struct page *p, size_t skip, size_t take, size_t total,
		   struct column *c, struct err *reterr)
{
	if (!take)
		return RC_OK;
	bool by_dict = p->encoding == ENCODING_RLE_DICTIONARY || p->encoding == ENCODING_PLAIN_DICTIONARY;
	if (is_bytes(l->field))
		TRY(reader_charge(r, take * 4, reterr));
	if (by_dict && r->codes && r->has_dict && is_bytes(l->field) && c->values == take)
		TRY(take_dictionary(r, c, reterr));
	if (c->coded)
		reserve_codes(c, by_dict ? 0 : take);
	else if (is_bytes(l->field))
		reader_reserve_offsets(c, 0);
	if (by_dict)
		return append_dict(r, p, skip, take, c, reterr);
	TRY(append_any(r, l, p, skip, take, total, c, reterr));
	if (c->coded) /* a writer that has given its dictionary up: each value is a text of its own */
		for (size_t i = 0; i < take; i++)
			c->codes[c->values - take + i] = c->entries++;
	return RC_OK;
}

rc_t values_dictionary(struct parquet_reader *r, const struct leaf *l, const struct page *p, struct err *reterr)
{
	if (p->encoding != ENCODING_PLAIN && p->encoding != ENCODING_PLAIN_DICTIONARY)
		return err_set(reterr, RC_UNSUPPORTED, "dictionary page encoding %d is not supported", p->encoding);
	size_t avail = (size_t)(p->values_end - p->values);
	size_t least = l->physical == PARQUET_BOOLEAN ? 1 : l->physical == PARQUET_BYTE_ARRAY ? 4 : l->width;
	if (p->entries > (l->physical == PARQUET_BOOLEAN ? avail * 8 : avail / least))
		return short_page(reterr);
	struct page plain = *p;
	plain.encoding = ENCODING_PLAIN;
	struct column *d = &r->dict;
	d->field = l->field;
	d->values = p->entries;
	buf_reset(&d->data);
	if (is_bytes(l->field)) {
		reader_reserve_offsets(d, 0);
		d->offsets[0] = 0;
	}
	size_t left = r->batch_left; /* a dictionary is no part of the batch, but bounded like one */
	r->batch_left = r->limits.batch_bytes;
	rc_t rc = p->entries ? append_any(r, l, &plain, 0, p->entries, p->entries, d, reterr) : RC_OK;
	r->batch_left = left;
	TRY(rc);
	if (!buf_reserve(&d->data, DECODE_PAD))
		return err_set(reterr, RC_LIMIT, "a dictionary is too large");
	memset(d->data.data + d->data.len, 0, DECODE_PAD);
	r->has_dict = true;
	return RC_OK;
}
