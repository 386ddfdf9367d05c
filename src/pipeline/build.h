/* Builds the data files of a cut: events in; sorted into day partitions, shredded into columns, encoded as Parquet; files out, stored under
 * their final names but not yet in any table.
 *
 * Promise: every event that the source gives is in exactly one file. Memory stays within options.memory_bytes (plus the schema and file
 *   footers) however many partitions a cut has and however its times are shuffled: row groups are sealed early; partitions too small for
 *   that are dropped from memory and shredded again from the source, some at a time. At most one file a partition and file_bytes.
 * Not promised: that files not committed are cleaned up after a crash (their names tell the cut and the content: a cut that is
 *   repeated with other bytes, because the table has other columns by now, does not replace them; a sweep that is told to (table_keep.data) takes them).
 * Ownership: the builder borrows store, table and options' strings. Threads: one thread a builder.
 */
#ifndef PIPELINE_BUILD_H
#define PIPELINE_BUILD_H

#include "base/hash.h"
#include "model/event.h"
#include "parquet/codec.h"
#include "shred/shred.h"
#include "store/store.h"
#include "table/table.h"

#define BUILD_COUNT_KEY "hydrant.count" /* file metadata: "<events>:<order-independent hash of their payloads, hex>" */

/* Where a cut's events come from. Read from the start to RC_EOF, then perhaps again: each time the same events in the same order. */
struct build_source {
	void *ctx;
	rc_t (*rewind)(void *ctx, struct err *reterr); /* called before every reading, also the first */
	/* Some events, valid until the next call. RC_EOF: the cut's end. */
	rc_t (*next)(void *ctx, const struct event **ret_events, size_t *ret_n, struct err *reterr);
	/* The events of the last call at and behind position pos, checked: asked if one of them was unchecked and is no JSON. May be NULL if none ever is;
	 * only the first reading may give unchecked events. */
	void (*check)(void *ctx, uint64_t pos, const struct event **ret_events, size_t *ret_n);
};

struct build_options {
	struct store *store;
	const char *collection;
	const char *source;       /* log id: __source of every event */
	const char *time_field;   /* declared event time, or NULL: detected */
	enum parquet_codec codec;
	int codec_level;
	uint64_t file_bytes;      /* a file of about this size is closed, the next begun */
	size_t memory_bytes;      /* for columns being filled */
	uint64_t after;           /* events at or before this position are left out */
	uint64_t key_seed;        /* not 0: from the same seed, events and schema come the same bytes. Others must not have it: it names the key table */
	bool narrow;              /* no new columns: the table has no room for them, so new keys go to __rest */
	bool quarantine;          /* true: only events that have a reason; false: only those that have none */
	struct slice keys;        /* the key table of an earlier builder (builder_keys) that the table's folder has, to go on with; empty: a new one */
};

struct builder;
/* start: the table's schema, or NULL for a table that does not exist yet. */
rc_t builder_new(const struct build_options *opts, const struct schema *start, struct builder **ret, struct err *reterr);
void builder_free(struct builder *b);
AUTO_DEFINE(builder, builder_free)

/* Step 1: reads the source and builds temporary files. `stem` names the cut: files become <stem>-<n>-<hash of their
 * bytes>.parquet. */
rc_t builder_run(struct builder *b, const struct build_source *source, const char *stem, struct err *reterr);
uint64_t builder_events(const struct builder *b);          /* of the last run */
uint64_t builder_left_out(const struct builder *b);        /* events of the source that were of the other kind */
struct hash128 builder_hash(const struct builder *b);      /* order-independent, of their payloads */
const struct shred_stats *builder_stats(const struct builder *b);
const struct schema *builder_schema(const struct builder *b);

/* Step 2: new columns are committed to the table first (RC_CONFLICT: they clash with another writer's; make a new builder from table_schema and
 * run again; RC_LIMIT: there is no room for them, see options.narrow), then footers are written and files stored. The result points into the builder and lives until its next run. */
rc_t builder_publish(struct builder *b, struct table *t, const struct data_file **ret_files, size_t *ret_n, struct err *reterr);
/* After publishing: the key table that the table's folder has now, appended; nothing if it is too large to be handed on. */
void builder_keys(const struct builder *b, struct buf *ret);
/* Instead of publishing: forget the files of the last run. */
void builder_discard(struct builder *b);

#endif
