/* What a table is now: its document, looked at. */
#include "table/table_internal.h"

const struct schema *table_schema(const struct table *t)
{
	return t->state.schema;
}

const char *table_property(const struct table *t, const char *key)
{
	return meta_property(t->state.meta, key);
}

void table_properties(const struct table *t, bool (*each)(void *ctx, const char *key, const char *value), void *ctx)
{
	const char *key;
	json_t *value;
	json_object_foreach(json_object_get(t->state.meta, "properties"), key, value)
		if (json_is_string(value) && !each(ctx, key, json_string_value(value)))
			return;
}

int64_t table_version(const struct table *t)
{
	return t->state.version;
}

int64_t table_snapshot_id(const struct table *t)
{
	return meta_current_snapshot(t->state.meta);
}

const char *table_uuid(const struct table *t)
{
	return meta_str(t->state.meta, "table-uuid");
}

uint64_t table_ddl_hash(const struct table *t)
{
	return t->ddl_hash;
}

void table_know_ddl(struct table *t, uint64_t hash)
{
	t->ddl_hash = hash;
}

const char *table_location(const struct table *t)
{
	return meta_str(t->state.meta, "location");
}

const char *table_collection(const struct table *t)
{
	return t->collection;
}

struct store *table_store(const struct table *t)
{
	return t->store;
}

rc_t table_snapshots(const struct table *t, rc_t (*each)(void *ctx, const struct table_snapshot *s, struct err *reterr), void *ctx,
		     struct err *reterr)
{
	json_t *all = json_object_get(t->state.meta, "snapshots");
	for (size_t i = json_array_size(all); i-- > 0;) {
		json_t *j = json_array_get(all, i);
		const char *operation = meta_str(json_object_get(j, "summary"), "operation");
		struct table_snapshot s = { .id = meta_int(j, "snapshot-id", -1), .parent_id = meta_int(j, "parent-snapshot-id", -1),
					    .sequence = meta_int(j, "sequence-number", 0), .time = meta_int(j, "timestamp-ms", 0) * 1000,
					    .schema_id = (int32_t)meta_int(j, "schema-id", -1), .operation = operation ? operation : "",
					    .summary = json_object_get(j, "summary") };
		TRY(each(ctx, &s, reterr));
	}
	return RC_OK;
}

const char *table_summary(const struct table_snapshot *s, const char *key)
{
	return meta_str(s->summary, key);
}
