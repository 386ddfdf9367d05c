/* Inside the room shred: the shredder's state, a row under way, and the steps between them. */
#ifndef SHRED_SHRED_INTERNAL_H
#define SHRED_SHRED_INTERNAL_H

#include "base/map.h"
#include "shred/shred.h"
#include "json/places.h"
#include "json/render.h"
#include "json/shape.h"
#include "json/string.h"
#include "json/time.h"

#define NO_CHILD	  UINT32_MAX
#define NODES_MAX	  50000u /* nodes of the key table that inference makes; further keys live in __rest */
#define VERIFY_EVERY	  64u
#define MAP_LIKE_EVERY	  16u
#define QUIET_MAX	  8u /* calls without an inference for new keys, after one that brought no column */
#define FOLD_GUESSES	  64u
#define STEPS		  1024u
#define SHAPES_COUNTED	  65536u
#define TAPE_MAX	  (2u << 20)				  /* values of one row: 32 MiB of tape */
#define KEEP_BYTES	  ((size_t)4 << 20)			  /* buffers grown beyond by a huge row are given back */
#define COLUMN_BYTES_FULL (BUF_MAX_DEFAULT - ((size_t)256 << 20)) /* no further row into a batch with such a column */

/* The tape: a row's values in document order, before any column is touched. Inside a list each entry is one element. */
enum tape_op {
	OP_NULL,   /* an absent list element */
	OP_BOOL,   /* value: 0 or 1 */
	OP_EIGHT,  /* value: 8 bytes of an int64, double, decimal or timestamp */
	OP_WIDE,   /* value: index of an __int128 in row.wide */
	OP_BYTES,  /* value: address, len: bytes */
	OP_STRUCT, /* entries of its members follow, up to its OP_END */
	OP_LIST,   /* entries of its elements follow, up to its OP_END */
	OP_END,
	OP_SKIP /* continue at entry `len`: a duplicate key's earlier value */
};

struct tape_entry {
	uint32_t child : 24; /* which child of the struct around it */
	uint32_t op : 8;
	uint32_t len;
	uint64_t value;
};

enum { PLAIN_NULL = 1, PLAIN_STRING = 2, PLAIN_INT = 4, PLAIN_DECIMAL = 8, PLAIN_BOOL = 16, PLAIN_TIME = 32 };

/* A node's columns as the parser needs them: child indexes by place, and what a value must be to fit. */
struct bind {
	uint32_t child[PLACES];	    /* index among the parent struct's children; NO_CHILD */
	uint32_t element;	    /* node of the elements; SHAPE_NONE */
	uint32_t uniform;	    /* EDGE_UNIFORM used last; SHAPE_NONE */
	uint32_t empty;		    /* EDGE_END of `[]`; SHAPE_NONE */
	uint32_t mixed[4];	    /* edges of an array of unlike elements used last: EDGE_MIXED, the first, another element, EDGE_END; SHAPE_NONE */
	uint32_t rest[2];	    /* EDGE_REST used last, [1] of the object's first member; SHAPE_NONE */
	uint32_t tape_at, tape_end; /* its entries in the object instance `stamp`: to blank them if the key comes again; */
	uint32_t rest_at, rest_end; /* and those in __rest */
	uint64_t stamp;
	uint16_t places, siblings;		 /* bit per place: there is a column; it is a typed sibling */
	uint16_t double_mask;			 /* of its double column: the set of one format (json/number.h) */
	uint8_t time_format, scale;		 /* of its timestamp and decimal columns */
	uint8_t time_len;			 /* of the timestamps' texts; 0: it varies */
	bool int_to_double;			 /* the main column is double: exact integers go there */
	bool deep;				 /* containers here become JSON text */
	bool event_time;			 /* the value is the row's event time */
	bool listed;				 /* in a list: a row may have many of it */
	uint8_t plain;				 /* PLAIN_*: such values need nothing but to be put into their column */
};

enum raw_reason { RAW_NUMBER = 1, RAW_STRING = 2, RAW_DUPLICATE = 4, RAW_SHAPE = 8, RAW_OTHER = 16 };

struct rest_entry {
	size_t path_at, path_len; /* in row.paths */
	struct slice text;	  /* in the payload */
	uint64_t print;		  /* the same for the same path */
};

/* One row under way; reused from row to row. */
struct row {
	const uint8_t *p, *end, *payload;
	uint64_t seed; /* of hashes of hostile texts */
	struct tape_entry *tape;
	uint32_t tape_count, tape_cap;
	bool tape_full; /* more than TAPE_MAX values: the row has no columns, only __raw */
	struct buf shape;
	struct buf text;    /* unescaped strings; reserved up front, so addresses in it stay */
	struct buf paths;   /* of rest entries */
	struct buf wide;    /* __int128 values */
	struct buf scratch; /* literals put together */
	struct rest_entry *rest;
	uint32_t rest_count, rest_cap;
	uint32_t rest_node; /* whose path the newest entry's begins with, rest_prefix bytes; SHAPE_NONE: there is none */
	size_t rest_prefix;
	uint32_t prev;	/* edge stepped over last, for prediction */
	uint32_t lists; /* lists around the value */
	uint32_t marks; /* JSON_MARK_* of the row's strings */
	uint32_t nulls; /* at least as many as its scalar members and elements that are null */
	uint64_t since; /* instances before it: what has a later stamp is in this row */
	uint8_t raw;	/* enum raw_reason bits */
	uint64_t conflicts;
	struct slice time; /* text of the event time, empty if there was none */
	/* the direct way (fast.c) */
	struct column **touched; /* a value was put there, in this order */
	uint32_t touched_count;
	const struct shape_edge *edges;
	struct json_time_minute minute; /* of the times read last */
	bool trusted; /* the payload is known to be valid JSON */
};

