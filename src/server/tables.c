#include "server/tables.h"

#include <string.h>

rc_t collection_json(struct pipeline *p, const char *name, json_t **ret, struct err *reterr)
{
	AUTO(view) *v = NULL;
	TRY(view_open(p, name, &v, reterr));
	int64_t records = 0, files = 0, bytes = 0;
	if (v->table)
		TRY(table_totals(v->table, &records, &files, &bytes, reterr));
	unsigned columns = 0;
	for (uint32_t i = 0; i < v->schema->root->child_count; i++)
		columns += v->schema->root->children[i]->role == ROLE_PAYLOAD || v->schema->root->children[i]->role == ROLE_TEXT ||
			   v->schema->root->children[i]->role == ROLE_VALUE;
	*ret = json_pack("{s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "name", name, "events", (json_int_t)(records + (int64_t)v->hot_events),
			 "committed_events", (json_int_t)records, "hot_events", (json_int_t)v->hot_events, "files", (json_int_t)files, "bytes",
			 (json_int_t)bytes, "columns", (json_int_t)columns, "version", (json_int_t)(v->table ? table_version(v->table) : 0));
	return RC_OK;
}

struct list_ctx {
	struct pipeline *p;
	json_t *list;
	bool (*visible)(const void *ctx, const char *collection);
	const void *ctx;
};

static rc_t list_one(void *ctx, const char *name, struct err *reterr)
{
	struct list_ctx *l = ctx;
	json_t *one = NULL;
	struct err err;
	(void)reterr;
	if (l->visible && !l->visible(l->ctx, name))
		return RC_OK;
	rc_t rc = collection_json(l->p, name, &one, &err);
	if (rc == RC_NOT_FOUND) /* dropped just now; or it has nothing but quarantined events */
		return RC_OK;
	if (rc != RC_OK) /* that of one hides no other */
		one = json_pack("{s:s,s:s}", "name", name, "error", err.text);
	json_array_append_new(l->list, one);
	return RC_OK;
}

static void lake_problem(void *ctx, const char *url, const char *error)
{
	if (error)
		json_array_append_new(ctx, json_pack("{s:s,s:s}", "lake", url, "error", error));
}

json_t *lake_problems_json(struct pipeline *p)
{
	json_t *list = json_array();
	pipeline_lakes(p, lake_problem, list);
	return list;
}

rc_t collections_json(struct pipeline *p, bool (*visible)(const void *ctx, const char *collection), const void *ctx, json_t **ret, struct err *reterr)
{
	struct list_ctx l = { p, json_array(), visible, ctx };
	rc_t rc = pipeline_collections(p, list_one, &l, reterr);
	if (rc == RC_OK)
		*ret = l.list;
	else
		json_decref(l.list);
	return rc;
}

rc_t schema_text(struct pipeline *p, const char *name, const char *format, struct buf *ret, struct err *reterr)
{
	static const struct {
		const char *name;
		enum table_ddl kind;
	} kinds[] = {
		{ "athena", TABLE_DDL_ATHENA },         { "glue", TABLE_DDL_GLUE_JSON }, { "iceberg", TABLE_DDL_ICEBERG_JSON },
		{ "parquet", TABLE_DDL_PARQUET_TEXT },  { "json", TABLE_DDL_JSON },
	};
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		if (strcmp(kinds[i].name, format) != 0)
			continue;
		AUTO(view) *v = NULL;
		TRY(view_open(p, name, &v, reterr));
		if (!v->table)
			return err_set(reterr, RC_NOT_FOUND,
				       "nothing of '%s' is committed to its table yet; POST /v1/collections/%s/flush commits it now", name, name);
		return table_ddl(v->table, kinds[i].kind, NULL, ret, reterr);
	}
	return err_set(reterr, RC_INVALID, "format '%s' is not one of athena, glue, iceberg, parquet, json", format);
}
