#include "table/iceberg/metadata_internal.h"

#include <stdio.h>

#define METADATA_LOG_MAX 50 /* entries; fewer than the versions that stay, so that each names a file that is there */
#define SPEC_FIELD_ID 1000  /* partition field ids start here by the specification */

int64_t meta_int(const json_t *j, const char *key, int64_t absent)
{
	const json_t *v = json_object_get(j, key);
	return json_is_integer(v) ? json_integer_value(v) : absent;
}

const char *meta_str(const json_t *j, const char *key)
{
	return json_string_value(json_object_get(j, key));
}

void state_free(struct table_state *s)
{
	json_decref(s->meta);
	schema_free(s->schema);
	*s = (struct table_state){ 0 };
}

json_t *meta_snapshot(const json_t *meta, int64_t id)
{
	json_t *all = json_object_get(meta, "snapshots");
	for (size_t i = json_array_size(all); i-- > 0;) /* the current one is nearly always the last */
		if (meta_int(json_array_get(all, i), "snapshot-id", -1) == id)
			return json_array_get(all, i);
	return NULL;
}

int64_t meta_current_snapshot(const json_t *meta)
{
	return meta_int(meta, "current-snapshot-id", -1);
}

const char *meta_property(const json_t *meta, const char *key)
{
	return meta_str(json_object_get(meta, "properties"), key);
}

rc_t meta_set_property(json_t *meta, const char *key, const char *value, struct err *reterr)
{
	json_t *props = json_object_get(meta, "properties");
	if (!json_is_object(props)) {
		props = json_object();
		json_object_set_new(meta, "properties", props);
	}
	if (!value) {
		json_object_del(props, key);
		return RC_OK;
	}
	if (!*key || json_object_set_new(props, key, json_string(value)) != 0)
		return err_set(reterr, RC_INVALID, "table property '%s': name and value must be UTF-8 text, the name not empty", key);
	return RC_OK;
}

static json_t *current_schema(const json_t *meta)
{
	json_t *all = json_object_get(meta, "schemas");
	int64_t id = meta_int(meta, "current-schema-id", -1);
	for (size_t i = 0; i < json_array_size(all); i++)
		if (meta_int(json_array_get(all, i), "schema-id", -1) == id)
			return json_array_get(all, i);
	return NULL;
}

static rc_t check_document(const json_t *meta, struct err *reterr)
{
	int64_t format = meta_int(meta, "format-version", -1);
	if (format != 2)
		return err_set(reterr, RC_UNSUPPORTED, "the table is in Iceberg format %lld: this version reads format 2", (long long)format);
	const char *ours = meta_property(meta, PROP_FORMAT);
	if (ours && strtol(ours, NULL, 10) > HYDRANT_FORMAT)
		return err_set(reterr, RC_UNSUPPORTED, "the table was written by a newer hydrant (format %s, this one knows %d): upgrade", ours,
			       HYDRANT_FORMAT);
	const char *uuid = meta_str(meta, "table-uuid"), *location = meta_str(meta, "location");
	if (!uuid || !location || !*location || !json_is_array(json_object_get(meta, "partition-specs")))
		return err_set(reterr, RC_CORRUPT, "the table's metadata lacks table-uuid, location or partition-specs");
	int64_t current = meta_current_snapshot(meta);
	if (current >= 0 && !meta_snapshot(meta, current))
		return err_set(reterr, RC_CORRUPT, "the table's metadata lacks its current snapshot %lld", (long long)current);
	if (meta_int(meta, "last-sequence-number", 0) < 0 || meta_int(meta, "last-sequence-number", 0) > INT64_MAX / 2)
		return err_set(reterr, RC_CORRUPT, "the table's last-sequence-number is out of range");
	if (!current_schema(meta))
		return err_set(reterr, RC_CORRUPT, "the table's metadata lacks its current schema");
	return RC_OK;
}

rc_t state_from_json(json_t *meta, int64_t version, struct table_state *ret, struct err *reterr)
{
	TRY(check_document(meta, reterr));
	struct schema *s = NULL;
	TRY(schema_from_json(current_schema(meta), &s, reterr));
	int64_t last = meta_int(meta, "last-column-id", 0);
	if (last > s->last_id && last < INT32_MAX)
		s->last_id = (int32_t)last;
	schema_apply_notes(s, meta_property(meta, PROP_FIELDS));
	*ret = (struct table_state){ .meta = meta, .schema = s, .version = version };
	return RC_OK;
}

