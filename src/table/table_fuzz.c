/* Bytes from other engines: manifest lists, manifests (the first byte chooses) and metadata documents. */
#include "table/table_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_list(struct slice in)
{
	struct manifest_list l;
	manifest_list_init(&l);
	if (manifest_list_read(in, &l, NULL) == RC_OK)
		for (size_t i = 0; i < l.count; i++)
			manifest_may_hold(&l.items[i], 0, 1);
	manifest_list_free(&l);
}

static void fuzz_manifest(struct slice in)
{
	struct manifest m = { .sequence = 1, .snapshot_id = 2 };
	AUTO(manifest_reader) *r = NULL;
	const struct manifest_entry *e;
	if (manifest_open(in, &m, true, 1000, &r, NULL) == RC_OK)
		while (manifest_next(r, &e, NULL) == RC_OK)
			;
}

static void fuzz_metadata(struct slice in)
{
	json_t *meta = json_loadb((const char *)in.data, in.len, JSON_REJECT_DUPLICATES, NULL);
	struct table t = { .collection = (char *)"fuzz" };
	if (!meta || state_from_json(meta, 1, &t.state, NULL) != RC_OK) {
		json_decref(meta);
		return;
	}
	int32_t spec, field, source;
	const char *name;
	meta_day_spec(meta, &spec, &field, &source, &name, NULL);
	struct buf b;
	buf_init(&b, 1 << 20);
	table_ddl(&t, TABLE_DDL_PARQUET_TEXT, NULL, &b, NULL);
	table_ddl(&t, TABLE_DDL_JSON, NULL, &b, NULL);
	free(schema_notes(t.state.schema));
	free(schema_name_mapping(t.state.schema));
	const struct table_keep keep = { .snapshots_max = 1 };
	meta_expire_snapshots(meta, &keep, INT64_MAX / 2);
	meta_prune_schemas(meta);
	meta_touch(meta, "x", 1);
	buf_free(&b);
	state_free(&t.state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	struct slice in = slice_of(data + 1, size - 1);
	if (data[0] % 3 == 0)
		fuzz_list(in);
	else if (data[0] % 3 == 1)
		fuzz_manifest(in);
	else
		fuzz_metadata(in);
	return 0;
}
