/* Hive's types and names, as Athena and Glue use them. */
#include <ctype.h>
#include <strings.h>

#include "table/ddl/ddl_internal.h"

/* Words that Athena refuses unquoted in DDL (its documentation, "Reserved keywords in DDL statements"), lower case, sorted. */
static const char *const reserved[] = {
	"all", "alter", "and", "array", "as", "authorization", "between", "bigint", "binary", "boolean", "both", "by", "case", "cashe", "cast",
	"char", "column", "conf", "constraint", "create", "cross", "cube", "current", "current_date", "current_timestamp", "cursor", "database",
	"date", "dayofweek", "decimal", "delete", "describe", "distinct", "div", "double", "drop", "else", "end", "exchange", "exists", "extended",
	"external", "extract", "false", "fetch", "float", "floor", "following", "for", "foreign", "from", "full", "function", "grant", "group",
	"grouping", "having", "if", "import", "in", "inner", "insert", "int", "integer", "intersect", "interval", "into", "is", "join", "lateral",
	"left", "less", "like", "local", "macro", "map", "more", "none", "not", "null", "numeric", "of", "on", "only", "or", "order", "out",
	"outer", "over", "partialscan", "partition", "percent", "preceding", "precision", "preserve", "primary", "procedure", "range", "reads",
	"reduce", "references", "regexp", "revoke", "right", "rlike", "rollback", "rollup", "row", "rows", "select", "set", "smallint", "start",
	"table", "tablesample", "then", "time", "timestamp", "to", "transform", "trigger", "true", "truncate", "unbounded", "union",
	"uniquejoin", "update", "user", "using", "utc_timestamp", "values", "varchar", "views", "when", "where", "window", "with",
};

static int word_cmp(const void *a, const void *b)
{
	return strcasecmp(a, *(const char *const *)b);
}

bool hive_reserved(struct slice name)
{
	char word[32];
	if (!name.len || !isalpha(name.data[0]))
		return true;
	for (size_t i = 0; i < name.len; i++)
		if (!isalnum(name.data[i]) && name.data[i] != '_')
			return true;
	if (name.len >= sizeof word)
		return false;
	memcpy(word, name.data, name.len);
	word[name.len] = 0;
	return bsearch(word, reserved, sizeof reserved / sizeof *reserved, sizeof *reserved, word_cmp) != NULL;
}

void hive_name(struct slice name, struct buf *ret)
{
	for (size_t i = 0; i < name.len; i++)
		buf_byte(ret, (uint8_t)(name.data[i] < 0x80 ? tolower(name.data[i]) : name.data[i]));
}

bool hive_comment(const struct field *f)
{
	if (f->key.len == 0 || f->key.len > 255 || slice_eq(f->key, f->name))
		return false;
	for (size_t i = 0; i < f->key.len; i++)
		if (f->key.data[i] < 0x20 || f->key.data[i] > 0x7e || strchr("'\"\\`;", f->key.data[i]))
			return false;
	return true;
}

static const char *primitive(enum type t)
{
	switch (t) {
	case TYPE_BOOL:
		return "boolean";
	case TYPE_INT32:
		return "int";
	case TYPE_INT64:
	case TYPE_TIME: /* µs since midnight: Hive has no time of day */
		return "bigint";
	case TYPE_FLOAT:
		return "float";
	case TYPE_DOUBLE:
		return "double";
	case TYPE_DATE:
		return "date";
	case TYPE_TIMESTAMP:
	case TYPE_TIMESTAMPTZ:
		return "timestamp";
	case TYPE_STRING:
		return "string";
	default:
		return "binary";
	}
}

static bool type_at(const struct field *f, bool quoted, unsigned depth, struct buf *ret)
{
	if (depth > DDL_DEPTH_MAX)
		return false;
	if (f->type == TYPE_DECIMAL) {
		buf_printf(ret, "decimal(%u,%u)", f->precision, f->scale);
		return true;
	}
	if (!type_is_nested(f->type)) {
		buf_append_str(ret, primitive(f->type));
		return true;
	}
	buf_append_str(ret, f->type == TYPE_STRUCT ? "struct<" : f->type == TYPE_LIST ? "array<" : "map<");
	for (uint32_t i = 0; i < f->child_count; i++) {
		const struct field *c = f->children[i];
		if (c->name.len > HIVE_NAME_MAX)
			return false;
		if (i)
			buf_byte(ret, ',');
		if (f->type == TYPE_STRUCT) {
			bool quote = quoted && hive_reserved(c->name);
			buf_append_str(ret, quote ? "`" : "");
			hive_name(c->name, ret);
			buf_append_str(ret, quote ? "`:" : ":");
		}
		if (!type_at(c, quoted, depth + 1, ret))
			return false;
	}
	buf_byte(ret, '>');
	return f->child_count > 0;
}

bool hive_type(const struct field *f, bool quoted, struct buf *ret)
{
	size_t before = ret->len;
	if (type_at(f, quoted, 0, ret))
		return true;
	ret->len = before;
	return false;
}

bool hive_column(const struct field *f, struct buf *type, const char **ret_why)
{
	*ret_why = NULL;
	buf_reset(type);
	if (f->name.len > HIVE_NAME_MAX)
		*ret_why = "its name is over 255 bytes";
	else if (memchr(f->name.data, '`', f->name.len) || memchr(f->name.data, '"', f->name.len) || memchr(f->name.data, '\n', f->name.len))
		*ret_why = "its name cannot be quoted";
	else if (!hive_type(f, true, type))
		*ret_why = "it is nested too deep, or a name within is over 255 bytes";
	return !*ret_why;
}
