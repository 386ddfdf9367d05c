/* Columns in memory: what the shredder fills, the Parquet writer encodes, the Parquet reader gives back and the scan consumes.
 *
 * A column mirrors one schema field. It has one *slot* for each instance of its parent (a row; a non-null struct; a list or map
 * element) and one *value* for each slot that is present (not null): values are dense, absent slots store nothing but a bit.
 *   struct: its children's slots = its present instances.
 *   list, map: offsets[i] .. offsets[i+1] are the i-th present instance's elements; its children's slots = all elements.
 *   bool: one byte a value, 0 or 1.   fixed width (field_width): packed little-endian in `data`.
 *   string, binary: offsets[i] .. offsets[i+1] delimit the i-th value in `data`; if `coded`, the codes[i]-th.
 *   decimal ≤ 18 digits: int64;  > 18: __int128.
 * Slots may lag behind: trailing absent slots are implied, so that a sparse column costs nothing for rows it is not in. Whoever
 * seals a batch knows the row count; column_seal makes every `slots` exact.
 */
#ifndef MODEL_COLUMN_H
#define MODEL_COLUMN_H

#include "base/buf.h"
#include "model/schema.h"

struct column {
	const struct field *field;
	struct column *children; /* one for each child field, same order; children[] may lag behind field->child_count */
	uint32_t child_count;
	uint64_t *present;     /* bitmap, bit i = slot i has a value; bits at and past `slots` are 0 */
	size_t present_cap;    /* words */
	uint32_t slots;        /* slots so far (see above) */
	uint32_t values;       /* present slots */
	uint32_t *offsets;     /* values + 1 entries for string, binary, list, map; else NULL. offsets[0] = 0 */
	size_t offsets_cap;    /* entries */
	struct buf data;       /* value bytes */
	bool coded;	       /* a string column as its file's dictionary has it: only in a batch with may_be_coded */
	uint32_t *codes;       /* coded: of each value, the number of its text among `entries` */
	size_t codes_cap;
	uint32_t entries;      /* coded: texts; offsets has entries + 1 */
};

/* A run of rows: the root column is TYPE_STRUCT and always present (slots = values = rows, no bitmap used). */
struct batch {
	const struct schema *schema; /* borrowed */
	struct column root;
	uint32_t rows;
	bool may_be_coded; /* whoever reads it looks at strings by column_bytes_at, or knows `coded` */
	uint32_t adopted; /* schema->field_count when the columns were last brought up to it */
};

void batch_init(struct batch *b, const struct schema *schema);
void batch_free(struct batch *b);
void batch_reset(struct batch *b);         /* no rows; memory kept */
/* Adds children for fields that the schema has gained since. Pointers to columns become invalid. */
void batch_adopt_schema(struct batch *b);
/* Makes slots exact in the whole tree (rows = b->rows). */
void batch_seal(struct batch *b);
size_t batch_bytes(const struct batch *b); /* memory held by values, bitmaps, offsets in use (not capacity) */
size_t batch_memory(const struct batch *b); /* … and what is allocated for them */
struct column *batch_column(struct batch *b, const struct field *f); /* by walking f's parents; NULL if not there yet */

void column_init(struct column *c, const struct field *f);
void column_free(struct column *c);
/* data.max is 2 GiB a column and row group: callers seal row groups long before. */

static inline bool column_is_present(const struct column *c, uint32_t slot)
{
	return slot < c->slots && (c->present[slot >> 6] >> (slot & 63) & 1);
}
void column_grow_present(struct column *c, uint32_t slot);
void column_grow_offsets(struct column *c);

/* Marks `slot` (≥ slots) present; the slots skipped are absent. Returns the value's index. */
static inline uint32_t column_mark(struct column *c, uint32_t slot)
{
	if (__builtin_expect((size_t)slot >> 6 >= c->present_cap, 0))
		column_grow_present(c, slot);
	c->present[slot >> 6] |= (uint64_t)1 << (slot & 63);
	c->slots = slot + 1;
	return c->values++;
}

static inline void column_put_fixed(struct column *c, uint32_t slot, const void *value, size_t width)
{
	column_mark(c, slot);
	buf_append(&c->data, value, width);
}

static inline void column_put_bytes(struct column *c, uint32_t slot, struct slice s)
{
	uint32_t i = column_mark(c, slot);
	if (__builtin_expect((size_t)i + 2 > c->offsets_cap, 0))
		column_grow_offsets(c);
	buf_append_slice(&c->data, s);
	c->offsets[i + 1] = (uint32_t)c->data.len;
}

/* Starts the next present list/map instance with no elements; returns its index. Each element: column_list_extend returns its slot in
 * the children. Only the newest instance can be extended. */
uint32_t column_list_begin(struct column *c, uint32_t slot);
static inline uint32_t column_list_extend(struct column *c)
{
	return c->offsets[c->values]++;
}

static inline struct slice column_bytes_at(const struct column *c, uint32_t value)
{
	if (c->coded)
		value = c->codes[value];
	uint32_t from = c->offsets[value];
	return slice_of(c->data.data + from, c->offsets[value + 1] - from);
}
static inline int64_t column_i64_at(const struct column *c, uint32_t value)
{
	int64_t v;
	memcpy(&v, c->data.data + (size_t)value * 8, 8);
	return v;
}

#endif
