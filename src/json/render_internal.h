/* Inside the room json: how a row's text is put together. The files:
 *   render.c       the renderer: key tables, columns, which way a row goes
 *   render_plan.c  a shape → its plan: what to write, in order, without looking at the key table again
 *   render_columns.c  a row of another program's, by its columns
 *   render_run.c   plans run and shapes walked (render_kernel_internal.h, once for each instruction set)
 *
 * A shape that is seen for the first time, or is very long, is *walked*: edge by edge. One that comes again gets a *plan*, a list of
 * ops, and is kept by its bytes. Both write the same bytes and find the same faults.
 */
#ifndef JSON_RENDER_INTERNAL_H
#define JSON_RENDER_INTERNAL_H

#include "base/map.h"
#include "json/places.h"
#include "json/render.h"
#include "json/shape.h"
#include "json/string.h"
#include "json/time.h"

#define NO_SLOT UINT32_MAX

/* A column of the batch with a place in its presence bitmap. Bound to the batch when first used in it. A row looks at hundreds of cursors:
 * what most values need is in one line of the cache, and the first in its struct. */
#define CURSOR_LINE 64
struct cursor {
	uint32_t turn;		 /* of the renderer when it was bound */
	uint8_t place;		 /* enum place */
	uint8_t format, scale;
	const uint64_t *present; /* NULL: all slots have values */
	const uint8_t *data;
	const uint32_t *offsets;
	const uint32_t *codes; /* of coded strings */
	size_t readable;       /* bytes at data that may be loaded */
	uint32_t slots, values;
	uint32_t word, rank; /* the values before bitmap word `word` are `rank` */
	struct json_time_day day; /* of the time written last */
	const struct field *field;
	struct cursor *parent;	  /* NULL: the root's */
	const struct column *col; /* NULL: not in this batch; then slots is 0 */
};

/* How the paths of a node's members in __rest begin: its dotted path and a dot; nothing for the root. Of short ones only. */
struct rest_path {
	uint8_t *text; /* REST_PATH_MAX bytes; NULL: not known */
	size_t len;
};
#define REST_PATH_MAX 32

/* The columns of one node. */
struct node_cursors {
	struct rest_path rest;
	struct cursor *scalar[PLACES];
	struct cursor *object, *list; /* never NULL: the renderer's `nothing` if there is no such column */
	uint8_t scalars;
};

struct space {
	const struct shape_keys *keys;
	struct shape_keys *owned; /* NULL: borrowed */
	struct places places;
	struct node_cursors *nodes;
	uint32_t node_count, node_cap;
};

/* Slots in use while a plan runs, by nesting: 0 is the row; an object, and an array and its element, take one each. */
#define REGISTERS (2 * SHAPE_DEPTH_MAX + 8)

enum op_kind {
	OP_VALUE,    /* of `cursor` at slot `from`, or null */
	OP_STRING,   /* the same of a column of strings */
	OP_INT,	     /* … of integers */
	OP_DECIMAL,  /* … of decimals of at most 18 digits */
	OP_SIBLINGS, /* the one value that the scalar columns of node `arg` have at slot `from`, or null */
	OP_OBJECT,   /* to = the slot of the members, by struct column `cursor` at slot `from` */
	OP_LOOP,     /* to = the first element of list column `cursor` at slot `from`; it must have one */
	OP_NEXT,     /* the next element of `to`: write `sep` and go to op `arg`; behind the last go on */
	OP_MIXED,    /* to = the first element of a list that has `arg` elements, or is not there */
	OP_ELEMENT,  /* to = element `arg` of the list at `from` */
	OP_EMPTY,    /* list column `cursor` has no elements at slot `from` */
	OP_CHOICE,   /* of the OP_OPTIONs behind it, those that have a value at slot `from` */
	OP_OPTION,   /* `sep` and the value of `cursor`; `to` is OP_STRING, OP_INT, OP_DECIMAL or OP_VALUE */
	OP_OPTIONS,  /* `sep` and the value of node `arg`, which has several scalar columns, at slot `from`, if there is one */
	OP_REST,     /* the next __rest entry, by edge `arg` */
	OP_END
};

struct op {
	uint8_t kind;
	uint16_t from, to; /* registers */
	uint16_t sep_len;
	uint32_t lit, lit_len; /* written first: bytes of the plan's literals */
	uint32_t sep;
	uint32_t arg;
	union {
		struct cursor *cursor;
		struct choice *choice;
	};
};