json_t *metadata_new(const char *uuid, const char *location, const struct schema *s, int64_t now)
{
	const struct field *time = schema_by_role(s, ROLE_TIME);
	json_t *spec = json_pack("{s:i, s:[{s:s, s:s, s:i, s:i}]}", "spec-id", 0, "fields", "name", "__time_day", "transform", "day", "source-id",
				 (int)time->id, "field-id", SPEC_FIELD_ID);
	return json_pack("{s:i, s:s, s:s, s:i, s:I, s:i, s:[], s:i, s:[o], s:i, s:i, s:[{s:i, s:[]}], s:i, s:{}, s:i, s:{}, s:[], s:[], s:[]}",
			 "format-version", 2, "table-uuid", uuid, "location", location, "last-sequence-number", 0, "last-updated-ms",
			 (json_int_t)(now / 1000), "last-column-id", 0, "schemas", "current-schema-id", -1, "partition-specs", spec,
			 "default-spec-id", 0, "last-partition-id", SPEC_FIELD_ID, "sort-orders", "order-id", 0, "fields", "default-sort-order-id", 0,
			 "properties", "current-snapshot-id", -1, "refs", "snapshots", "snapshot-log", "metadata-log");
}

rc_t meta_set_schema(json_t *meta, struct schema *s, struct err *reterr)
{
	json_t *all = json_object_get(meta, "schemas");
	int64_t top = -1;
	for (size_t i = 0; i < json_array_size(all); i++) {
		int64_t id = meta_int(json_array_get(all, i), "schema-id", 0);
		top = id > top ? id : top;
	}
	/* Pruned schemas' ids are not used again either: current-schema-id is the highest, it only grows. */
	s->schema_id = (int32_t)(top + 1);
	json_t *j = schema_to_json(s);
	AUTO_MEM char *mapping = schema_name_mapping(s);
	AUTO_MEM char *notes = schema_notes(s);
	if (!j || !mapping || !notes) {
		json_decref(j);
		return err_set(reterr, RC_INVALID, "a column's name is not UTF-8, or a list or map lacks its children");
	}
	json_array_append_new(all, j);
	json_object_set_new(meta, "current-schema-id", json_integer(s->schema_id));
	json_object_set_new(meta, "last-column-id", json_integer(s->last_id));
	TRY(meta_set_property(meta, PROP_NAME_MAPPING, mapping, reterr));
	return meta_set_property(meta, PROP_FIELDS, notes, reterr);
}

/* Names that go unquoted into Avro schemas. */
static bool plain_name(const char *name)
{
	size_t n = name ? strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") : 0;
	return n && n < 256 && !name[n] && !(name[0] >= '0' && name[0] <= '9');
}

static bool is_day_spec(const json_t *spec)
{
	const json_t *fields = json_object_get(spec, "fields"), *f = json_array_get(fields, 0);
	const char *transform = meta_str(f, "transform");
	return json_array_size(fields) == 1 && transform && !strcmp(transform, "day") && plain_name(meta_str(f, "name")) &&
	       meta_int(f, "field-id", -1) >= 0 && meta_int(f, "field-id", -1) <= INT32_MAX;
}

rc_t meta_day_spec(const json_t *meta, int32_t *ret_spec_id, int32_t *ret_field_id, int32_t *ret_source_id, const char **ret_name,
		   struct err *reterr)
{
	const json_t *specs = json_object_get(meta, "partition-specs"), *found = NULL;
	int64_t preferred = meta_int(meta, "default-spec-id", 0);
	for (size_t i = 0; i < json_array_size(specs); i++) {
		const json_t *spec = json_array_get(specs, i);
		if (is_day_spec(spec) && (!found || meta_int(spec, "spec-id", -1) == preferred))
			found = spec;
	}
	if (!found)
		return err_set(reterr, RC_UNSUPPORTED, "the table has no partition spec day(__time): this version writes no other");
	const json_t *f = json_array_get(json_object_get(found, "fields"), 0);
	*ret_spec_id = (int32_t)meta_int(found, "spec-id", 0);
	*ret_field_id = (int32_t)meta_int(f, "field-id", SPEC_FIELD_ID);
	*ret_source_id = (int32_t)meta_int(f, "source-id", 0);
	*ret_name = meta_str(f, "name");
	return RC_OK;
}