enum outcome {
	HOME,	  /* the value is on the tape, or in the shape alone */
	HOMELESS, /* no column for such a value: whoever holds it decides; p and tape are to be set back */
	UNKNOWN	  /* something new: infer, then start the row again */
};

struct machinery {
	struct field *time, *received, *source, *pos, *id, *key, *meta, *shape, *raw, *rest, *text, *reason;
};

struct shredder {
	struct shred_options opt;
	struct schema *schema;
	struct shape_keys *keys;
	struct places places;
	struct bind *binds; /* one for each node */
	uint32_t bind_count, bind_cap;
	struct machinery own;
	char *source_text, *time_path; /* time_path: declared or settled; NULL: not yet */
	uint64_t instances;	       /* object instances so far: stamps */
	uint32_t steps[STEPS];	       /* edges by the beginnings of their literals: tried where an edge's successor is another than last time */
	bool inferred;		       /* in this call */
	uint8_t *map_like;	       /* by node: an object with ever new keys; */
	uint32_t map_like_cap, calls;  /* they bring an inference only in one call of MAP_LIKE_EVERY */
	uint32_t fruitless, quiet;     /* calls to wait after an inference without a new column; calls still to wait */
	struct row row;
	struct batch check; /* one row, rendered and compared */
	struct renderer *renderer;
	uint64_t *shapes; /* set of shape hashes, for the count */
	/* fold.c */
	bool folding;
	struct fold_group **groups;
	uint32_t group_count, group_cap, widened;
	uint32_t group_guess[FOLD_GUESSES]; /* by the two edges: the group that they may have */
	struct map group_ids; /* the two edges around -> group */
	struct buf folded;
	struct slice stored; /* the row's shape as it was put into the batch */
	struct buf rendered;
	struct shred_stats stats;
	const struct batch *full; /* has a column near its limit */
	struct batch *last;	  /* where this call's rows went last: rows are put there directly */
	uint32_t misses, pause;	  /* rows in a row that the direct way has left to the tape; rows until it is tried again */
	struct buf padded;	  /* a copy of a payload that is not padded */
	size_t stopped;		  /* at this event, which is no JSON */
	bool simd;
};

/* parse.c: one JSON payload -> row. Never UNKNOWN once s->inferred. */
enum outcome parse_row(struct shredder *s, struct slice payload);
enum outcome parse_value(struct shredder *s, uint32_t node, uint8_t class);
extern const uint8_t parse_classes[256]; /* enum shape_class of a value by its first byte; 3: white space */
void row_begin(struct row *r, struct slice payload, uint32_t space);
void parse_emit_slow(struct row *r, uint32_t edge);
struct tape_entry *tape_grow(struct row *r);
/* parse_array.c: at `[` */
enum outcome parse_array(struct shredder *s, uint32_t node);

/* More leaves allowed, or is the key's column there already? Then an inference may help. */
bool parse_may_infer(const struct shredder *s, const struct field *parent, struct slice key);

/* infer.c, evolve.c, bind.c: settles columns for all that events[0..n-1] hold, then binds nodes to them. */
struct inode;
struct inference;
void shred_infer(struct shredder *s, const struct event *events, size_t n);
void shred_bind(struct shredder *s);
bool shred_is_map_like(const struct shredder *s, uint32_t node);
void shred_map_like(struct shredder *s, uint32_t node);
void evolve_schema(struct shredder *s, struct inference *inf);

/* append.c: the row -> one row of a batch. */
struct row_meta {
	const struct event *event;
	int64_t time_us;
	bool raw;      /* store the payload as __raw */
	bool has_tape; /* row.tape, row.rest and, unless raw, row.shape are of this event */
};
void append_row(struct shredder *s, struct batch *b, const struct row_meta *meta);
/* What append_row does besides the tape: ends the row whose payload columns are filled. */
void append_finish(struct shredder *s, struct batch *b, const struct row_meta *meta);

/* shredder.c: distinct shapes are counted by their hashes. */
uint64_t shred_shape_hash(const struct shredder *s, struct slice shape);
void shred_count_shape(struct shredder *s, uint64_t hash);

/* fold.c: the shape to store for the row, whose columns are in b at `row`; valid until the next one. */
struct slice fold_shape(struct shredder *s, const struct batch *b, uint32_t row);
void fold_init(struct shredder *s);
void fold_free(struct shredder *s);
void fold_copy(struct shredder *to, const struct shredder *from);

/* event_time.c */
void event_time_settle(struct shredder *s, const struct event *events, size_t n);
/* The row's time: the event time if it is plausible, else the receive time (counted). */
/* A JSON payload without the white space around it. */
struct slice event_value(const struct event *e);
int64_t event_time_of(struct shredder *s, const struct event *e);

static inline void parse_emit(struct row *r, uint32_t edge)
{
	if (__builtin_expect(edge < 128 && r->shape.len < r->shape.cap, 1))
		r->shape.data[r->shape.len++] = (uint8_t)edge;
	else
		parse_emit_slow(r, edge);
}

static inline struct tape_entry *tape_push(struct row *r, enum tape_op op, uint32_t child)
{
	struct tape_entry *e = __builtin_expect(r->tape_count < r->tape_cap, 1) ? &r->tape[r->tape_count] : tape_grow(r);
	r->tape_count++;
	e->child = child & 0xffffff;
	e->op = op;
	return e;
}

#endif
