/* A table: one collection of a lake as an Iceberg v2 table in LAKE/COLLECTION, its commits, its live files, its DDL.
 *
 *   data/year=YYYY/month=MM/day=DD/NAME.parquet      metadata/v<N>.metadata.json  snap-*.avro  *-m0.avro  version-hint.text
 *   _schema/athena.sql
 * Iceberg spec: https://iceberg.apache.org/spec/ (format version 2); partition spec day(__time), field 1000 `__time_day`.
 *
 * Promise: creating v<N>.metadata.json is the commit, so a commit is whole or absent, also after a crash at any step, and two writers never
 *   both win. Properties stand in the same file as the snapshot and are carried forward by every commit. Field ids are never reused. Nothing
 *   that live metadata refers to is deleted. Metadata stays bounded: old snapshots, schemas and metadata files expire by themselves.
 *   Metadata and manifests of other engines are read as data from outside: any bytes give an error, never a crash.
 * Not promised: that version-hint.text is current (readers probe forward, and repair it), or _schema/athena.sql (rewritten after commits, its
 *   failure does not fail them). Row-level deletes of other engines are not applied: table_files refuses the table by name.
 * Ownership: a table borrows the store, which outlives it. What accessors return lives until the next call that may change the table
 *   (reload, evolve, append, expire) or table_free.
 * A table object is a view of one version: one that has been held for hours may name files that have expired (RC_CORRUPT, they are "lacking"):
 *   table_reload before reading.
 * Threads: one table, one thread at a time; any number of tables (also of the same collection, in any number of processes) at once.
 */
#ifndef TABLE_TABLE_H
#define TABLE_TABLE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/slice.h"
#include "model/schema.h"
#include "store/store.h"

#define TABLE_DAY_NONE INT32_MIN  /* a file whose partition day is null or unknown: never pruned */
#define TABLE_BOUNDS_MAX 32       /* leaves of a file that get counts and bounds in the metadata: __time and other machinery first */
#define TABLE_BOUND_BYTES 16      /* string and binary bounds are cut to this */
#define TABLE_POSITION_PREFIX "hydrant.position." /* + log id; the value is "<epoch>:<position>" */

struct table;

struct table_property {
	const char *key;   /* UTF-8, not empty */
	const char *value; /* UTF-8; NULL: remove it (updates), absent (expect) */
};

/* ---- Life ---- */

/* Makes the table (v1, no snapshot). Every field of `schema` without id gets one; it needs a ROLE_TIME column of type timestamptz (or
 * timestamp). RC_CONFLICT if the collection has a table; RC_LIMIT if its columns have no room in the metadata. */
rc_t table_create(struct store *store, const char *collection, const struct schema *schema, const struct table_property *properties,
		  size_t n, struct table **ret, struct err *reterr);
/* RC_NOT_FOUND if there is none; RC_UNSUPPORTED for an Iceberg format that is not 2 or a newer hydrant's table; RC_CORRUPT. */
rc_t table_open(struct store *store, const char *collection, struct table **ret, struct err *reterr);
/* Looks for newer versions. *ret_changed may be NULL. RC_NOT_FOUND if it was dropped. */
rc_t table_reload(struct table *t, bool *ret_changed, struct err *reterr);
void table_free(struct table *t);
AUTO_DEFINE(table, table_free)
/* The hash of _schema/athena.sql as this object last wrote or saw it (0: it has not), and the same told to another object of the table, which
 * then does not look at the file nor write it as long as the schema gives that text. */
uint64_t table_ddl_hash(const struct table *t);
void table_know_ddl(struct table *t, uint64_t hash);
/* Every collection in the lake: a folder with metadata/version-hint.text or metadata/v<N>.metadata.json, its name not starting with '_'. */
rc_t table_list(struct store *store, rc_t (*each)(void *ctx, const char *collection, struct err *reterr), void *ctx, struct err *reterr);
/* Without purge the table is gone and its data files stay; with purge all that lay in its folder while it stood, and nothing of a table that another
 * writer makes anew meanwhile; purged again it takes what a crash left. RC_NOT_FOUND if there is nothing of it. */
rc_t table_drop_check(struct store *store, const char *collection, struct err *reterr); /* may it? Removes the hint, which nobody needs */
rc_t table_drop(struct store *store, const char *collection, bool purge, struct err *reterr);

