/* Retention: one commit takes all files out whose day is over. Whole files only, by their partition; manifests of younger days stay as they are,
 * the others are written anew with their old entries marked deleted, so that other engines see which files went. The files themselves go
 * with the last snapshot that names them (expire.c). */
#include "base/fault.h"
#include "table/table_internal.h"

struct retire {
	struct table *t;
	int32_t before;
	struct snapshot_draft *draft;
	struct rewrite to;
	struct table_retired gone;
	uint32_t days;            /* distinct ones, at most: counted where it changes from entry to entry */
	int32_t day;
	/* of the manifest being looked at */
	uint64_t old;
	bool ours;                /* our writer can write all of it back */
};

static bool is_old(const struct retire *r, const struct manifest_entry *e)
{
	return e->status != ENTRY_DELETED && e->file.day != TABLE_DAY_NONE && e->file.day < r->before;
}

static rc_t look_at_entry(void *ctx, const struct manifest_entry *e, struct err *reterr)
{
	struct retire *r = ctx;
	(void)reterr;
	r->old += is_old(r, e);
	r->ours = r->ours && (e->status == ENTRY_DELETED || rewrite_can(e));
	return RC_OK;
}

static rc_t take_entry(void *ctx, const struct manifest_entry *e, struct err *reterr)
{
	struct retire *r = ctx;
	if (e->status == ENTRY_DELETED)
		return RC_OK;
	bool old = is_old(r, e);
	if (old) {
		r->gone.files++;
		r->gone.records += (uint64_t)e->file.record_count;
		r->gone.bytes += (uint64_t)e->file.file_size;
		r->days += r->day != e->file.day;
		r->day = e->file.day;
	}
	return rewrite_entry(&r->to, e, old, reterr);
}

static rc_t retire_one(struct retire *r, const struct manifest *m, struct err *reterr)
{
	bool dead = m->content == 0 && m->files[0] == 0 && m->files[1] == 0;
	if (dead)
		return RC_OK;
	r->old = 0;
	r->ours = m->spec_id == r->to.spec.id && !m->key_metadata.data;
	if (m->content == 0 && (m->spec_id != r->to.spec.id || manifest_may_hold(m, INT32_MIN, r->before - 1)))
		TRY(table_each_entry(r->t, m, look_at_entry, r, reterr));
	if (!r->old) {
		manifest_list_add(r->to.to, m);
		return RC_OK;
	}
	if (!r->ours)
		return err_set(reterr, RC_UNSUPPORTED,
			       "table %s: manifest %.*s names %llu files that are over, and was written by an engine in a way that hydrant cannot write back: "
			       "delete them there", r->t->collection, SLICE_ARG(m->path), (unsigned long long)r->old);
	return table_each_entry(r->t, m, take_entry, r, reterr);
}

static json_t *make_summary(const struct retire *r, const json_t *parent)
{
	json_t *s = json_object();
	json_object_set_new(s, "operation", json_string("delete"));
	summary_number(s, "deleted-data-files", (int64_t)r->gone.files);
	summary_number(s, "deleted-records", (int64_t)r->gone.records);
	summary_number(s, "removed-files-size", (int64_t)r->gone.bytes);
	summary_number(s, "changed-partition-count", r->days);
	summary_total(s, parent, "total-data-files", -(int64_t)r->gone.files);
	summary_total(s, parent, "total-records", -(int64_t)r->gone.records);
	summary_total(s, parent, "total-files-size", -(int64_t)r->gone.bytes);
	summary_total(s, parent, "total-delete-files", 0);
	summary_total(s, parent, "total-position-deletes", 0);
	summary_total(s, parent, "total-equality-deletes", 0);
	return s;
}

/* Adds the snapshot without the old files to `next`; none is added if there are none. */
static rc_t retire_snapshot(struct retire *r, json_t *next, struct err *reterr)
{
	struct table *t = r->t;
	const json_t *parent = meta_snapshot(next, meta_current_snapshot(next));
	struct manifest_list old, list;
	AUTO_MEM char *schema_json = NULL;
	if (!parent)
		return RC_OK;
	AUTO_MEM char *uuid = mem_printf("%s-%u", r->draft->uuid, r->draft->attempt);
	r->to = (struct rewrite){ .t = t, .to = &list, .snapshot_id = r->draft->id, .uuid = uuid };
	TRY(table_manifest_spec(t, &r->to.spec, &schema_json, reterr));
	manifest_list_init(&old);
	manifest_list_init(&list);
	rc_t rc = table_manifests(t, parent, &old, reterr);
	for (size_t i = 0; rc == RC_OK && i < old.count; i++)
		rc = retire_one(r, &old.items[i], reterr);
	rc = rewrite_end(&r->to, rc, reterr);
	if (rc == RC_OK && r->gone.files)
		rc = snapshot_add(t, r->draft, next, &list, make_summary(r, parent), reterr);
	manifest_list_free(&list);
	manifest_list_free(&old);
	return rc;
}

rc_t table_retire(struct table *t, int32_t before, struct table_retired *ret, struct err *reterr)
{
	struct snapshot_draft draft;
	bool again = true;
	snapshot_draft_init(&draft, t);
	*ret = (struct table_retired){ 0 };
	for (unsigned attempt = 0; again; attempt++) {
		again = false;
		struct retire r = { .t = t, .before = before, .draft = &draft, .day = TABLE_DAY_NONE };
		json_t *next = table_next(t);
		rc_t rc = retire_snapshot(&r, next, reterr);
		if (rc != RC_OK || !r.gone.files)
			json_decref(next);
		else
			rc = table_publish(t, next, reterr);
		if (rc == RC_OK)
			*ret = r.gone;
		if (rc == RC_CONFLICT || rc == RC_CORRUPT) /* a corrupt file may be one that an old view names */
			rc = table_answer_again(t, rc, rc == RC_CONFLICT, attempt, &again, reterr);
		if (rc != RC_OK && !again)
			return rc;
	}
	fault_point("table.retired");
	return RC_OK;
}
