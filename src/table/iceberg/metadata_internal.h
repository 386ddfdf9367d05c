/* The table metadata document (Iceberg spec v2, "Table Metadata Fields", Appendix C) as a jansson tree, and what hydrant reads out of it.
 * The tree is kept whole, so that a commit carries forward what other engines have put there. */
#ifndef TABLE_METADATA_INTERNAL_H
#define TABLE_METADATA_INTERNAL_H

#include <jansson.h>

#include "base/arena.h"
#include "base/err.h"
#include "model/schema.h"
#include "table/table.h"

#define METADATA_MAX ((size_t)64 << 20)  /* bytes of a metadata file, inflated */
#define METADATA_ROOM ((size_t)32 << 20) /* a larger one loses earlier snapshots, and no schema may make it larger: the rest is for positions and snapshots */
#define SCHEMA_DEPTH_MAX 256             /* fields within fields */
#define SCHEMA_FIELDS_MAX 200000
#define HYDRANT_FORMAT 1                 /* of property hydrant.format: a table with a larger one is refused */
#define PROP_FORMAT "hydrant.format"
#define PROP_FIELDS "hydrant.fields"
#define PROP_SINCE "hydrant.since" /* µs; data files stored before are of a dropped table of that name. Absent: there were none */
#define PROP_NAME_MAPPING "schema.name-mapping.default"

/* ---- Schemas ---- */
rc_t schema_from_json(json_t *j, struct schema **ret, struct err *reterr);
/* NULL: a name is no UTF-8. A new reference. */
json_t *schema_to_json(const struct schema *s);
/* The text of schema.name-mapping.default (spec, "Column Projection"). Caller frees; NULL: a name is no UTF-8. */
char *schema_name_mapping(const struct schema *s);
/* hydrant.fields: roles, keys and formats that are not the default, to text and back. Caller frees. */
char *schema_notes(const struct schema *s);
void schema_apply_notes(struct schema *s, const char *notes); /* NULL: none; what is malformed in it is passed over */

/* ---- The document ---- */
struct table_state {
	json_t *meta;
	struct schema *schema;
	int64_t version;
	uint64_t size; /* of the metadata file, and its time: tell a table that was dropped and made again */
	int64_t mtime;
};
void state_free(struct table_state *s);
/* Checks the document and reads the schema; takes over `meta` on RC_OK only. */
rc_t state_from_json(json_t *meta, int64_t version, struct table_state *ret, struct err *reterr);
/* A first document: no snapshot. */
json_t *metadata_new(const char *uuid, const char *location, const struct schema *s, int64_t now);

int64_t meta_int(const json_t *j, const char *key, int64_t absent);
const char *meta_str(const json_t *j, const char *key); /* NULL if absent or no string */
json_t *meta_snapshot(const json_t *meta, int64_t id);  /* borrowed; NULL */
int64_t meta_current_snapshot(const json_t *meta);      /* -1: none */
const char *meta_property(const json_t *meta, const char *key);
/* value NULL removes. RC_INVALID: no UTF-8. */
rc_t meta_set_property(json_t *meta, const char *key, const char *value, struct err *reterr);
/* Makes s the current schema (a new schema-id, written to s), with name mapping, notes and last-column-id. */
rc_t meta_set_schema(json_t *meta, struct schema *s, struct err *reterr);
/* The partition spec that hydrant writes: one field, day(). RC_UNSUPPORTED if the table has none. *ret_name is borrowed from meta. */
rc_t meta_day_spec(const json_t *meta, int32_t *ret_spec_id, int32_t *ret_field_id, int32_t *ret_source_id, const char **ret_name,
		   struct err *reterr);
/* Adds the snapshot, makes it current on main, and logs it. Takes `snapshot` over. */
void meta_add_snapshot(json_t *meta, json_t *snapshot);
/* Removes snapshots by the rules of struct table_keep; returns how many. */
size_t meta_expire_snapshots(json_t *meta, const struct table_keep *keep, int64_t now);
/* Removes schemas that neither the table nor a snapshot refers to. */
void meta_prune_schemas(json_t *meta);
/* last-updated-ms (never going back) and metadata-log, which names the file this document follows. */
void meta_touch(json_t *meta, const char *previous_path, int64_t now);

#endif
