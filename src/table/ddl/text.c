/* The forms that are no catalog's: Parquet's message type, and hydrant's own JSON. */
#include <stdio.h>

#include "table/ddl/ddl_internal.h"

static void indent(struct buf *b, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		buf_append_str(b, "  ");
}

/* Bytes that hold any decimal of the precision: what Parquet's fixed_len_byte_array gets (Iceberg spec, Appendix A "Parquet"). */
static unsigned decimal_width(unsigned precision)
{
	static const uint8_t digits[] = { 0, 2, 4, 6, 9, 11, 14, 16, 18, 21, 23, 26, 28, 31, 33, 35, 38 };
	unsigned n = 1;
	while (n < 16 && digits[n] < precision)
		n++;
	return n;
}

static void physical(const struct field *f, char type[48], char logical[40])
{
	logical[0] = 0;
	switch (f->type) {
	case TYPE_BOOL:
		snprintf(type, 48, "boolean");
		break;
	case TYPE_INT32:
	case TYPE_DATE:
		snprintf(type, 48, "int32");
		snprintf(logical, 40, "%s", f->type == TYPE_DATE ? " (DATE)" : "");
		break;
	case TYPE_FLOAT:
		snprintf(type, 48, "float");
		break;
	case TYPE_DOUBLE:
		snprintf(type, 48, "double");
		break;
	case TYPE_DECIMAL:
		if (f->precision <= 18)
			snprintf(type, 48, f->precision <= 9 ? "int32" : "int64");
		else
			snprintf(type, 48, "fixed_len_byte_array(%u)", decimal_width(f->precision));
		snprintf(logical, 40, " (DECIMAL(%u,%u))", f->precision, f->scale);
		break;
	case TYPE_STRING:
	case TYPE_BINARY:
		snprintf(type, 48, "binary");
		snprintf(logical, 40, "%s", f->type == TYPE_STRING ? " (STRING)" : "");
		break;
	case TYPE_FIXED:
	case TYPE_UUID:
		snprintf(type, 48, "fixed_len_byte_array(%u)", f->type == TYPE_UUID ? 16 : f->length);
		snprintf(logical, 40, "%s", f->type == TYPE_UUID ? " (UUID)" : "");
		break;
	default:
		snprintf(type, 48, "int64");
		snprintf(logical, 40, "%s", f->type == TYPE_TIME ? " (TIME(MICROS,false))" : f->type == TYPE_TIMESTAMP ? " (TIMESTAMP(MICROS,false))"
					  : f->type == TYPE_TIMESTAMPTZ ? " (TIMESTAMP(MICROS,true))" : "");
	}
}

static void parquet_field(const struct field *f, unsigned depth, struct buf *b)
{
	char type[48], logical[40];
	if (depth > DDL_DEPTH_MAX)
		return;
	indent(b, depth);
	buf_append_str(b, f->required ? "required " : "optional ");
	if (!type_is_nested(f->type)) {
		physical(f, type, logical);
		buf_printf(b, "%s %.*s%s = %d;\n", type, SLICE_ARG(f->name), logical, f->id);
		return;
	}
	bool plain = f->type == TYPE_STRUCT;
	buf_printf(b, "group %.*s%s = %d {\n", SLICE_ARG(f->name), plain ? "" : f->type == TYPE_LIST ? " (LIST)" : " (MAP)", f->id);
	if (!plain) {
		indent(b, depth + 1);
		buf_printf(b, "repeated group %s {\n", f->type == TYPE_LIST ? "list" : "key_value");
	}
	for (uint32_t i = 0; i < f->child_count; i++)
		parquet_field(f->children[i], depth + (plain ? 1 : 2), b);
	if (!plain) {
		indent(b, depth + 1);
		buf_append_str(b, "}\n");
	}
	indent(b, depth);
	buf_append_str(b, "}\n");
}

void ddl_parquet(const struct table *t, struct buf *ret)
{
	buf_printf(ret, "message %s {\n", t->collection);
	for (uint32_t i = 0; i < t->state.schema->root->child_count; i++)
		parquet_field(t->state.schema->root->children[i], 1, ret);
	buf_append_str(ret, "}\n");
}

static const char *const role_names[] = {
	[ROLE_PAYLOAD] = "payload", [ROLE_SIBLING] = "sibling", [ROLE_TIME] = "time", [ROLE_RECEIVED] = "received", [ROLE_SOURCE] = "source",
	[ROLE_POS] = "pos", [ROLE_ID] = "id", [ROLE_KEY] = "key", [ROLE_META] = "meta", [ROLE_SHAPE] = "shape", [ROLE_RAW] = "raw",
	[ROLE_REST] = "rest", [ROLE_TEXT] = "text", [ROLE_VALUE] = "value",
};

static json_t *json_columns(const struct field *parent, unsigned depth)
{
	json_t *all = json_array();
	for (uint32_t i = 0; i < parent->child_count && depth < DDL_DEPTH_MAX; i++) {
		const struct field *f = parent->children[i];
		char type[32];
		type_name(f, type);
		json_t *j = json_pack("{s:s%, s:s, s:i, s:b}", "name", (const char *)f->name.data, f->name.len, "type", type, "id", (int)f->id,
				      "required", (int)f->required);
		if (f->key.len) {
			json_t *key = json_stringn((const char *)f->key.data, f->key.len);
			if (key)
				json_object_set_new(j, "key", key);
		}
		if (depth == 0)
			json_object_set_new(j, "role", json_string(role_names[f->role]));
		if (f->child_count)
			json_object_set_new(j, "columns", json_columns(f, depth + 1));
		json_array_append_new(all, j);
	}
	return all;
}

rc_t ddl_print(const struct table *t, json_t *j, struct buf *ret, struct err *reterr)
{
	char *text = j ? json_dumps(j, JSON_INDENT(2)) : NULL;
	json_decref(j);
	if (!text)
		return err_set(reterr, RC_INVALID, "table %s: a name or its place is not UTF-8", t->collection);
	buf_append_str(ret, text);
	buf_byte(ret, '\n');
	free(text);
	return RC_OK;
}

rc_t ddl_json(const struct table *t, struct buf *ret, struct err *reterr)
{
	json_t *j = json_pack("{s:s, s:s, s:I, s:s, s:i, s:o}", "collection", t->collection, "location", table_location(t), "version",
			      (json_int_t)t->state.version, "partition", "day(__time)", "schema_id", (int)t->state.schema->schema_id, "columns",
			      json_columns(t->state.schema->root, 0));
	if (j && table_snapshot_id(t) >= 0)
		json_object_set_new(j, "snapshot", json_integer(table_snapshot_id(t)));
	return ddl_print(t, j, ret, reterr);
}
