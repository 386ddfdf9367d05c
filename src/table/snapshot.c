/* A new snapshot on its way: its ids over the retries of a commit, its manifest list, its place in the document. */
#include <stdio.h>

#include "base/fault.h"
#include "base/hash.h"
#include "table/table_internal.h"

void snapshot_draft_init(struct snapshot_draft *d, const struct table *t)
{
	struct hash128 random;
	*d = (struct snapshot_draft){ 0 };
	store_random(t->store, &random, sizeof random);
	hash128_hex(random, d->uuid);
	store_random(t->store, &d->id, sizeof d->id);
	d->id = (d->id & INT64_MAX) | 1; /* positive, never 0 */
}

void summary_number(json_t *summary, const char *key, int64_t v)
{
	char text[32];
	snprintf(text, sizeof text, "%lld", (long long)v);
	json_object_set_new(summary, key, json_string(text));
}

void summary_total(json_t *summary, const json_t *parent, const char *key, int64_t add)
{
	const char *was = parent ? meta_str(json_object_get(parent, "summary"), key) : "0";
	char *end;
	long long v = was ? strtoll(was, &end, 10) : -1;
	if (was && end != was && v >= 0 && v < INT64_MAX / 2)
		summary_number(summary, key, v + add);
}

rc_t snapshot_add(struct table *t, struct snapshot_draft *d, json_t *next, struct manifest_list *list, json_t *summary, struct err *reterr)
{
	int64_t parent_id = meta_current_snapshot(next), sequence = meta_int(next, "last-sequence-number", 0) + 1;
	bool parent = meta_snapshot(next, parent_id) != NULL;
	AUTO_MEM char *rel = mem_printf("metadata/snap-%lld-%u-%s.avro", (long long)d->id, d->attempt++, d->uuid);
	AUTO_MEM char *key = table_key(t, rel);
	AUTO_MEM char *path = table_absolute(t, rel);
	AUTO_BUF struct buf file;
	buf_init(&file, AVRO_FILE_MAX);
	uint8_t sync[16];
	store_random(t->store, sync, sizeof sync);
	for (size_t i = 0; i < list->count; i++) {
		struct manifest *m = &list->items[i];
		if (m->snapshot_id != d->id)
			continue;
		m->sequence = sequence; /* what this commit wrote */
		if (m->min_sequence > sequence)
			m->min_sequence = sequence;
	}
	rc_t rc = manifest_list_write(list, d->id, parent ? parent_id : -1, sequence, sync, &file, reterr);
	if (rc == RC_OK)
		rc = store_put(t->store, key, buf_slice(&file), STORE_REPLACE, reterr);
	if (rc != RC_OK) {
		json_decref(summary);
		return rc;
	}
	fault_point("table.manifest_list");
	free(t->list_path);
	t->list_path = mem_strdup(path);
	buf_free(&t->list);
	t->list = file;
	buf_init(&file, AVRO_FILE_MAX);
	json_t *snapshot = json_pack("{s:I, s:I, s:I, s:o, s:s, s:i}", "sequence-number", (json_int_t)sequence, "snapshot-id", (json_int_t)d->id,
				     "timestamp-ms", (json_int_t)meta_int(next, "last-updated-ms", 0), "summary", summary, "manifest-list", path,
				     "schema-id", (int)t->state.schema->schema_id);
	if (!snapshot)
		return err_set(reterr, RC_INVALID, "table %s: its place is not UTF-8", t->collection);
	if (parent)
		json_object_set_new(snapshot, "parent-snapshot-id", json_integer(parent_id));
	meta_add_snapshot(next, snapshot);
	return RC_OK;
}
