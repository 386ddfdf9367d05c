/* Inside the table room: the table object and the steps its units share. */
#ifndef TABLE_TABLE_INTERNAL_H
#define TABLE_TABLE_INTERNAL_H

#include "table/iceberg/manifest_internal.h"
#include "table/iceberg/metadata_internal.h"
#include "table/table.h"

#define HINT_PATH "metadata/version-hint.text"
#define COMMIT_TRIES 64          /* conflicts in a row before table_append gives up with RC_AGAIN */
#define SWEEP_EVERY 32           /* versions between two sweeps by table_append */
#define MERGE_AT 50              /* small manifests that a commit merges */
#define MANIFEST_TARGET (8 << 20) /* bytes; larger ones are never merged again */

struct table {
	struct store *store;
	char *collection;
	struct table_state state;
	char *list_path;   /* the manifest list that this object wrote last, and its bytes; NULL: none */
	struct buf list;
	size_t room;       /* METADATA_ROOM */
	uint64_t ddl_hash; /* of _schema/athena.sql as it was last written or seen; 0: unknown */
};

/* "metadata/v<N>.metadata.json" under the collection. Caller frees. */
char *table_version_key(const struct table *t, int64_t version, bool gzip);
/* N of a metadata file's name, -1 if it is none. */
int64_t table_version_of(const char *name);
/* What cannot be looked at is no "no": readers would take an old version for the newest. */
rc_t table_version_exists(const struct table *t, int64_t version, bool *ret, struct err *reterr);
/* The newest version in the folder, which is listed. RC_NOT_FOUND: there is none. */
rc_t table_newest_listed(const struct table *t, int64_t *ret, struct err *reterr);
/* Absolute path of something in the table's folder, as the metadata spells it. Caller frees. */
char *table_absolute(const struct table *t, const char *path);
/* The path relative to the table's folder of an absolute one, whether it was written here or before the lake was copied. */
rc_t table_resolve(const struct table *t, struct slice absolute, struct arena *a, const char **ret, struct err *reterr);
/* A file of the table, whole. */
rc_t table_get(const struct table *t, struct slice absolute, struct buf *ret, struct err *reterr);
/* The manifests of a snapshot (a JSON object of the metadata), appended to *l. */
rc_t table_manifests(const struct table *t, const json_t *snapshot, struct manifest_list *l, struct err *reterr);
/* Reads one manifest's entries. */
rc_t table_each_entry(const struct table *t, const struct manifest *m,
		      rc_t (*each)(void *ctx, const struct manifest_entry *e, struct err *reterr), void *ctx, struct err *reterr);

/* ---- commit.c ---- */
/* One new version: `next` (taken over in any case) becomes v<N+1>. RC_CONFLICT: somebody was first; the table is as it was. */
rc_t table_publish(struct table *t, json_t *next, struct err *reterr);
/* The same with another schema, which is not let in if it leaves no room for the commits that follow: RC_LIMIT. */
rc_t table_publish_schema(struct table *t, json_t *next, struct err *reterr);
/* After a commit that failed with rc: brings the view up to date (after a lost race: waits first, longer each time) and says whether it is
 * worth another try. Returns rc, or what went wrong here: RC_AGAIN after too many tries, RC_CONFLICT if it is another table by now. */
rc_t table_answer_again(struct table *t, rc_t rc, bool lost_race, unsigned attempt, bool *ret_again, struct err *reterr);
/* A copy of the document to change, its time set and the log brought on. */
json_t *table_next(const struct table *t);
/* Best effort, after a commit. */
void table_write_hint(const struct table *t);
void table_write_ddl(struct table *t);

/* ---- snapshot.c ---- */
struct snapshot_draft { /* over the retries of one commit */
	int64_t id;
	char uuid[33];    /* names its files */
	unsigned attempt;
};
void snapshot_draft_init(struct snapshot_draft *d, const struct table *t);
/* Writes the list, gives what carries d->id its sequence number, and adds the snapshot to `next`. Takes `summary` over in any case. */
rc_t snapshot_add(struct table *t, struct snapshot_draft *d, json_t *next, struct manifest_list *list, json_t *summary, struct err *reterr);
void summary_number(json_t *summary, const char *key, int64_t v);
/* total-X of the parent plus ours; absent if the parent does not say. */
void summary_total(json_t *summary, const json_t *parent, const char *key, int64_t add);

/* ---- append_files.c ---- */
struct append_files { /* the files' side of one append, over its retries */
	struct snapshot_draft draft;
	struct manifest_list fresh; /* the manifest with the new files, once written */
	int64_t written;            /* when */
	int64_t bytes, records;
	uint32_t partitions;        /* distinct days */
};
void append_files_init(struct append_files *a, struct table *t, const struct table_commit *c);
void append_files_free(struct append_files *a);
/* Writes what the snapshot needs and adds it to `next`. */
rc_t append_files_snapshot(struct append_files *a, struct table *t, const struct table_commit *c, json_t *next, struct err *reterr);

/* ---- rewrite.c ---- */
struct rewrite {
	struct table *t;
	struct manifest_spec spec;
	struct manifest_list *to; /* gets the new manifests: metadata/<uuid>-m<k>.avro, k from 1 */
	int64_t snapshot_id;
	const char *uuid;
	unsigned k;
	struct manifest_writer w;
	bool open;
};
/* Whether our writer can write all of a live entry back. */
bool rewrite_can(const struct manifest_entry *e);
/* A live entry, as it is or (gone) as one that this snapshot deletes. */
rc_t rewrite_entry(struct rewrite *r, const struct manifest_entry *e, bool gone, struct err *reterr);
/* rc: how it went so far. Returns that, or how writing the last manifest went. */
rc_t rewrite_end(struct rewrite *r, rc_t rc, struct err *reterr);

/* ---- merge.c ---- */
/* *to: the manifests of *from, the small ones merged if there are many. */
rc_t merge_manifests(struct table *t, const struct manifest_list *from, struct manifest_list *to, int64_t snapshot_id, const char *uuid,
		     struct err *reterr);
/* What manifests are written with. schema_json is the caller's to free. */
rc_t table_manifest_spec(const struct table *t, struct manifest_spec *ret, char **ret_schema_json, struct err *reterr);
rc_t table_put_manifest(struct table *t, struct manifest_writer *w, const char *uuid, unsigned k, struct manifest_list *to,
			struct err *reterr);

/* ---- drop.c ---- */
struct versions { /* metadata files that go */
	struct version {
		int64_t version;
		char *key;
	} *items;
	size_t count, cap;
};
void versions_add(struct versions *v, int64_t version, const char *key);
void versions_sort(struct versions *v); /* oldest first, as they have to go: a crash leaves no hole under a newer one */
void versions_free(struct versions *v);
/* table_drop with another bound of the keys that are held in memory: beyond it files go while the table still stands, whose readers miss them. */
#define PURGE_KEYS_MAX ((size_t)64 << 20)
rc_t table_drop_within(struct store *store, const char *collection, bool purge, size_t keys_max, struct err *reterr);

/* ---- expire.c ---- */
rc_t table_sweep(struct table *t, const struct table_keep *keep, uint64_t *ret_removed, struct err *reterr);

#endif
