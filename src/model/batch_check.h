/* For tests and fuzz targets: the laws that every sealed batch keeps (model/column.h), and rows as bytes to compare two batches by. */
#ifndef MODEL_BATCH_CHECK_H
#define MODEL_BATCH_CHECK_H

#include <stdio.h>
#include <stdlib.h>

#include "model/column.h"

static inline void must_hold(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "does not hold: %s\n", what);
	abort();
}
#define must(what) must_hold((what), #what)

static inline void check_column(const struct column *c, uint32_t slots)
{
	uint32_t present = 0;
	must(c->slots == slots);
	for (uint32_t i = 0; i < slots; i++)
		present += column_is_present(c, i);
	must(present == c->values);
	for (size_t bit = slots; bit < c->present_cap * 64; bit++)
		must(!(c->present[bit / 64] >> (bit % 64) & 1));
	uint32_t inner = c->values;
	size_t width = field_width(c->field);
	if (c->field->type == TYPE_STRING || c->field->type == TYPE_BINARY || c->field->type == TYPE_LIST || c->field->type == TYPE_MAP) {
		uint32_t texts = c->coded ? c->entries : c->values;
		must(!texts || c->offsets[0] == 0);
		for (uint32_t i = 0; i < texts; i++)
			must(c->offsets[i] <= c->offsets[i + 1]);
		for (uint32_t i = 0; c->coded && i < c->values; i++)
			must(c->codes[i] < texts);
		inner = texts ? c->offsets[texts] : 0;
	}
	if (type_is_nested(c->field->type)) {
		for (uint32_t i = 0; i < c->child_count; i++)
			check_column(&c->children[i], inner);
	} else {
		must(c->data.len == (width ? (size_t)c->values * width : inner));
	}
}

static inline void check_batch(const struct batch *b)
{
	for (uint32_t i = 0; i < b->root.child_count; i++)
		check_column(&b->root.children[i], b->rows);
}

/* One slot and what is below it. */
static inline void slot_print(const struct column *c, uint32_t slot, struct buf *out)
{
	buf_byte(out, column_is_present(c, slot) ? '+' : '-');
	if (!column_is_present(c, slot))
		return;
	uint32_t value = 0;
	for (uint32_t i = 0; i < slot / 64; i++)
		value += (uint32_t)__builtin_popcountll(c->present[i]);
	value += (uint32_t)__builtin_popcountll(c->present[slot / 64] & (((uint64_t)1 << slot % 64) - 1));
	enum type t = c->field->type;
	size_t width = field_width(c->field);
	uint32_t from = value, to = value + 1;
	if (t == TYPE_LIST || t == TYPE_MAP) {
		from = c->offsets[value];
		to = c->offsets[value + 1];
		buf_u32(out, to - from);
	}
	if (type_is_nested(t)) {
		for (; from < to; from++)
			for (uint32_t i = 0; i < c->child_count; i++)
				slot_print(&c->children[i], from, out);
	} else if (width) {
		buf_append(out, c->data.data + value * width, width);
	} else {
		struct slice s = column_bytes_at(c, value);
		buf_u32(out, (uint32_t)s.len);
		buf_append_slice(out, s);
	}
}

static inline void batch_print(const struct batch *b, struct buf *out)
{
	for (uint32_t row = 0; row < b->rows; row++)
		for (uint32_t i = 0; i < b->root.child_count; i++)
			slot_print(&b->root.children[i], row, out);
}

#endif