/* ---- What it is now ---- */

/* Names, types, ids; and role, key, format of each field: kept in table property `hydrant.fields`, a JSON object by field id of
 * {"k": key, "b": key in hex if it is no clean UTF-8, "r": role, "f": format}, what is default left out (k: the name). A field's `doc` is its
 * key where that differs from the name. */
const struct schema *table_schema(const struct table *t);
const char *table_property(const struct table *t, const char *key); /* NULL if absent */
/* Stops when each returns false. */
void table_properties(const struct table *t, bool (*each)(void *ctx, const char *key, const char *value), void *ctx);
int64_t table_version(const struct table *t);     /* N of v<N>.metadata.json */
int64_t table_snapshot_id(const struct table *t); /* -1: no snapshot yet */
const char *table_uuid(const struct table *t);
const char *table_location(const struct table *t); /* as the metadata says; the files are resolved relative to the table's folder */
const char *table_collection(const struct table *t);
struct store *table_store(const struct table *t);
/* The store key of a path relative to the table's folder. Caller frees. */
char *table_key(const struct table *t, const char *path);

/* A commit as the metadata tells it, newest first. */
struct table_snapshot {
	int64_t id, parent_id; /* parent -1: none */
	int64_t sequence;
	int64_t time;          /* µs since the epoch */
	int32_t schema_id;
	const char *operation; /* "append", "replace", "overwrite", "delete" */
	const void *summary;   /* for table_summary */
};
rc_t table_snapshots(const struct table *t, rc_t (*each)(void *ctx, const struct table_snapshot *s, struct err *reterr), void *ctx,
		     struct err *reterr);
const char *table_summary(const struct table_snapshot *s, const char *key); /* NULL if absent */

/* ---- Files ---- */

/* Counts and bounds of one leaf in one file. Counts are -1 where unknown. Bounds: Iceberg single-value bytes (spec, Appendix D); data == NULL:
 * unknown. A string's bounds may be cut: lower ≤ every value, upper ≥ every value. */
struct data_column {
	int32_t id; /* field id */
	int64_t column_size, value_count, null_count, nan_count;
	struct slice lower, upper;
};

struct data_file {
	const char *path;            /* relative to the table's folder, "data/year=…/x.parquet" */
	int32_t day;                 /* partition: days since 1970-01-01 of __time in UTC; or TABLE_DAY_NONE (reading only) */
	int32_t sort_order;          /* Iceberg sort-order-id; 0 = unsorted */
	int64_t record_count;
	int64_t file_size;           /* bytes */
	const struct data_column *columns;
	size_t column_count;
	const int64_t *split_offsets; /* row group starts, ascending; may be NULL */
	size_t split_count;
	int64_t sequence;            /* reading only: data sequence number */
	int64_t snapshot_id;         /* reading only: the snapshot that added it */
};

/* Live files of the current snapshot whose day is in [day_from, day_to] or unknown; INT32_MIN, INT32_MAX: all. The file and what it
 * points to are valid during the call. RC_UNSUPPORTED naming a delete file if the snapshot has any, or a file outside the table's folder. */
rc_t table_files(struct table *t, int32_t day_from, int32_t day_to,
		 rc_t (*each)(void *ctx, const struct data_file *f, struct err *reterr), void *ctx, struct err *reterr);
/* Sum over the live files, from the manifest list where it has the counts (any output may be NULL). Manifests are read for *ret_bytes. */
rc_t table_totals(struct table *t, int64_t *ret_records, int64_t *ret_files, int64_t *ret_bytes, struct err *reterr);
/* A column's value as it stands in memory (model/column.h: fixed width little-endian, or the bytes) as Iceberg single-value bytes. *ret
 * points into out or is `value`. */
struct slice table_bound(const struct field *f, struct slice value, uint8_t out[16]);

/* ---- Commits ---- */

/* `want` is the table's schema plus new fields (id 0; optional unless inside a new struct). Commits schema-only and fills the ids in `want`;
 * nothing new: no commit. If somebody else was first with a same-named field of the same type under the same parent, its id is taken.
 * RC_CONFLICT if theirs is incompatible, or differs only by case (re-shred with table_schema). RC_LIMIT: the table has no room for them. On RC_OK `want` holds every field of the table:
 * its own fields keep their places, those it did not know are appended (so batches on it stay valid: batch_adopt_schema). */