static json_t *array_of(json_t *meta, const char *key)
{
	json_t *a = json_object_get(meta, key);
	if (!json_is_array(a)) {
		a = json_array();
		json_object_set_new(meta, key, a);
	}
	return a;
}

void meta_add_snapshot(json_t *meta, json_t *snapshot)
{
	json_int_t id = meta_int(snapshot, "snapshot-id", -1), ms = meta_int(snapshot, "timestamp-ms", 0);
	json_t *refs = json_object_get(meta, "refs");
	if (!json_is_object(refs)) {
		refs = json_object();
		json_object_set_new(meta, "refs", refs);
	}
	json_t *main_ref = json_object_get(refs, "main");
	if (!json_is_object(main_ref)) { /* else it keeps its retention settings */
		main_ref = json_pack("{s:s}", "type", "branch");
		json_object_set_new(refs, "main", main_ref);
	}
	json_object_set_new(main_ref, "snapshot-id", json_integer(id));
	json_object_set_new(meta, "last-sequence-number", json_integer(meta_int(snapshot, "sequence-number", 0)));
	json_object_set_new(meta, "current-snapshot-id", json_integer(id));
	json_array_append_new(array_of(meta, "snapshot-log"), json_pack("{s:I, s:I}", "snapshot-id", id, "timestamp-ms", ms));
	json_array_append_new(array_of(meta, "snapshots"), snapshot);
}

static bool is_referenced(const json_t *meta, int64_t id)
{
	const char *name;
	json_t *ref;
	json_object_foreach(json_object_get(meta, "refs"), name, ref)
		if (meta_int(ref, "snapshot-id", -1) == id)
			return true;
	return meta_current_snapshot(meta) == id;
}

/* The log must not skip: what stands before an expired snapshot goes with it (spec, "snapshot-log"). */
static void trim_snapshot_log(json_t *meta)
{
	json_t *log = json_object_get(meta, "snapshot-log");
	size_t keep_from = json_array_size(log);
	while (keep_from && meta_snapshot(meta, meta_int(json_array_get(log, keep_from - 1), "snapshot-id", -1)))
		keep_from--;
	while (keep_from--)
		json_array_remove(log, 0);
}

size_t meta_expire_snapshots(json_t *meta, const struct table_keep *keep, int64_t now)
{
	json_t *all = json_object_get(meta, "snapshots");
	size_t removed = 0, newer = 0;
	int64_t until = now;
	for (size_t i = json_array_size(all); i-- > 0; newer++) { /* newest first: commits append */
		json_t *s = json_array_get(all, i);
		int64_t age = now - until; /* since it was replaced: readers had it until then */
		until = meta_int(s, "timestamp-ms", 0) * 1000;
		bool goes = newer >= keep->snapshots_max || (newer >= keep->snapshots_min && age > keep->snapshot_age);
		if (!goes || is_referenced(meta, meta_int(s, "snapshot-id", -1)))
			continue;
		json_array_remove(all, i);
		removed++;
	}
	if (removed)
		trim_snapshot_log(meta);
	return removed;
}

void meta_prune_schemas(json_t *meta)
{
	json_t *all = json_object_get(meta, "schemas"), *snapshots = json_object_get(meta, "snapshots");
	int64_t current = meta_int(meta, "current-schema-id", -1);
	for (size_t i = json_array_size(all); i-- > 0;) {
		int64_t id = meta_int(json_array_get(all, i), "schema-id", -1);
		bool used = id == current;
		for (size_t k = 0; !used && k < json_array_size(snapshots); k++)
			used = meta_int(json_array_get(snapshots, k), "schema-id", -1) == id;
		if (!used)
			json_array_remove(all, i);
	}
}

void meta_touch(json_t *meta, const char *previous_path, int64_t now)
{
	json_int_t ms = now / 1000, last = meta_int(meta, "last-updated-ms", 0);
	json_t *log = array_of(meta, "metadata-log");
	json_array_append_new(log, json_pack("{s:I, s:s}", "timestamp-ms", last, "metadata-file", previous_path));
	while (json_array_size(log) > METADATA_LOG_MAX)
		json_array_remove(log, 0);
	json_object_set_new(meta, "last-updated-ms", json_integer(ms > last ? ms : last));
}
