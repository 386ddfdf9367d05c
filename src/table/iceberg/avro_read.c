#include <zlib.h>

#include "table/iceberg/avro_internal.h"

#define META_MAX 256           /* entries of a file's metadata map */
#define RECORD_VALUES_MAX 1000000 /* values of one record: 2,000 columns' metrics make 40,000 */

struct avro_reader {
	struct slice file;
	size_t pos;
	struct arena arena;    /* schema and metadata */
	struct arena values;   /* of the record handed out last */
	struct avro_type *root;
	struct avro_meta_pair *meta;
	size_t meta_count;
	bool deflated;
	uint8_t sync[16];
	struct buf inflated;
	struct slice block;    /* the open block, inflated */
	size_t block_pos;
	uint64_t left;         /* records still in it */
	uint64_t budget;       /* values that the open block may still make: what bounds empty records and arrays of nulls */
	uint64_t record_budget; /* and the open record: what bounds memory */
};

static rc_t corrupt(struct err *reterr, const char *what)
{
	return err_set(reterr, RC_CORRUPT, "an Avro file %s", what);
}

static bool get_long(struct slice s, size_t *pos, int64_t *ret)
{
	uint64_t v;
	if (!slice_varint(s, pos, &v))
		return false;
	*ret = (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
	return true;
}

static bool get_bytes(struct slice s, size_t *pos, struct slice *ret)
{
	int64_t n;
	if (!get_long(s, pos, &n) || n < 0 || (uint64_t)n > s.len - *pos)
		return false;
	*ret = slice_of(s.data + *pos, (size_t)n);
	*pos += (size_t)n;
	return true;
}

/* Number of items of an array's or map's next block, 0 at its end; a negative count is followed by the block's size. */
static bool get_count(struct slice s, size_t *pos, uint64_t *ret)
{
	int64_t n, size;
	if (!get_long(s, pos, &n) || n == INT64_MIN)
		return false;
	if (n < 0 && (!get_long(s, pos, &size) || size < 0))
		return false;
	*ret = (uint64_t)(n < 0 ? -n : n);
	return true;
}

static rc_t read_header(struct avro_reader *r, struct err *reterr)
{
	uint64_t n;
	if (r->file.len < 4 || memcmp(r->file.data, "Obj\1", 4) != 0)
		return corrupt(reterr, "does not start with Obj 1");
	r->pos = 4;
	r->meta = arena_zalloc(&r->arena, META_MAX * sizeof *r->meta);
	for (;;) {
		if (!get_count(r->file, &r->pos, &n))
			return corrupt(reterr, "has a broken header");
		if (n == 0)
			break;
		for (; n; n--) {
			struct slice key, value;
			if (r->meta_count == META_MAX || !get_bytes(r->file, &r->pos, &key) || !get_bytes(r->file, &r->pos, &value))
				return corrupt(reterr, "has a broken or oversized header");
			r->meta[r->meta_count++] = (struct avro_meta_pair){ arena_cstr(&r->arena, key), value };
		}
	}
	if (r->file.len - r->pos < 16)
		return corrupt(reterr, "ends in its header");
	memcpy(r->sync, r->file.data + r->pos, 16);
	r->pos += 16;
	struct slice codec = avro_meta(r, "avro.codec"), schema = avro_meta(r, "avro.schema");
	r->deflated = slice_eq_str(codec, "deflate");
	if (!r->deflated && codec.len && !slice_eq_str(codec, "null"))
		return err_set(reterr, RC_UNSUPPORTED, "an Avro file is packed with '%.*s': this version reads null and deflate", SLICE_ARG(codec));
	if (!schema.data)
		return corrupt(reterr, "has no schema");
	TRY(avro_schema_parse(schema, &r->arena, &r->root, reterr));
	if (r->root->kind != AVRO_RECORD)
		return corrupt(reterr, "holds no records");
	return RC_OK;
}

rc_t avro_open(struct slice file, struct avro_reader **ret, struct err *reterr)
{
	struct avro_reader *r = NEW(struct avro_reader);
	r->file = file;
	arena_init(&r->arena);
	arena_init(&r->values);
	buf_init(&r->inflated, AVRO_BLOCK_MAX);
	rc_t rc = read_header(r, reterr);
	if (rc != RC_OK) {
		avro_close(r);
		return rc;
	}
	*ret = r;
	return RC_OK;
}

void avro_close(struct avro_reader *r)
{
	if (!r)
		return;
	arena_free(&r->arena);
	arena_free(&r->values);
	buf_free(&r->inflated);
	free(r);
}

struct slice avro_meta(const struct avro_reader *r, const char *key)
{
	for (size_t i = 0; i < r->meta_count; i++)
		if (!strcmp(r->meta[i].key, key))
			return r->meta[i].value;
	return (struct slice){ NULL, 0 };
}

static rc_t inflate_block(struct avro_reader *r, struct slice in, struct err *reterr)
{
	z_stream z = { 0 };
	if (inflateInit2(&z, -15) != Z_OK)
		return err_set(reterr, RC_LIMIT, "zlib has no memory to inflate a manifest");
	buf_reset(&r->inflated);
	z.next_in = (Bytef *)in.data;
	z.avail_in = (uInt)in.len; /* a file is at most AVRO_FILE_MAX */
	int zrc = Z_OK;
	while (zrc == Z_OK) {
		size_t room = AVRO_BLOCK_MAX - r->inflated.len;
		if (room > 65536)
			room = 65536;
		if (!room || !buf_reserve(&r->inflated, room))
			break;
		z.next_out = r->inflated.data + r->inflated.len;
		z.avail_out = (uInt)room;
		zrc = inflate(&z, Z_NO_FLUSH);
		r->inflated.len += room - z.avail_out;
	}
	inflateEnd(&z);
	if (zrc == Z_OK)
		return err_set(reterr, RC_LIMIT, "an Avro block inflates to over %zu MiB", AVRO_BLOCK_MAX >> 20);
	if (zrc != Z_STREAM_END)
		return corrupt(reterr, "has a block that does not inflate");
	r->block = buf_slice(&r->inflated);
	return RC_OK;
}

static rc_t next_block(struct avro_reader *r, struct err *reterr)
{
	if (r->block_pos != r->block.len)
		return corrupt(reterr, "has bytes behind the last record of a block");
	r->block = (struct slice){ NULL, 0 };
	r->block_pos = 0;
	if (r->pos == r->file.len)
		return RC_EOF;
	int64_t count = 0;
	struct slice data = { NULL, 0 };
	if (!get_long(r->file, &r->pos, &count) || count < 0 || !get_bytes(r->file, &r->pos, &data))
		return corrupt(reterr, "is cut off or has a broken block");
	if (r->file.len - r->pos < 16 || memcmp(r->file.data + r->pos, r->sync, 16) != 0)
		return corrupt(reterr, "has a block without its sync marker");
	r->pos += 16;
	if (r->deflated)
		TRY(inflate_block(r, data, reterr));
	else
		r->block = data;
	r->left = (uint64_t)count;
	r->budget = 1024 + (uint64_t)r->block.len * 4; /* a null branch: two values in one byte */
	return RC_OK;
}

static rc_t decode(struct avro_reader *r, const struct avro_type *t, struct avro_value *v, struct err *reterr);

/* Arrays and maps: blocks of items until a count of 0. `per` values an item. */
static rc_t decode_items(struct avro_reader *r, const struct avro_type *t, uint32_t per, struct avro_value *v, struct err *reterr)
{
	struct avro_value *items = NULL;
	size_t count = 0, cap = 0;
	uint64_t n;
	for (;;) {
		if (!get_count(r->block, &r->block_pos, &n))
			return corrupt(reterr, "has a broken list");
		if (n == 0)
			break;
		if (n > r->budget / per || n > r->record_budget / per)
			return corrupt(reterr, "has a list longer than its bytes");
		if (count + n * per > cap) {
			cap = (count + n * per) * (count ? 2 : 1);
			struct avro_value *grown = arena_alloc(&r->values, cap * sizeof *grown);
			if (count)
				memcpy(grown, items, count * sizeof *grown);
			items = grown;
		}
		for (; n; n--) {
			if (per == 2) {
				static const struct avro_type string = { .kind = AVRO_STRING, .complete = true };
				TRY(decode(r, &string, &items[count++], reterr));
			}
			TRY(decode(r, t->types[0], &items[count++], reterr));
		}
	}
	v->items = items;
	v->count = (uint32_t)count;
	return RC_OK;
}

static rc_t decode_record(struct avro_reader *r, const struct avro_type *t, struct avro_value *v, struct err *reterr)
{
	v->count = t->count;
	v->items = arena_alloc(&r->values, t->count * sizeof *v->items);
	for (uint32_t i = 0; i < t->count; i++)
		TRY(decode(r, t->types[i], &v->items[i], reterr));
	return RC_OK;
}

static rc_t decode_raw(struct avro_reader *r, size_t size, struct slice *ret, struct err *reterr)
{
	if (r->block.len - r->block_pos < size)
		return corrupt(reterr, "has a cut off value");
	*ret = slice_of(r->block.data + r->block_pos, size);
	r->block_pos += size;
	return RC_OK;
}

static rc_t decode_number(struct avro_reader *r, const struct avro_type *t, struct avro_value *v, struct err *reterr)
{
	struct slice raw = { NULL, 0 };
	float f;
	if (t->kind == AVRO_BOOL) {
		TRY(decode_raw(r, 1, &raw, reterr));
		v->i = raw.data[0] != 0;
	} else if (t->kind == AVRO_FLOAT) {
		TRY(decode_raw(r, 4, &raw, reterr));
		memcpy(&f, raw.data, 4);
		v->d = (double)f;
	} else if (t->kind == AVRO_DOUBLE) {
		TRY(decode_raw(r, 8, &raw, reterr));
		memcpy(&v->d, raw.data, 8);
	} else {
		if (!get_long(r->block, &r->block_pos, &v->i))
			return corrupt(reterr, "has a broken number");
		if (t->kind == AVRO_INT && (v->i < INT32_MIN || v->i > INT32_MAX))
			return corrupt(reterr, "has an int beyond 32 bits");
		if (t->kind == AVRO_ENUM && (v->i < 0 || v->i >= (int64_t)t->size))
			return corrupt(reterr, "has an enum value that its schema lacks");
	}
	return RC_OK;
}

static rc_t decode(struct avro_reader *r, const struct avro_type *t, struct avro_value *v, struct err *reterr)
{
	int64_t branch = 0;
	if (r->budget == 0 || r->record_budget == 0)
		return corrupt(reterr, "has more values than its bytes or the limit of a record allow");
	r->budget--;
	r->record_budget--;
	*v = (struct avro_value){ .type = t };
	switch (t->kind) {
	case AVRO_NULL:
		return RC_OK;
	case AVRO_BYTES:
	case AVRO_STRING:
		return get_bytes(r->block, &r->block_pos, &v->bytes) ? RC_OK : corrupt(reterr, "has a cut off string");
	case AVRO_FIXED:
		return decode_raw(r, t->size, &v->bytes, reterr);
	case AVRO_ARRAY:
		return decode_items(r, t, 1, v, reterr);
	case AVRO_MAP:
		return decode_items(r, t, 2, v, reterr);
	case AVRO_RECORD:
		return decode_record(r, t, v, reterr);
	case AVRO_UNION:
		if (!get_long(r->block, &r->block_pos, &branch) || branch < 0 || branch >= (int64_t)t->count)
			return corrupt(reterr, "has a union branch that its schema lacks");
		return decode(r, t->types[branch], v, reterr);
	default:
		return decode_number(r, t, v, reterr);
	}
}

rc_t avro_next(struct avro_reader *r, const struct avro_value **ret, struct err *reterr)
{
	while (r->left == 0)
		TRY(next_block(r, reterr));
	arena_reset(&r->values);
	r->record_budget = RECORD_VALUES_MAX;
	struct avro_value *v = arena_alloc(&r->values, sizeof *v);
	TRY(decode(r, r->root, v, reterr));
	r->left--;
	*ret = v;
	return RC_OK;
}

const struct avro_value *avro_field(const struct avro_value *record, int32_t id, const char *name)
{
	if (!record || record->type->kind != AVRO_RECORD)
		return NULL;
	const struct avro_type *t = record->type;
	bool has_ids = false;
	for (uint32_t i = 0; i < t->count; i++) {
		has_ids |= t->ids[i] >= 0;
		if (id >= 0 && t->ids[i] == id)
			return record->items[i].type->kind == AVRO_NULL ? NULL : &record->items[i];
	}
	for (uint32_t i = 0; i < t->count && name && (!has_ids || id < 0); i++)
		if (slice_eq_str(t->names[i], name))
			return record->items[i].type->kind == AVRO_NULL ? NULL : &record->items[i];
	return NULL;
}

int64_t avro_int(const struct avro_value *v, int64_t absent)
{
	if (!v)
		return absent;
	enum avro_kind k = v->type->kind;
	return k == AVRO_BOOL || k == AVRO_INT || k == AVRO_LONG || k == AVRO_ENUM ? v->i : absent;
}

struct slice avro_bytes(const struct avro_value *v)
{
	if (!v || (v->type->kind != AVRO_BYTES && v->type->kind != AVRO_STRING && v->type->kind != AVRO_FIXED))
		return (struct slice){ NULL, 0 };
	return v->bytes;
}
