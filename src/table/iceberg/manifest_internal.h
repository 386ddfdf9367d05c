/* Manifest lists and manifests (Iceberg spec v2, "Manifest Lists", "Manifests"), over avro_internal.h.
 *
 * Read from any engine; written for our one partition spec, day(__time) with one field. Paths stay as they stand in the file (absolute);
 * the table resolves them. Ownership: what reading fills lives in the arena or until the next entry, as said there.
 */
#ifndef TABLE_MANIFEST_INTERNAL_H
#define TABLE_MANIFEST_INTERNAL_H

#include "table/iceberg/avro_internal.h"
#include "table/table.h"

#define MANIFESTS_MAX 100000 /* entries of a manifest list that are read */

/* ---- Manifest list ---- */

struct manifest_summary {      /* of one partition field over the manifest's files */
	bool contains_null;
	int8_t contains_nan;   /* -1 unknown */
	struct slice lower, upper; /* single-value bytes; data NULL: none */
};

struct manifest {
	struct slice path;
	int64_t length;
	int32_t spec_id;
	int32_t content;           /* 0 data, 1 deletes */
	int64_t sequence, min_sequence;
	int64_t snapshot_id;       /* that added it */
	int64_t files[3], rows[3]; /* added, existing, deleted; -1 unknown */
	const struct manifest_summary *summaries; /* data NULL: none */
	uint32_t summary_count;
	struct slice key_metadata;
};

struct manifest_list {
	struct arena arena;
	struct manifest *items;
	size_t count, cap;
};
void manifest_list_init(struct manifest_list *l);
void manifest_list_free(struct manifest_list *l);
/* Deep copy of m behind the last. */
struct manifest *manifest_list_add(struct manifest_list *l, const struct manifest *m);
/* Appends the file's entries to *l. */
rc_t manifest_list_read(struct slice file, struct manifest_list *l, struct err *reterr);
rc_t manifest_list_write(const struct manifest_list *l, int64_t snapshot_id, int64_t parent_id, int64_t sequence, const uint8_t sync[16],
			 struct buf *ret, struct err *reterr);
/* Whether a manifest of our own spec may hold files of the days; true where it cannot be told. */
bool manifest_may_hold(const struct manifest *m, int32_t day_from, int32_t day_to);

/* ---- Manifest ---- */

enum entry_status { ENTRY_EXISTING = 0, ENTRY_ADDED = 1, ENTRY_DELETED = 2 };

struct manifest_entry {
	enum entry_status status;
	int64_t file_sequence;  /* data sequence and snapshot are in `file`; all with the manifest's values where they are inherited */
	int32_t content;        /* 0 data, 1 position deletes, 2 equality deletes */
	struct slice path, format;
	struct data_file file;  /* path unset */
	struct slice key_metadata;
	bool foreign;           /* has something that our writer would lose: not to be merged */
};

struct manifest_reader;
/* m: the list's entry, for inheritance. day_spec: whether the manifest's partition tuple is ours, so that `day` can be told from its
 * field with `partition_field_id`. `file` is borrowed. */
rc_t manifest_open(struct slice file, const struct manifest *m, bool day_spec, int32_t partition_field_id, struct manifest_reader **ret,
		   struct err *reterr);
void manifest_close(struct manifest_reader *r);
AUTO_DEFINE(manifest_reader, manifest_close)
rc_t manifest_next(struct manifest_reader *r, const struct manifest_entry **ret, struct err *reterr); /* RC_EOF; lives until the next call */

/* Our spec, as the metadata has it. */
struct manifest_spec {
	int32_t id, field_id, source_id;
	const char *field_name;
	const char *schema_json;  /* current schema */
	int32_t schema_id;
};

struct manifest_writer {
	struct avro_writer avro;
	struct manifest sum;      /* counts, sequences; path and length are the caller's */
	int32_t day_min, day_max;
	bool any_null;
	uint8_t bounds[8];
	struct manifest_summary summary;
};
void manifest_writer_init(struct manifest_writer *w, const struct manifest_spec *spec, int64_t snapshot_id, const uint8_t sync[16]);
void manifest_writer_free(struct manifest_writer *w);
/* A file that this commit adds; `path` is absolute. Sequence numbers are inherited at the commit. `keep`: the ids of the leaves that get
 * metrics, ascending. */
void manifest_writer_add(struct manifest_writer *w, struct slice path, const struct data_file *f, const struct schema *schema,
			 const int32_t *keep, size_t keep_count);
/* A live file of another manifest: status EXISTING, its numbers explicit. */
void manifest_writer_carry(struct manifest_writer *w, const struct manifest_entry *e);
/* A live file that this commit takes out: status DELETED. */
void manifest_writer_delete(struct manifest_writer *w, const struct manifest_entry *e);
/* The file is then w->avro.out; w->sum and its summary are complete (they point into w). */
rc_t manifest_writer_finish(struct manifest_writer *w, struct err *reterr);

/* Cuts a bound of field f to TABLE_BOUND_BYTES, keeping lower ≤ and upper ≥. out holds TABLE_BOUND_BYTES; data NULL: none can be given. */
struct slice bound_cut(const struct field *f, struct slice v, bool upper, uint8_t *out);

#endif
