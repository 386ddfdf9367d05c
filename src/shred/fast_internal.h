/* The direct way: a row whose keys and kinds of values are known goes from its text straight into the columns of a batch, and is validated
 * on the way. Whatever is not plain sailing is left to the tape (parse.c), with the columns as they were.
 *
 * Why the text needs no validating first: literals are compared with literals that were valid; strings, numbers and words are checked while
 * they are read; where neither tells (a step that is not predicted) the whole row is validated once before anything else looks at it. */
#ifndef SHRED_FAST_INTERNAL_H
#define SHRED_FAST_INTERNAL_H

#include "shred/parse_internal.h"

/* The row of payload (EVENT_PAD readable bytes behind it) as row b->rows of b, which has adopted the schema; b->rows is left as it is, so
 * that fast_undo can take the row back. False: nothing is left in b. row->invalid: it is not JSON. row->trusted: it was
 * validated, or need not be. Chooses the portable or the AVX2 kernel. */
bool fast_row(struct shredder *s, struct batch *b, struct slice payload, bool unchecked);
void fast_undo(struct shredder *s);

/* Of fast.c, for the kernels. */
bool fast_trust(struct row *r);
void fast_touch_grow(struct row *r);
const uint8_t *fast_escaped(struct row *r, struct buf *data, const uint8_t *from);
/* Not what the kernel's few branches take: no plain integer or decimal, or not for its column. */
const uint8_t *fast_odd_number(struct row *r, const struct bind *b, struct column *parent, uint32_t slot, const uint8_t *p);
struct step fast_step(struct shredder *s, uint32_t node, const uint8_t *p);

bool fast_row_portable(struct shredder *s, struct batch *b, struct slice payload);
bool fast_row_avx2(struct shredder *s, struct batch *b, struct slice payload);

/* A value for slot goes into the column: it is remembered for fast_undo. */
static inline uint32_t fast_mark(struct row *r, struct column *c, uint32_t slot)
{
	if (__builtin_expect(r->touched_count == r->touched_cap, 0))
		fast_touch_grow(r);
	r->touched[r->touched_count++] = c;
	return column_mark(c, slot);
}

static inline void fast_put_eight(struct row *r, struct column *c, uint32_t slot, uint64_t value)
{
	fast_mark(r, c, slot);
	if (__builtin_expect(buf_reserve(&c->data, 8), 1)) {
		memcpy(c->data.data + c->data.len, &value, 8);
		c->data.len += 8;
	}
}

static inline void fast_begin_list(struct row *r, struct column *list, uint32_t slot)
{
	uint32_t i = fast_mark(r, list, slot);
	if ((size_t)i + 2 > list->offsets_cap)
		column_grow_offsets(list);
	list->offsets[i + 1] = list->offsets[i];
}

static inline void fast_emit(struct row *r, uint32_t edge)
{
	if (__builtin_expect(edge < 128 && r->shape.len < r->shape.cap, 1)) {
		r->shape.data[r->shape.len++] = (uint8_t)edge;
	} else if (edge < 16384 && r->shape.len + 1 < r->shape.cap) {
		r->shape.data[r->shape.len++] = (uint8_t)(edge | 128);
		r->shape.data[r->shape.len++] = (uint8_t)(edge >> 7);
	} else {
		parse_emit_slow(r, edge);
	}
}

#endif