rc_t table_evolve(struct table *t, struct schema *want, struct err *reterr);

struct table_commit {
	const struct data_file *files;         /* already stored, durable; 0 of them: properties only, no snapshot */
	size_t file_count;
	const struct table_property *updates;  /* set or removed in the same metadata file */
	size_t update_count;
	const struct table_property *expect;   /* what must hold, else RC_CONFLICT: positions (fencing) */
	size_t expect_count;
	const struct table_property *summary;  /* extra snapshot summary entries: event counts, hash */
	size_t summary_count;
};
/* One new version. Conflicts with other writers are retried inside, `expect` checked again each time. RC_CONFLICT: `expect` does not hold
 * (the table is then reloaded: look at table_property; after an unknown outcome your own commit may stand there). RC_AGAIN: too many
 * conflicts in a row. RC_IO: unknown or failed; reload and look. */
rc_t table_append(struct table *t, const struct table_commit *c, struct err *reterr);

/* This version stays, also after a power cut. What was read may be a name that its writer could not make durable, or did not live to: whoever
 * lets go of something because a table has it confirms that first. */
rc_t table_confirm(struct table *t, struct err *reterr);

/* What stays. table_append uses the defaults: they expire snapshots in its own commit and sweep every 32nd version. */
struct table_keep {
	int64_t snapshot_age;   /* µs: snapshots that were replaced longer ago go (default 24 h) … */
	uint32_t snapshots_min; /* … but this many stay whatever their age (default 10) */
	uint32_t snapshots_max; /* never more than this, save those that a branch or tag names (default 100) */
	uint32_t versions_min;  /* metadata files that stay (at least 100) … */
	int64_t versions_age;   /* … and how old one must be to go, µs (at least 24 h) */
	int64_t grace;          /* µs: files that no live metadata names go when older (default 24 h) */
	const bool *cancel;     /* once set (atomically), the sweep ends between two files, RC_CANCELLED; may be NULL */
	bool data;              /* also data files that no snapshot names, older than grace (default no: reads every manifest) */
};
struct table_keep table_keep_default(void);
/* Commits the expiry of snapshots if there is any, then sweeps metadata/ (and data/). *ret_removed (may be NULL): files deleted. */
rc_t table_expire(struct table *t, const struct table_keep *keep, uint64_t *ret_removed, struct err *reterr);

struct table_retired {
	uint64_t files, records, bytes;
};
/* Takes every file out whose partition day is before `before` (days since 1970-01-01): one commit, none if there is no such file. They stay in the
 * store as long as a snapshot names them: table_expire with keep.data. RC_UNSUPPORTED: another engine's manifest that cannot be written back
 * names some. */
rc_t table_retire(struct table *t, int32_t before, struct table_retired *ret, struct err *reterr);

/* What lies in the table's folder and is no part of it: no snapshot of the live metadata names it. */
struct table_stray {
	const char *path; /* relative to the table's folder */
	uint64_t size;
	bool foreign;     /* not even its name is one that hydrant gives; otherwise a commit left it that is not done, was never done, or has expired */
};
/* The table is reloaded; every manifest is read, the folder listed. Names that begin with _ or . are left alone, as engines do. */
rc_t table_strays(struct table *t, rc_t (*each)(void *ctx, const struct table_stray *s, struct err *reterr), void *ctx, struct err *reterr);

/* ---- For other engines ---- */

enum table_ddl {
	TABLE_DDL_ATHENA,       /* CREATE EXTERNAL TABLE with partition projection, and the view NAME__view */
	TABLE_DDL_GLUE_JSON,    /* TableInput of Glue's CreateTable */
	TABLE_DDL_ICEBERG_JSON, /* Iceberg schema, spec Appendix C */
	TABLE_DDL_PARQUET_TEXT, /* message type */
	TABLE_DDL_JSON          /* columns with names, types, keys, roles */
};
/* location: the table's folder as the engine sees it, "s3://bucket/prefix/COLLECTION"; NULL: from the lake, with a comment on what to put
 * there if the lake is a local folder. Appends to *ret. */
rc_t table_ddl(struct table *t, enum table_ddl kind, const char *location, struct buf *ret, struct err *reterr);

#endif