/* Columns of which a row has some, in their order. Which ones is looked up for 64 rows at once if several of them ask. */
struct choice {
	const struct space *space; /* they are members first and on of the space's edge: plans share them */
	uint32_t edge, first, count;
	uint32_t word, asked; /* slots 64 × word and on were asked for so often, as of turn */
	uint32_t turn;
	uint64_t rows[64]; /* if asked > CHOICE_ALONE. Bit i: column i has a value */
	struct cursor *columns[];
};
#define CHOICE_MAX 64u
#define CHOICE_SLOTS 64u
#define CHOICE_ALONE 4u

struct plan {
	uint64_t hash;
	struct plan *follower; /* what came behind it last time */
	const uint8_t *shape;  /* all of its bytes */
	const uint8_t *lits;   /* with 32 readable bytes behind them */
	const struct op *ops;
	uint32_t shape_len;
};

struct renderer {
	const struct schema *schema;
	struct space *spaces;
	uint32_t space_count, space_cap;
	struct map by_field; /* field's address -> cursor's address */
	struct arena arena;
	struct cursor *shape, *raw, *rest, *text; /* `nothing` if there is no such field */
	struct cursor *rest_keys, *rest_texts;	  /* the entries of __rest */
	uint32_t role_fields;			  /* fields of the schema when these were looked up */
	struct cursor nothing;
	const struct column *root;
	uint32_t turn; /* of a file's row groups: far from going round */
	uint32_t rows;

	/* plans by shape: bounded, begun anew when full or when columns have changed */
	struct arena plan_arena;
	struct plan **plans; /* [PLAN_SLOTS], open addressing */
	uint32_t *sighted;   /* [PLAN_SLOTS] by hash: half the hash of the shape that came by last */
	uint32_t plan_count;
	struct choice *choices[CHOICE_SLOTS]; /* by edge: made last; in the plan arena */
	struct plan *recent;
	struct op *ops; /* the plan being made */
	uint32_t ops_cap;
	struct buf lits;
};

/* One row under way. */
struct job {
	struct renderer *r;
	struct space *space;
	struct buf *out;
	uint8_t *end; /* of the memory of out */
	struct slice shape; /* or the text */
	size_t pos;
	enum json_dialect dialect;
	uint32_t row;
	uint32_t rest_at, rest_end; /* entries of the __rest map left */
	const char *fault;	    /* why the row is corrupt; static */
};

#define SHAPE_MISFIT "its shape does not fit the key table"
#define RENDER_SLACK 128 /* bytes that a literal's last step or a number may take past its own length */

struct cursor *renderer_cursor(struct renderer *r, const struct field *f); /* the same each time */
void cursor_bind(struct renderer *r, struct cursor *c);
/* The columns that have a value at a slot, for which rows does not tell it. */
uint64_t choice_find(struct renderer *r, struct choice *c, uint32_t slot);
/* NULL with the fault set. */
uint8_t *render_fault(struct job *j, const char *why);
/* Room for `more` bytes at p, which is behind what was written; NULL if out is full. p moves with out. */
uint8_t *render_room(struct job *j, uint8_t *p, size_t more);
/* Escapes what is left of a string into out, by out's own rules; NULL if out is full. Leaves RENDER_SLACK of room. */
uint8_t *render_escaped(struct job *j, uint8_t *p, struct slice utf8);
/* Copies n bytes to p, behind which there is room for 32 more; from has `readable` bytes. */
static inline uint8_t *render_copy(uint8_t *p, const uint8_t *from, size_t n, size_t readable)
{
	if (__builtin_expect(n <= 32 && readable >= 32, 1))
		memcpy(p, from, 32);
	else if (n)
		memcpy(p, from, n);
	return p + n;
}

/* True if path is the node's dotted path and `.` (nothing for the root) and then *ret_key. Keeps the beginning. */
bool render_rest_key(struct job *j, uint32_t node, struct slice path, struct slice *ret_key);

/* render_plan.c: the plan of a shape, at most PLAN_SHAPE_MAX long, in the renderer's plan arena; NULL if it is none that a plan is for: then
 * walking it tells why. */
#define PLAN_SHAPE_MAX 4096
#define PLAN_LITS_MAX ((size_t)64 << 10)
struct plan *plan_make(struct renderer *r, struct space *space, struct slice shape);

enum row_way { ROW_TEXT, ROW_SHAPE, ROW_NONE };

/* render_run.c. Which way the row goes: j's shape is its text as it stands, or its shape, and its entries of __rest are found, too. */
enum row_way row_find_portable(struct job *j);
enum row_way row_find_avx2(struct job *j);
/* The row's bytes behind p; NULL on a fault or if out is full. */
uint8_t *plan_run_portable(struct job *j, const struct plan *plan, uint8_t *p);
uint8_t *plan_run_avx2(struct job *j, const struct plan *plan, uint8_t *p);
uint8_t *shape_walk_portable(struct job *j, uint8_t *p);
uint8_t *shape_walk_avx2(struct job *j, uint8_t *p);

#endif
