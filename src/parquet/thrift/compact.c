#include "parquet/thrift/compact.h"

#include <assert.h>

void compact_reader_init(struct compact_reader *r, struct slice bytes)
{
	*r = (struct compact_reader){ .pos = bytes.data, .end = bytes.data ? bytes.data + bytes.len : NULL };
}

static void reader_fail(struct compact_reader *r, bool cut)
{
	if (!r->bad)
		r->cut = cut;
	r->bad = true;
	r->pos = r->end;
}

uint8_t compact_byte(struct compact_reader *r)
{
	if (r->pos == r->end) {
		reader_fail(r, true);
		return 0;
	}
	return *r->pos++;
}

uint64_t compact_varint(struct compact_reader *r)
{
	uint64_t v = 0;
	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t b = compact_byte(r);
		if (shift == 63 && b > 1)
			break;
		v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80))
			return v;
	}
	reader_fail(r, false);
	return 0;
}

int64_t compact_zigzag(struct compact_reader *r)
{
	uint64_t v = compact_varint(r);
	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

struct slice compact_binary(struct compact_reader *r)
{
	uint64_t len = compact_varint(r);
	if (len > (size_t)(r->end - r->pos)) {
		reader_fail(r, len <= INT32_MAX);
		return (struct slice){ NULL, 0 };
	}
	struct slice s = slice_of(r->pos, (size_t)len);
	r->pos += len;
	return s;
}

bool compact_field(struct compact_reader *r, int32_t *id, enum compact_type *ret_type)
{
	uint8_t b = compact_byte(r);
	if (r->bad || b == COMPACT_STOP)
		return false;
	int64_t next = b >> 4 ? *id + (b >> 4) : compact_zigzag(r);
	if (r->bad || next < INT16_MIN || next > INT16_MAX || (b & 15) == 0 || (b & 15) > COMPACT_UUID) {
		reader_fail(r, false);
		return false;
	}
	*id = (int32_t)next;
	*ret_type = (enum compact_type)(b & 15);
	return true;
}

uint32_t compact_list(struct compact_reader *r, enum compact_type *ret_type)
{
	uint8_t b = compact_byte(r);
	uint64_t count = b >> 4 == 15 ? compact_varint(r) : b >> 4;
	*ret_type = (enum compact_type)(b & 15);
	/* An empty list may carry any element type: some writers put 0 there. */
	if (r->bad || (count && ((b & 15) == 0 || (b & 15) > COMPACT_UUID)) || count > (size_t)(r->end - r->pos) ||
	    count > UINT32_MAX) {
		reader_fail(r, count <= INT32_MAX && (b & 15) != 0 && (b & 15) <= COMPACT_UUID);
		return 0;
	}
	return (uint32_t)count;
}

static void skip_bytes(struct compact_reader *r, size_t n)
{
	if (n > (size_t)(r->end - r->pos))
		reader_fail(r, true);
	else
		r->pos += n;
}

/* A value without parts; false if it is a container. `inside`: an element of a container, where a boolean has a byte. */
static bool skip_simple(struct compact_reader *r, enum compact_type type, bool inside)
{
	switch (type) {
	case COMPACT_TRUE:
	case COMPACT_FALSE:
		skip_bytes(r, inside);
		return true;
	case COMPACT_I8:
		skip_bytes(r, 1);
		return true;
	case COMPACT_I16:
	case COMPACT_I32:
	case COMPACT_I64:
		compact_varint(r);
		return true;
	case COMPACT_DOUBLE:
		skip_bytes(r, 8);
		return true;
	case COMPACT_UUID:
		skip_bytes(r, 16);
		return true;
	case COMPACT_BINARY:
		compact_binary(r);
		return true;
	default:
		return false;
	}
}

/* An open container of the value that is skipped. */
struct skip_frame {
	uint64_t left;              /* elements to come; unused for a struct */
	enum compact_type types[2]; /* element type (list, set), key and value type (map) */
	bool is_struct, is_map;
	int32_t id; /* of a struct's last field */
};

static void skip_open(struct compact_reader *r, enum compact_type type, struct skip_frame *f)
{
	*f = (struct skip_frame){ .is_struct = type == COMPACT_STRUCT, .is_map = type == COMPACT_MAP };
	if (type == COMPACT_LIST || type == COMPACT_SET) {
		f->left = compact_list(r, &f->types[0]);
	} else if (type == COMPACT_MAP) {
		uint64_t count = compact_varint(r);
		uint8_t kv = count ? compact_byte(r) : 0;
		if (count > (size_t)(r->end - r->pos)) {
			reader_fail(r, false);
			return;
		}
		f->left = count * 2;
		f->types[0] = (enum compact_type)(kv >> 4);
		f->types[1] = (enum compact_type)(kv & 15);
	}
}

void compact_skip(struct compact_reader *r, enum compact_type type)
{
	if (skip_simple(r, type, false))
		return;
	struct skip_frame stack[COMPACT_DEPTH_MAX];
	uint32_t depth = 1;
	if (type < COMPACT_LIST || type > COMPACT_STRUCT) {
		reader_fail(r, false);
		return;
	}
	skip_open(r, type, &stack[0]);
	while (depth && !r->bad) {
		struct skip_frame *f = &stack[depth - 1];
		enum compact_type next;
		if (f->is_struct) {
			if (!compact_field(r, &f->id, &next)) {
				depth--;
				continue;
			}
		} else if (f->left) {
			next = f->types[f->is_map && (f->left & 1)];
			f->left--;
		} else {
			depth--;
			continue;
		}
		if (skip_simple(r, next, !f->is_struct))
			continue;
		if (depth == COMPACT_DEPTH_MAX || next < COMPACT_LIST || next > COMPACT_STRUCT)
			reader_fail(r, false);
		else
			skip_open(r, next, &stack[depth++]);
	}
}

void compact_writer_init(struct compact_writer *w, struct buf *out)
{
	w->out = out;
	w->depth = 0;
}

void compact_struct_begin(struct compact_writer *w)
{
	assert(w->depth < COMPACT_DEPTH_MAX);
	w->last_id[w->depth++] = 0;
}

void compact_struct_end(struct compact_writer *w)
{
	assert(w->depth > 0);
	w->depth--;
	buf_byte(w->out, COMPACT_STOP);
}

void compact_put_field(struct compact_writer *w, int32_t id, enum compact_type type)
{
	assert(w->depth > 0);
	int32_t delta = id - w->last_id[w->depth - 1];
	if (delta > 0 && delta <= 15) {
		buf_byte(w->out, (uint8_t)(delta << 4 | (int32_t)type));
	} else {
		buf_byte(w->out, (uint8_t)type);
		buf_zigzag(w->out, id);
	}
	w->last_id[w->depth - 1] = id;
}

void compact_put_zigzag(struct compact_writer *w, int64_t v)
{
	buf_zigzag(w->out, v);
}

void compact_put_binary(struct compact_writer *w, struct slice s)
{
	buf_varint(w->out, s.len);
	buf_append_slice(w->out, s);
}

void compact_put_list(struct compact_writer *w, enum compact_type type, uint32_t count)
{
	if (count < 15) {
		buf_byte(w->out, (uint8_t)(count << 4 | (uint32_t)type));
	} else {
		buf_byte(w->out, (uint8_t)(0xf0 | (uint32_t)type));
		buf_varint(w->out, count);
	}
}
