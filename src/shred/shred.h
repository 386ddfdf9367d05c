/* Events -> typed columns: infers the columns of a stream of events, evolves the schema, and appends rows to batches.
 *
 * Promise: every event that is routed becomes exactly one row, in the order of the events; the row's columns, with its `__shape` (see
 *   json/shape.h) or its `__raw`, give the payload's exact bytes back (json/render.h; one row in 64, or all, is re-rendered and
 *   compared before it is stored). A row is stored whole or not at all: it is parsed to a flat tape first, so nothing needs undoing.
 *   A field never changes its type, format, role, key or address; the schema only grows, and new fields have id 0 until the caller
 *   assigns ids. Time is linear in the bytes of the events, for any input; memory is bounded by the limits below.
 * Not promised: that two shredders given the same events in different calls choose the same columns (types settle over the events of
 *   the first call that shows a key); columns for all keys (past the budget they live in `__rest`).
 * Ownership: the shredder owns the schema and the key table; batches are the caller's, made with batch_init(b, shredder_schema(s)).
 *   Payloads are read during shredder_run only. PAYLOAD_JSON must be *valid* JSON (json/scan.h has checked it), which is not checked again;
 *   or be marked unchecked, which costs next to nothing: it is checked while it is parsed.
 *   White space around the value is part of the payload (such a row carries `__raw`).
 * Threads: one thread at a time.
 *
 * Where things go, beyond DESIGN 'In the lake' and TABLES 'Names', 'Types':
 *   - siblings are x__bool x__long x__double x__decimal x__string x__object x__list x__json (JSON text: mixed arrays, containers
 *     deeper than typed_depth, numbers that no column type holds); values that are no object go to `value` and `value__…`;
 *   - `__rest` maps the dotted path of a key without column to its JSON text, in document order; also of a member with a number that
 *     its column holds but does not give back as it was written (1 among 1.0 and 2.5; 1E+05);
 *   - of a key twice in an object columns and `__rest` hold the last value alone; `__raw` keeps both;
 *   - null, {} and [] without content need no column: `__shape` holds them;
 *   - the settled path of the event time stands in `key` of the `__time` field;
 *   - quarantined events (event.reason not empty) give `__raw` and the string column `reason`, whatever their payload.
 */
#ifndef SHRED_SHRED_H
#define SHRED_SHRED_H

#include "base/buf.h"
#include "base/err.h"
#include "model/column.h"
#include "model/event.h"
#include "model/schema.h"

#define SHRED_LEAF_BUDGET   1000			      /* leaves of payload columns */
#define SHRED_TYPED_DEPTH   16				      /* containers nested deeper become JSON text */
#define SHRED_SHAPE_MAX	    65536			      /* bytes of one row's __shape; longer: __raw */
#define SHRED_TIME_PAST_US  ((int64_t)3653 * 86400 * 1000000) /* an event time may be this much older than its receive time */
#define SHRED_TIME_AHEAD_US ((int64_t)86400 * 1000000)	      /* and this much newer; else the receive time is taken */

struct shred_options {
	bool lake; /* with __time, __received, __source, __pos, …; false: payload columns, __shape, __raw, __rest (convert) */
	uint32_t key_space;	/* names this shredder's key table: random and not 0 in a lake, 0 for convert */
	struct slice keys;	/* or a key table to go on with, as shredder_keys gave it, whose space this one then has; borrowed for the call */
	const char *time_field; /* declared dotted path of the event time, or NULL: detected once */
	uint32_t leaf_budget;	/* 0: SHRED_LEAF_BUDGET */
	uint32_t typed_depth;	/* 0: SHRED_TYPED_DEPTH; at most 64 */
	struct slice source;	/* `__source` of every row; copied */
	bool verify_all;	/* re-render every row, not one in 64 */
	int64_t (*cpu_ns)(void); /* a thread's clock, to time that with (stats.check_ns); NULL: not timed */
};

struct shred_stats {
	uint64_t rows;	       /* stored */
	uint64_t direct;       /* of them, put into the columns while they were parsed: the fast way */
	uint64_t raw_rows;     /* of them, with __raw */
	uint64_t rest_rows;    /* of them, with __rest */
	uint64_t quarantined;  /* of them, with a reason */
	uint64_t shapes;       /* distinct shapes, counted to 65,536 */
	uint64_t inferences;   /* times that the schema was inferred */
	uint64_t checked;      /* rows re-rendered and compared; without `text` lines and rows with __raw */
	int64_t check_ns;      /* CPU time of that: shredded to a batch of their own, rendered, compared */
	uint64_t mismatches;   /* re-rendered rows that differed: a defect, healed by __raw */
	uint64_t conflicts;    /* values that went to a typed sibling */
	uint64_t late;	       /* rows whose event time was missing or implausible: receive time taken */
	uint64_t dialects[32]; /* rows by the string dialect they were stored with (json/string.h) */
	/* why rows carry __raw */
	uint64_t raw_number, raw_string, raw_duplicate, raw_shape, raw_other;
};

struct shredder;

/* start: the table's schema so far (copied; roles, keys and formats filled), or NULL for none.
 * RC_INVALID if start has a column that hydrant needs with another type; RC_CORRUPT, RC_UNSUPPORTED for keys that are no key table. */
rc_t shredder_new(const struct shred_options *opt, const struct schema *start, struct shredder **ret, struct err *reterr);
void shredder_free(struct shredder *s);
AUTO_DEFINE(shredder, shredder_free)

/* Lives as long as the shredder and grows in shredder_run; the caller may assign ids (shredder_assign_ids). */
const struct schema *shredder_schema(const struct shredder *s);
struct schema *shredder_schema_mutable(struct shredder *s); /* to assign ids; nothing else may be changed */

/* The batch that the row of events[event_index] goes to, or NULL: not now, nothing is stored and the caller brings the event again.
 * time_us is the row's __time. May free, reset or seal none of the batches that the run has used. */
typedef struct batch *(*shred_route)(void *ctx, size_t event_index, int64_t time_us);

/* Shreds events[0 .. n-1] in order. New keys and kinds are inferred from all the remaining events of the call, so give the first call a
 * good sample (8 MiB). Fails with RC_LIMIT (a batch's column is full: seal row groups earlier), after which rows already routed stay; and with
 * RC_AGAIN if an unchecked event is not valid JSON: the events in front of events[shredder_stopped(s)] are stored; have that one checked
 * (and best those behind it) and go on with it. */
rc_t shredder_run(struct shredder *s, const struct event *events, size_t n, shred_route route, void *ctx, struct err *reterr);
size_t shredder_stopped(const struct shredder *s);

struct shred_stats shredder_stats(const struct shredder *s);

/* The key table that the rows' `__shape` values refer to (json/shape.h): appends its bytes to ret. It only grows; a longer table of one
 * space contains the shorter. A file needs a table at least as long as when its last row was shredded. */
void shredder_keys(const struct shredder *s, struct buf *ret);
uint32_t shredder_key_space(const struct shredder *s);
uint32_t shredder_key_count(const struct shredder *s); /* edges */

#endif
