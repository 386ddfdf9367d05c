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
	bool parquet = slice_eq_str(e->format, "PARQUET") || slice_eq_str(e->format, "parquet");
	*ok = *ok && !e->foreign && e->content == 0 && (parquet || e->status == ENTRY_DELETED);
	return RC_OK;
}

struct merge {
	struct table *t;
	struct manifest_spec spec;
	struct manifest_list *to;
	int64_t snapshot_id;
	const char *uuid;
	unsigned k;               /* of the open manifest's name */
	struct manifest_writer w;
	bool open;
};

static void open_manifest(struct merge *g)
{
	uint8_t sync[16];
	store_random(g->t->store, sync, sizeof sync);
	manifest_writer_init(&g->w, &g->spec, g->snapshot_id, sync);
	g->open = true;
}

static rc_t close_manifest(struct merge *g, struct err *reterr)
{
	if (!g->open)
		return RC_OK;
	rc_t rc = table_put_manifest(g->t, &g->w, g->uuid, ++g->k, g->to, reterr);
	manifest_writer_free(&g->w);
	g->open = false;
	return rc;
}

static rc_t carry_entry(void *ctx, const struct manifest_entry *e, struct err *reterr)
{
	struct merge *g = ctx;
	if (e->status == ENTRY_DELETED)
		return RC_OK;
	if (!g->open)
		open_manifest(g);
	manifest_writer_carry(&g->w, e);
	return g->w.avro.out.len >= MANIFEST_TARGET ? close_manifest(g, reterr) : RC_OK;
}

static rc_t merge_one(struct merge *g, const struct manifest *m, struct err *reterr)
{
	bool ok = true;
	TRY(table_each_entry(g->t, m, check_entry, &ok, reterr));
	if (!ok) {
		manifest_list_add(g->to, m);
		return RC_OK;
	}
	return table_each_entry(g->t, m, carry_entry, g, reterr);
}

rc_t merge_manifests(struct table *t, const struct manifest_list *from, struct manifest_list *to, int64_t snapshot_id, const char *uuid,
		     struct err *reterr)
{
	struct merge g = { .t = t, .to = to, .snapshot_id = snapshot_id, .uuid = uuid };
	AUTO_MEM char *schema_json = NULL;
	TRY(table_manifest_spec(t, &g.spec, &schema_json, reterr));
	size_t small = 0;
	for (size_t i = 0; i < from->count; i++)
		small += is_small(&from->items[i], g.spec.id);
	rc_t rc = RC_OK;
	for (size_t i = 0; rc == RC_OK && i < from->count; i++) {
		const struct manifest *m = &from->items[i];
		bool dead = m->content == 0 && m->files[0] == 0 && m->files[1] == 0;
		if (small >= MERGE_AT && is_small(m, g.spec.id))
			rc = merge_one(&g, m, reterr);
		else if (!dead)
			manifest_list_add(to, m);
	}
	if (rc == RC_OK)
		rc = close_manifest(&g, reterr);
	if (g.open)
		manifest_writer_free(&g.w);
	return rc;
}
