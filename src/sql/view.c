#include "sql/view_internal.h"

#include "os/clock.h"

#define DEPTH_MAX 64 /* of a column's type; DuckDB's own limits are far above */
#define DDL_MAX ((size_t)128 << 20)

void sql_quote_name(struct buf *out, struct slice name)
{
	buf_byte(out, '"');
	for (size_t i = 0; i < name.len; i++) {
		if (name.data[i] == '"')
			buf_byte(out, '"');
		buf_byte(out, name.data[i]);
	}
	buf_byte(out, '"');
}

void sql_quote_text(struct buf *out, struct slice text)
{
	buf_byte(out, '\'');
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] == '\'')
			buf_byte(out, '\'');
		buf_byte(out, text.data[i]);
	}
	buf_byte(out, '\'');
}

bool sql_is_hidden(struct slice name)
{
	return name.len >= 2 && memmem(name.data, name.len, "__", 2) != NULL;
}

/* Whether the field has any leaf: an empty struct is in no file and has no SQL type. */
static bool has_type(const struct field *f, unsigned depth)
{
	if (!type_is_nested(f->type))
		return true;
	if (depth == 0)
		return false;
	if (f->type != TYPE_STRUCT)
		return f->child_count == (f->type == TYPE_MAP ? 2 : 1) && has_type(f->children[f->child_count - 1], depth - 1);
	for (uint32_t i = 0; i < f->child_count; i++)
		if (has_type(f->children[i], depth - 1))
			return true;
	return false;
}

static const char *scalar_type(enum type t)
{
	switch (t) {
	case TYPE_BOOL:
		return "BOOLEAN";
	case TYPE_INT32:
		return "INTEGER";
	case TYPE_INT64:
		return "BIGINT";
	case TYPE_FLOAT:
		return "FLOAT";
	case TYPE_DOUBLE:
		return "DOUBLE";
	case TYPE_DATE:
		return "DATE";
	case TYPE_TIME:
		return "TIME";
	case TYPE_TIMESTAMP:
		return "TIMESTAMP";
	case TYPE_TIMESTAMPTZ:
		return "TIMESTAMP WITH TIME ZONE";
	case TYPE_STRING:
		return "VARCHAR";
	case TYPE_UUID:
		return "UUID";
	default:
		return "BLOB"; /* binary, fixed */
	}
}

static void put_type(struct buf *out, const struct field *f, unsigned depth)
{
	if (f->type == TYPE_DECIMAL) {
		buf_printf(out, "DECIMAL(%u,%u)", f->precision, f->scale);
	} else if (f->type == TYPE_LIST) {
		put_type(out, f->children[0], depth - 1);
		buf_append_str(out, "[]");
	} else if (f->type == TYPE_MAP) {
		buf_append_str(out, "MAP(");
		put_type(out, f->children[0], depth - 1);
		buf_byte(out, ',');
		put_type(out, f->children[1], depth - 1);
		buf_byte(out, ')');
	} else if (f->type == TYPE_STRUCT) {
		buf_append_str(out, "STRUCT");
		char separator = '(';
		for (uint32_t i = 0; i < f->child_count; i++) {
			if (!has_type(f->children[i], depth - 1))
				continue;
			buf_byte(out, (uint8_t)separator);
			sql_quote_name(out, f->children[i]->name);
			buf_byte(out, ' ');
			put_type(out, f->children[i], depth - 1);
			separator = ',';
		}
		buf_byte(out, ')');
	} else {
		buf_append_str(out, scalar_type(f->type));
	}
}

/* The column as text: what x__any shows of it. */
static void put_as_text(struct buf *out, const struct field *f)
{
	if (type_is_nested(f->type))
		buf_append_str(out, "CAST(to_json(");
	else if (f->type == TYPE_TIMESTAMPTZ)
		buf_append_str(out, "strftime(timezone('UTC', ");
	else
		buf_append_str(out, "CAST(");
	sql_quote_name(out, f->name);
	if (type_is_nested(f->type))
		buf_append_str(out, ") AS VARCHAR)");
	else if (f->type == TYPE_TIMESTAMPTZ)
		buf_append_str(out, "), '%Y-%m-%dT%H:%M:%S.%fZ')");
	else
		buf_append_str(out, " AS VARCHAR)");
}

static bool is_sibling_of(const struct field *f, const struct field *main_field)
{
	return f->role == ROLE_SIBLING && slice_eq(f->key, main_field->key);
}

/* coalesce(x, x__double, …) AS "x__any", if x has siblings; its name into hidden. */
static void put_any(struct buf *out, const struct field *root, uint32_t main_index, struct arena *arena, struct strings *hidden)
{
	const struct field *f = root->children[main_index];
	if (f->role != ROLE_PAYLOAD || !has_type(f, DEPTH_MAX))
		return;
	uint32_t siblings = 0;
	for (uint32_t i = 0; i < root->child_count; i++)
		siblings += is_sibling_of(root->children[i], f) && has_type(root->children[i], DEPTH_MAX);
	if (!siblings)
		return;
	char *name = arena_printf(arena, "%.*s__any", SLICE_ARG(f->name));
	for (uint32_t i = 0; i < root->child_count; i++) /* names differ without regard to case */
		if (root->children[i]->name.len == strlen(name) && strncasecmp((const char *)root->children[i]->name.data, name, strlen(name)) == 0)
			return;
	buf_append_str(out, ", coalesce(");
	put_as_text(out, f);
	for (uint32_t i = 0; i < root->child_count; i++) {
		if (!is_sibling_of(root->children[i], f) || !has_type(root->children[i], DEPTH_MAX))
			continue;
		buf_append_str(out, ", ");
		put_as_text(out, root->children[i]);
	}
	buf_append_str(out, ") AS ");
	sql_quote_name(out, slice_str(name));
	hidden->items[hidden->n++] = name;
}

