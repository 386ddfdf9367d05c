/* The live files of the current snapshot. */
#include "table/table_internal.h"

rc_t table_manifests(const struct table *t, const json_t *snapshot, struct manifest_list *l, struct err *reterr)
{
	const char *path = meta_str(snapshot, "manifest-list");
	if (!path)
		return err_set(reterr, RC_UNSUPPORTED, "a snapshot of table %s has no manifest list (Iceberg format 1)", t->collection);
	AUTO_BUF struct buf b;
	buf_init(&b, AVRO_FILE_MAX);
	bool ours = t->list_path && !strcmp(t->list_path, path); /* such a file never changes */
	rc_t rc = ours ? RC_OK : table_get(t, slice_str(path), &b, reterr);
	if (rc == RC_OK)
		rc = manifest_list_read(buf_slice(ours ? &t->list : &b), l, reterr);
	if (rc != RC_OK)
		err_prefix(reterr, "manifest list %s", path);
	return rc;
}

rc_t table_each_entry(const struct table *t, const struct manifest *m,
		      rc_t (*each)(void *ctx, const struct manifest_entry *e, struct err *reterr), void *ctx, struct err *reterr)
{
	int32_t spec_id = -1, field_id = 0, source_id;
	const char *name;
	meta_day_spec(t->state.meta, &spec_id, &field_id, &source_id, &name, NULL);
	AUTO_BUF struct buf b;
	buf_init(&b, AVRO_FILE_MAX);
	AUTO(manifest_reader) *r = NULL;
	const struct manifest_entry *e;
	rc_t rc = table_get(t, m->path, &b, reterr);
	if (rc == RC_OK)
		rc = manifest_open(buf_slice(&b), m, m->spec_id == spec_id, field_id, &r, reterr);
	if (rc != RC_OK) {
		err_prefix(reterr, "manifest %.*s", SLICE_ARG(m->path));
		return rc;
	}
	while ((rc = manifest_next(r, &e, reterr)) == RC_OK)
		TRY(each(ctx, e, reterr));
	if (rc != RC_EOF)
		err_prefix(reterr, "manifest %.*s", SLICE_ARG(m->path));
	return rc == RC_EOF ? RC_OK : rc;
}

struct files_ctx {
	const struct table *t;
	int32_t day_from, day_to;
	rc_t (*each)(void *ctx, const struct data_file *f, struct err *reterr);
	void *ctx;
	struct arena arena;
};

static rc_t refuse_deletes(void *ctx, const struct manifest_entry *e, struct err *reterr)
{
	const struct table *t = ctx;
	if (e->status == ENTRY_DELETED)
		return RC_OK;
	return err_set(reterr, RC_UNSUPPORTED, "table %s has row-level deletes of another engine (%.*s): rewrite its data files there first",
		       t->collection, SLICE_ARG(e->path));
}

static rc_t files_entry(void *ctx, const struct manifest_entry *e, struct err *reterr)
{
	struct files_ctx *c = ctx;
	struct data_file f = e->file;
	if (e->status == ENTRY_DELETED)
		return RC_OK;
	if (e->content != 0)
		return refuse_deletes((void *)c->t, e, reterr);
	if (f.day != TABLE_DAY_NONE && (f.day < c->day_from || f.day > c->day_to))
		return RC_OK;
	if (!slice_eq_str(e->format, "PARQUET") && !slice_eq_str(e->format, "parquet"))
		return err_set(reterr, RC_UNSUPPORTED, "table %s has a file in format %.*s (%.*s): only Parquet is read", c->t->collection,
			       SLICE_ARG(e->format), SLICE_ARG(e->path));
	arena_reset(&c->arena);
	TRY(table_resolve(c->t, e->path, &c->arena, &f.path, reterr));
	return c->each(c->ctx, &f, reterr);
}

rc_t table_files(struct table *t, int32_t day_from, int32_t day_to,
		 rc_t (*each)(void *ctx, const struct data_file *f, struct err *reterr), void *ctx, struct err *reterr)
{
	json_t *snapshot = meta_snapshot(t->state.meta, table_snapshot_id(t));
	if (!snapshot)
		return RC_OK;
	int32_t spec_id = -1, field_id, source_id;
	const char *name;
	meta_day_spec(t->state.meta, &spec_id, &field_id, &source_id, &name, NULL);
	struct files_ctx c = { .t = t, .day_from = day_from, .day_to = day_to, .each = each, .ctx = ctx };
	struct manifest_list l;
	manifest_list_init(&l);
	arena_init(&c.arena);
	rc_t rc = table_manifests(t, snapshot, &l, reterr);
	for (size_t i = 0; rc == RC_OK && i < l.count; i++)
		if (l.items[i].content == 1)
			rc = table_each_entry(t, &l.items[i], refuse_deletes, t, reterr);
	for (size_t i = 0; rc == RC_OK && i < l.count; i++) {
		const struct manifest *m = &l.items[i];
		bool empty = m->files[0] == 0 && m->files[1] == 0;
		bool pruned = m->spec_id == spec_id && !manifest_may_hold(m, day_from, day_to);
		if (m->content == 0 && !empty && !pruned)
			rc = table_each_entry(t, m, files_entry, &c, reterr);
	}
	arena_free(&c.arena);
	manifest_list_free(&l);
	return rc;
}

struct totals {
	int64_t records, files, bytes;
};

static rc_t totals_file(void *ctx, const struct data_file *f, struct err *reterr)
{
	struct totals *sum = ctx;
	sum->records += f->record_count;
	sum->files++;
	sum->bytes += f->file_size;
	return RC_OK;
}

static bool totals_listed(const struct manifest_list *l, struct totals *ret)
{
	for (size_t i = 0; i < l->count; i++) {
		const struct manifest *m = &l->items[i];
		if (m->content != 0 || m->files[0] < 0 || m->files[1] < 0 || m->rows[0] < 0 || m->rows[1] < 0)
			return false;
		ret->files += m->files[0] + m->files[1];
		ret->records += m->rows[0] + m->rows[1];
	}
	return true;
}

rc_t table_totals(struct table *t, int64_t *ret_records, int64_t *ret_files, int64_t *ret_bytes, struct err *reterr)
{
	struct totals sum = { 0 };
	json_t *snapshot = meta_snapshot(t->state.meta, table_snapshot_id(t));
	struct manifest_list l;
	manifest_list_init(&l);
	rc_t rc = snapshot ? table_manifests(t, snapshot, &l, reterr) : RC_OK;
	bool known = rc == RC_OK && !ret_bytes && totals_listed(&l, &sum);
	manifest_list_free(&l);
	if (rc == RC_OK && !known) {
		sum = (struct totals){ 0 };
		rc = table_files(t, INT32_MIN, INT32_MAX, totals_file, &sum, reterr);
	}
	if (rc != RC_OK)
		return rc;
	if (ret_records)
		*ret_records = sum.records;
	if (ret_files)
		*ret_files = sum.files;
	if (ret_bytes)
		*ret_bytes = sum.bytes;
	return RC_OK;
}
