/* The snapshot of an append: one manifest with the new files, written once and kept over retries; a manifest list each try. */
#include "base/fault.h"
#include "base/map.h"
#include "table/table_internal.h"

#define REWRITE_AFTER ((int64_t)3600 * 1000000) /* µs: an unreferenced manifest older than this is not relied on, sweeps take it one day */

static uint32_t distinct_days(const struct table_commit *c)
{
	struct map days;
	map_init(&days);
	for (size_t i = 0; i < c->file_count; i++)
		map_put(&days, slice_of(&c->files[i].day, sizeof c->files[i].day), NULL);
	uint32_t n = (uint32_t)days.count;
	map_free(&days);
	return n;
}

void append_files_init(struct append_files *a, struct table *t, const struct table_commit *c)
{
	*a = (struct append_files){ 0 };
	manifest_list_init(&a->fresh);
	snapshot_draft_init(&a->draft, t);
	for (size_t i = 0; i < c->file_count; i++) {
		a->bytes += c->files[i].file_size;
		a->records += c->files[i].record_count;
	}
	a->partitions = distinct_days(c);
}

void append_files_free(struct append_files *a)
{
	manifest_list_free(&a->fresh);
}

static bool is_bounded_role(const struct field *f)
{
	return f->role != ROLE_META && f->role != ROLE_SHAPE && f->role != ROLE_RAW && f->role != ROLE_REST;
}

/* The leaves that get metrics: event time, receive time, position, source first, then payload columns in schema order; none inside lists or
 * maps, where Iceberg defines no bounds. */
static size_t choose_leaves(const struct schema *s, int32_t out[TABLE_BOUNDS_MAX])
{
	static const enum role first[] = { ROLE_TIME, ROLE_POS, ROLE_RECEIVED, ROLE_SOURCE };
	size_t n = 0;
	for (size_t i = 0; i < sizeof first / sizeof *first; i++) {
		const struct field *f = schema_by_role(s, first[i]);
		if (f && !type_is_nested(f->type))
			out[n++] = f->id;
	}
	for (const struct field *f = s->root; n < TABLE_BOUNDS_MAX && (f = field_next(s->root, f));) {
		bool ok = !type_is_nested(f->type) && is_bounded_role(f);
		for (const struct field *p = f->parent; ok && p; p = p->parent)
			ok = p->type == TYPE_STRUCT;
		for (size_t i = 0; ok && i < n; i++)
			ok = out[i] != f->id;
		if (ok)
			out[n++] = f->id;
	}
	return n;
}

rc_t table_manifest_spec(const struct table *t, struct manifest_spec *ret, char **ret_schema_json, struct err *reterr)
{
	struct manifest_spec spec = { 0 };
	TRY(meta_day_spec(t->state.meta, &spec.id, &spec.field_id, &spec.source_id, &spec.field_name, reterr));
	json_t *schema = schema_to_json(t->state.schema);
	*ret_schema_json = json_dumps(schema, JSON_COMPACT);
	json_decref(schema);
	if (!*ret_schema_json)
		return err_set(reterr, RC_LIMIT, "table %s: its schema cannot be written", t->collection);
	spec.schema_json = *ret_schema_json;
	spec.schema_id = t->state.schema->schema_id;
	*ret = spec;
	return RC_OK;
}

rc_t table_put_manifest(struct table *t, struct manifest_writer *w, const char *uuid, unsigned k, struct manifest_list *to,
			struct err *reterr)
{
	TRY(manifest_writer_finish(w, reterr));
	AUTO_MEM char *rel = mem_printf("metadata/%s-m%u.avro", uuid, k);
	AUTO_MEM char *key = table_key(t, rel);
	AUTO_MEM char *path = table_absolute(t, rel);
	TRY(store_put(t->store, key, buf_slice(&w->avro.out), STORE_REPLACE, reterr));
	w->sum.path = slice_str(path);
	manifest_list_add(to, &w->sum);
	fault_point("table.manifest");
	return RC_OK;
}

/* The new files' manifest, m0. */
static rc_t write_fresh(struct append_files *a, struct table *t, const struct table_commit *c, struct err *reterr)
{
	int32_t leaves[TABLE_BOUNDS_MAX];
	size_t leaf_count = choose_leaves(t->state.schema, leaves);
	struct manifest_spec spec;
	AUTO_MEM char *schema_json = NULL;
	TRY(table_manifest_spec(t, &spec, &schema_json, reterr));
	uint8_t sync[16];
	store_random(t->store, sync, sizeof sync);
	struct manifest_writer w;
	manifest_writer_init(&w, &spec, a->draft.id, sync);
	for (size_t i = 0; i < c->file_count; i++) {
		AUTO_MEM char *path = table_absolute(t, c->files[i].path);
		manifest_writer_add(&w, slice_str(path), &c->files[i], t->state.schema, leaves, leaf_count);
	}
	manifest_list_free(&a->fresh);
	rc_t rc = table_put_manifest(t, &w, a->draft.uuid, 0, &a->fresh, reterr);
	manifest_writer_free(&w);
	a->written = store_now(t->store);
	return rc;
}

static json_t *make_summary(const struct append_files *a, const struct table_commit *c, const json_t *parent)
{
	json_t *s = json_object();
	for (size_t i = 0; i < c->summary_count; i++)
		if (c->summary[i].value)
			json_object_set_new(s, c->summary[i].key, json_string(c->summary[i].value));
	json_object_set_new(s, "operation", json_string("append"));
	summary_number(s, "added-data-files", (int64_t)c->file_count);
	summary_number(s, "added-records", a->records);
	summary_number(s, "added-files-size", a->bytes);
	summary_number(s, "changed-partition-count", a->partitions);
	summary_total(s, parent, "total-data-files", (int64_t)c->file_count);
	summary_total(s, parent, "total-records", a->records);
	summary_total(s, parent, "total-files-size", a->bytes);
	summary_total(s, parent, "total-delete-files", 0);
	summary_total(s, parent, "total-position-deletes", 0);
	summary_total(s, parent, "total-equality-deletes", 0);
	return s;
}

/* The manifests of the new snapshot: ours first, those of its parent behind, merged where there are many. */
static rc_t collect(struct append_files *a, struct table *t, const json_t *parent, struct manifest_list *to, struct err *reterr)
{
	struct manifest_list old;
	AUTO_MEM char *uuid = mem_printf("%s-%u", a->draft.uuid, a->draft.attempt);
	manifest_list_init(&old);
	manifest_list_add(to, &a->fresh.items[0]);
	rc_t rc = parent ? table_manifests(t, parent, &old, reterr) : RC_OK;
	if (rc == RC_OK)
		rc = merge_manifests(t, &old, to, a->draft.id, uuid, reterr);
	manifest_list_free(&old);
	return rc;
}

rc_t append_files_snapshot(struct append_files *a, struct table *t, const struct table_commit *c, json_t *next, struct err *reterr)
{
	if (!a->fresh.count || store_now(t->store) - a->written > REWRITE_AFTER)
		TRY(write_fresh(a, t, c, reterr));
	const json_t *parent = meta_snapshot(next, meta_current_snapshot(next));
	struct manifest_list list;
	manifest_list_init(&list);
	rc_t rc = collect(a, t, parent, &list, reterr);
	if (rc == RC_OK)
		rc = snapshot_add(t, &a->draft, next, &list, make_summary(a, c, parent), reterr);
	manifest_list_free(&list);
	return rc;
}
