/* Athena: an external table over the Parquet files with partition projection, and the view that people query. */
#include "table/ddl/ddl_internal.h"

static void header(const struct table *t, const struct ddl_place *p, struct buf *b)
{
	buf_printf(b, "-- Collection %s for Athena, kept current by hydrant. Run the two statements one after the other.\n", t->collection);
	if (p->placeholder)
		buf_append_str(b, "-- The lake is a folder: copy it to a bucket (aws s3 sync) and put the bucket's address for s3://YOUR-BUCKET, twice below.\n"
				  "-- Nothing else needs editing.\n");
	buf_append_str(b, "-- Put year, month and day (numbers, UTC) into WHERE: only they prune what is read. __time alone reads every day in the range.\n");
	buf_append_str(b, "-- New columns: run both again (DROP TABLE first; it removes no data). The Iceberg table in Glue needs none of this.\n\n");
}

static void create_table(const struct table *t, const struct ddl_place *p, struct buf *b)
{
	const struct schema *s = t->state.schema;
	AUTO_BUF struct buf type;
	buf_init(&type, 131072); /* Glue's limit of a type's text */
	const char *why;
	bool any = false;
	buf_printf(b, "CREATE EXTERNAL TABLE IF NOT EXISTS `%s` (", t->collection);
	for (uint32_t i = 0; i < s->root->child_count; i++) {
		const struct field *f = s->root->children[i];
		if (!hive_column(f, &type, &why) || type.overflow)
			continue;
		buf_append_str(b, any ? ",\n  `" : "\n  `");
		hive_name(f->name, b);
		buf_printf(b, "` %.*s", SLICE_ARG(buf_slice(&type)));
		if (hive_comment(f))
			buf_printf(b, " COMMENT '%.*s'", SLICE_ARG(f->key));
		any = true;
	}
	buf_printf(b, "\n)\nPARTITIONED BY (`year` int, `month` int, `day` int)\nSTORED AS PARQUET\nLOCATION '%s/data/'\nTBLPROPERTIES (\n",
		   p->location);
	buf_printf(b, "  'projection.enabled' = 'true',\n"
		      "  'projection.year.type' = 'integer',  'projection.year.range' = '%d,%d',  'projection.year.digits' = '4',\n"
		      "  'projection.month.type' = 'integer', 'projection.month.range' = '1,12', 'projection.month.digits' = '2',\n"
		      "  'projection.day.type' = 'integer',   'projection.day.range' = '1,31',   'projection.day.digits' = '2',\n"
		      "  'storage.location.template' = '%s/data/year=${year}/month=${month}/day=${day}'\n);\n",
		   p->year_from, p->year_to, p->location);
	for (uint32_t i = 0; i < s->root->child_count; i++)
		if (!hive_column(s->root->children[i], &type, &why) || type.overflow)
			buf_printf(b, "-- left out: column %d (%.60s%s), %s\n", s->root->children[i]->id, "field id",
				   s->root->children[i]->name.len > HIVE_NAME_MAX ? ", long name" : "", why ? why : "its type is too long");
}

static bool is_hidden(const struct field *f)
{
	switch (f->role) {
	case ROLE_SIBLING:
	case ROLE_RECEIVED:
	case ROLE_SOURCE:
	case ROLE_POS:
	case ROLE_META:
	case ROLE_SHAPE:
	case ROLE_RAW:
	case ROLE_REST:
		return true;
	default:
		return false;
	}
}

/* The column's value as text, in Athena's SQL. */
static void as_text(const struct field *f, struct buf *b)
{
	const char *before = "CAST(\"", *after = "\" AS varchar)";
	if (f->type == TYPE_STRING)
		before = "\"", after = "\"";
	else if (type_is_nested(f->type))
		before = "json_format(CAST(\"", after = "\" AS JSON))";
	else if (f->type == TYPE_BINARY || f->type == TYPE_FIXED || f->type == TYPE_UUID)
		before = "to_base64(\"", after = "\")";
	buf_append_str(b, before);
	hive_name(f->name, b);
	buf_append_str(b, after);
}

/* x__any: the first of x and its typed siblings that is there, as text. */
static void any_column(const struct schema *s, const struct field *f, struct buf *type, struct buf *b)
{
	const char *why;
	bool first = true;
	for (uint32_t i = 0; i < s->root->child_count; i++) {
		const struct field *c = s->root->children[i];
		if (c->role != ROLE_SIBLING || !slice_eq(c->key, f->key) || !hive_column(c, type, &why))
			continue;
		if (first) {
			buf_append_str(b, ",\n  COALESCE(");
			as_text(f, b);
		}
		first = false;
		buf_append_str(b, ", ");
		as_text(c, b);
	}
	if (first)
		return;
	buf_append_str(b, ") AS \"");
	hive_name(f->name, b);
	buf_append_str(b, "__any\"");
}

static void create_view(const struct table *t, struct buf *b)
{
	const struct schema *s = t->state.schema;
	AUTO_BUF struct buf type;
	buf_init(&type, 131072);
	const char *why;
	buf_printf(b, "\nCREATE OR REPLACE VIEW \"%s__view\" AS\nSELECT", t->collection);
	bool any = false;
	for (uint32_t i = 0; i < s->root->child_count; i++) {
		const struct field *f = s->root->children[i];
		if (is_hidden(f) || !hive_column(f, &type, &why))
			continue;
		buf_append_str(b, any ? ",\n  \"" : "\n  \"");
		hive_name(f->name, b);
		buf_byte(b, '"');
		any = true;
		if (f->role == ROLE_PAYLOAD && f->name.len + 5 <= HIVE_NAME_MAX)
			any_column(s, f, &type, b);
	}
	buf_printf(b, "%s\n  \"year\", \"month\", \"day\"\nFROM \"%s\";\n", any ? "," : "", t->collection);
}

void ddl_athena(const struct table *t, const struct ddl_place *p, struct buf *ret)
{
	header(t, p, ret);
	create_table(t, p, ret);
	create_view(t, ret);
}
