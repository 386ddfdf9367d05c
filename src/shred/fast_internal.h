/* The direct way: a row whose keys and kinds of values are known goes from its text straight into the columns of a batch, and is validated
 * on the way. Whatever is not plain sailing is left to the tape (parse.c), with the columns as they were.
 *
 * Why the text needs no validating first: literals are compared with literals that were valid; strings, numbers and words are checked while
 * they are read; a step that is not predicted, and a value that goes to a column as text, are checked where they stand. So nothing may be read
 * by a function for valid text only before it was. */
#ifndef SHRED_FAST_INTERNAL_H
#define SHRED_FAST_INTERNAL_H

#include "shred/parse_internal.h"

/* The row of payload (EVENT_PAD readable bytes behind it) as row b->rows of b, which has adopted the schema; b->rows is left as it is, so
 * that fast_undo can take the row back. False: nothing is left in b. row->trusted: it
 * need not be validated. Chooses the portable or the AVX2 kernel. */
#define FAST_PAYLOAD_MAX 16384 /* bytes; larger rows are the tape's */
bool fast_row(struct shredder *s, struct batch *b, struct slice payload, bool unchecked);
void fast_undo(struct shredder *s);

/* Of fast.c, for the kernels. */
const uint8_t *fast_escaped(struct row *r, struct buf *data, const uint8_t *from);
/* Not what the kernel's few branches take: no plain integer or decimal, or not for its column. */
const uint8_t *fast_odd_number(struct row *r, const struct bind *b, struct column *parent, uint32_t slot, const uint8_t *p);
/* first: the object has just begun. */
struct step fast_step(struct shredder *s, uint32_t node, bool first, const uint8_t *p);
const uint8_t *fast_rest(struct shredder *s, uint32_t node, const uint8_t *from, const struct step *st);
/* A member that goes to __rest, written as the one before it was. NULL: it may be anything. */
const uint8_t *fast_rest_again(struct shredder *s, uint32_t node, bool first, const uint8_t *p);

/* A number that its node's double column holds but does not give back, for the literal `from` and with the shape at `at`: also as text, in __rest. */
const uint8_t *fast_keep_number(struct shredder *s, uint32_t node, const struct bind *b, struct column *own, uint32_t slot, size_t at,
				const uint8_t *from, const uint8_t *value);
/* Is there a column for the container at p, as far as that can be told? An array of scalars has none where the elements' columns hold none. */
static inline bool fast_is_typed(const struct shredder *s, const struct bind *b, uint8_t class, const uint8_t *p)
{
	if (class == CLASS_OBJECT)
		return b->child[PLACE_OBJECT] != NO_CHILD;
	if (b->child[PLACE_LIST] == NO_CHILD || b->element == SHAPE_NONE)
		return b->child[PLACE_LIST] != NO_CHILD;
	return parse_classes[p[1]] != CLASS_SCALAR || p[1] == 'n' || s->binds[b->element].places & (((unsigned)1 << PLACE_OBJECT) - 1);
}
/* A container that lives as JSON text in the column of its node: the member's edge, which the shape ends with from `at` on, becomes its twin. */
const uint8_t *fast_json(struct shredder *s, uint32_t node, struct column *own, uint32_t slot, size_t at, const uint8_t *p);
/* One of the edges of arrays of unlike elements, made if need be. */
enum { MIXED_BEGIN, MIXED_FIRST, MIXED_NEXT, MIXED_END };
uint32_t fast_mixed_edge(struct shredder *s, uint32_t node, unsigned which, uint8_t class, struct slice lit);
/* The shape from `start` on is the edge `uniform`, at `body` the skeleton of the first `count` elements, at `at` that of another one. Afterwards it
 * is a mixed array's, so far. */
bool fast_turn_mixed(struct shredder *s, uint32_t uniform, size_t start, size_t body, size_t at, uint32_t count);

bool fast_row_portable(struct shredder *s, struct batch *b, struct slice payload);
bool fast_row_avx2(struct shredder *s, struct batch *b, struct slice payload);

struct fast_digits {
	uint64_t value;
	unsigned n;
};
extern const uint64_t fast_tens[9];

/* A value for slot goes into the column: it is remembered for fast_undo. There is room: a value has at least two bytes. */
static inline uint32_t fast_mark(struct row *r, struct column *c, uint32_t slot)
{
	r->touched[r->touched_count++] = c;
	return column_mark(c, slot);
}

/* The value went to a typed sibling. */
static inline void fast_count_conflict(struct row *r, const struct bind *b, enum place place)
{
	if (__builtin_expect(b->siblings, 0))
		r->conflicts += b->siblings >> place & 1;
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

/* Where an edge out of node is, if at all, whose literal begins as p does: `,"` and four bytes of the key. */
static inline uint32_t *fast_step_slot(struct shredder *s, uint32_t node, const uint8_t *p)
{
	uint64_t begin;
	memcpy(&begin, p, 8);
	return &s->steps[((begin << 16 ^ node) * 0x9e3779b97f4a7c15u) >> 54];
}

/* There is room: an edge has at least a byte of the payload, and three in the shape. */
static inline void fast_emit(struct row *r, uint32_t edge)
{
	r->shape.len = (size_t)(shape_put_edge(r->shape.data + r->shape.len, edge) - r->shape.data);
}

#endif