/* FROM read_parquet([…], schema=…): every column of the schema whichever files have it, without opening them all to find out. */
static void put_source(struct buf *out, const struct sql_table *t, const struct field **columns, uint32_t n)
{
	buf_append_str(out, " FROM read_parquet([");
	for (size_t i = 0; i < t->n; i++) {
		if (i)
			buf_byte(out, ',');
		sql_quote_text(out, slice_str(t->files[i]));
	}
	buf_append_str(out, "], hive_partitioning=false, schema=MAP{");
	struct buf type;
	buf_init(&type, DDL_MAX);
	for (uint32_t i = 0; i < n; i++) {
		if (i)
			buf_byte(out, ',');
		if (t->by_field_id)
			buf_printf(out, "%d", columns[i]->id);
		else
			sql_quote_text(out, columns[i]->name);
		buf_append_str(out, ":{name:");
		sql_quote_text(out, columns[i]->name);
		buf_append_str(out, ",type:");
		buf_reset(&type);
		put_type(&type, columns[i], DEPTH_MAX);
		sql_quote_text(out, buf_slice(&type));
		buf_append_str(out, ",default_value:NULL}");
	}
	buf_free(&type);
	buf_append_str(out, "})");
}

static void put_bound(struct buf *out, const struct field *time, const char *how, int64_t us)
{
	char text[32];
	time_format(us, text);
	sql_quote_name(out, time->name);
	buf_printf(out, " %s TIMESTAMPTZ '%s'", how, text);
}

/* A condition that DuckDB can hold against a row group's bounds. */
static void put_times(struct buf *out, const struct sql_table *t)
{
	const struct field *time = schema_by_role(t->schema, ROLE_TIME);
	bool low = t->from > INT64_MIN, high = t->to < INT64_MAX;
	if ((!t->from && !t->to) || !time || (!low && !high))
		return;
	buf_append_str(out, " WHERE ");
	if (low)
		put_bound(out, time, ">=", t->from);
	if (low && high)
		buf_append_str(out, " AND ");
	if (high)
		put_bound(out, time, "<", t->to);
}

static void put_select(struct buf *out, const struct sql_table *t, const struct field **columns, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		buf_append_str(out, i ? ", " : "");
		if (t->n == 0) {
			buf_append_str(out, "CAST(NULL AS ");
			put_type(out, columns[i], DEPTH_MAX);
			buf_append_str(out, ") AS ");
		}
		sql_quote_name(out, columns[i]->name);
	}
}

/* The columns in the view's order: visible ones first, so that an alias list t(a, b) names those. */
static uint32_t order_columns(const struct field *root, struct arena *arena, const struct field ***ret, struct request_table *table)
{
	const struct field **columns = arena_alloc(arena, (root->child_count + 1) * sizeof(*columns));
	table->hidden.items = arena_alloc(arena, (2 * (size_t)root->child_count + 1) * sizeof(char *));
	uint32_t n = 0;
	for (int pass = 0; pass < 2; pass++) {
		for (uint32_t i = 0; i < root->child_count; i++) {
			const struct field *f = root->children[i];
			if (sql_is_hidden(f->name) != (pass == 1) || !has_type(f, DEPTH_MAX))
				continue;
			columns[n++] = f;
			if (pass == 1)
				table->hidden.items[table->hidden.n++] = arena_cstr(arena, f->name);
		}
		if (pass == 0)
			table->visible = n;
	}
	*ret = columns;
	return n;
}

rc_t view_build(const struct sql_table *t, struct arena *arena, struct request_table *ret, struct err *reterr)
{
	struct request_table table = { .name = arena_strdup(arena, t->name), .ddl = "" };
	if (!t->schema) {
		*ret = table;
		return RC_OK;
	}
	const struct field *root = t->schema->root, **columns;
	uint32_t n = order_columns(root, arena, &columns, &table);
	AUTO_BUF struct buf ddl;
	buf_init(&ddl, DDL_MAX);
	buf_append_str(&ddl, "CREATE VIEW ");
	sql_quote_name(&ddl, slice_str(t->name));
	if (n == 0) { /* nothing is known of it but that it is there: rows, if any, without columns */
		buf_append_str(&ddl, " AS SELECT CAST(NULL AS VARCHAR) AS \"value\" WHERE false");
	} else if (t->n == 0) {
		buf_append_str(&ddl, " AS SELECT *");
		for (uint32_t i = 0; i < root->child_count; i++)
			put_any(&ddl, root, i, arena, &table.hidden);
		buf_append_str(&ddl, " FROM (SELECT ");
		put_select(&ddl, t, columns, n);
		buf_append_str(&ddl, " WHERE false)");
	} else {
		buf_append_str(&ddl, " AS SELECT ");
		put_select(&ddl, t, columns, n);
		for (uint32_t i = 0; i < root->child_count; i++)
			put_any(&ddl, root, i, arena, &table.hidden);
		put_source(&ddl, t, columns, n);
		put_times(&ddl, t);
	}
	if (ddl.overflow)
		return err_set(reterr, RC_LIMIT, "collection %s has too many files or columns for one query (%zu files, %u columns)", t->name, t->n, n);
	table.ddl = arena_cstr(arena, buf_slice(&ddl));
	*ret = table;
	return RC_OK;
}
