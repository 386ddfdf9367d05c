/* Entries of old manifests, written again into as few new ones as there must be. */
#include "table/table_internal.h"

bool rewrite_can(const struct manifest_entry *e)
{
	bool parquet = slice_eq_str(e->format, "PARQUET") || slice_eq_str(e->format, "parquet");
	return !e->foreign && e->content == 0 && parquet;
}

static rc_t put(struct rewrite *r, struct err *reterr)
{
	if (!r->open)
		return RC_OK;
	r->open = false;
	rc_t rc = table_put_manifest(r->t, &r->w, r->uuid, ++r->k, r->to, reterr);
	manifest_writer_free(&r->w);
	return rc;
}

rc_t rewrite_entry(struct rewrite *r, const struct manifest_entry *e, bool gone, struct err *reterr)
{
	if (!r->open) {
		uint8_t sync[16];
		store_random(r->t->store, sync, sizeof sync);
		manifest_writer_init(&r->w, &r->spec, r->snapshot_id, sync);
		r->open = true;
	}
	if (gone)
		manifest_writer_delete(&r->w, e);
	else
		manifest_writer_carry(&r->w, e);
	return r->w.avro.out.len >= MANIFEST_TARGET ? put(r, reterr) : RC_OK;
}

rc_t rewrite_end(struct rewrite *r, rc_t rc, struct err *reterr)
{
	if (rc == RC_OK)
		return put(r, reterr);
	if (r->open)
		manifest_writer_free(&r->w);
	r->open = false;
	return rc;
}
