/* Many small appends must not leave thousands of manifests: past MERGE_AT small ones, a commit rewrites them into few. Entries keep their
 * snapshot and sequence numbers; deleted entries go. What our writer could not write back whole is left as it is. */
#include "table/table_internal.h"

static bool is_small(const struct manifest *m, int32_t spec_id)
{
	return m->content == 0 && m->spec_id == spec_id && m->length >= 0 && m->length < MANIFEST_TARGET && !m->key_metadata.data;
}

static rc_t check_entry(void *ctx, const struct manifest_entry *e, struct err *reterr)
{
	bool *ok = ctx;
	(void)reterr;
	/* A dead one goes, but it tells who wrote the manifest. */
	*ok = *ok && (e->status == ENTRY_DELETED ? !e->foreign && e->content == 0 : rewrite_can(e));
	return RC_OK;
}

static rc_t carry_entry(void *ctx, const struct manifest_entry *e, struct err *reterr)
{
	return e->status == ENTRY_DELETED ? RC_OK : rewrite_entry(ctx, e, false, reterr);
}

static rc_t merge_one(struct rewrite *r, const struct manifest *m, struct err *reterr)
{
	bool ok = true;
	TRY(table_each_entry(r->t, m, check_entry, &ok, reterr));
	if (!ok) {
		manifest_list_add(r->to, m);
		return RC_OK;
	}
	return table_each_entry(r->t, m, carry_entry, r, reterr);
}

rc_t merge_manifests(struct table *t, const struct manifest_list *from, struct manifest_list *to, int64_t snapshot_id, const char *uuid,
		     struct err *reterr)
{
	struct rewrite r = { .t = t, .to = to, .snapshot_id = snapshot_id, .uuid = uuid };
	AUTO_MEM char *schema_json = NULL;
	TRY(table_manifest_spec(t, &r.spec, &schema_json, reterr));
	size_t small = 0;
	for (size_t i = 0; i < from->count; i++)
		small += is_small(&from->items[i], r.spec.id);
	rc_t rc = RC_OK;
	for (size_t i = 0; rc == RC_OK && i < from->count; i++) {
		const struct manifest *m = &from->items[i];
		bool dead = m->content == 0 && m->files[0] == 0 && m->files[1] == 0;
		if (small >= MERGE_AT && is_small(m, r.spec.id))
			rc = merge_one(&r, m, reterr);
		else if (!dead)
			manifest_list_add(to, m);
	}
	return rewrite_end(&r, rc, reterr);
}
