/* Glue: the TableInput of CreateTable / UpdateTable for the same external table: aws glue create-table --table-input file://… */
#include <stdio.h>

#include "table/ddl/ddl_internal.h"

static json_t *columns(const struct schema *s)
{
	json_t *all = json_array();
	AUTO_BUF struct buf type;
	AUTO_BUF struct buf name;
	buf_init(&type, 131072);
	buf_init(&name, 65536);
	const char *why;
	for (uint32_t i = 0; i < s->root->child_count; i++) {
		const struct field *f = s->root->children[i];
		if (!hive_column(f, &type, &why) || type.overflow)
			continue;
		buf_reset(&type);
		hive_type(f, false, &type);
		buf_reset(&name);
		hive_name(f->name, &name);
		json_t *c = json_pack("{s:s%, s:s%}", "Name", (const char *)name.data, name.len, "Type", (const char *)type.data, type.len);
		if (hive_comment(f))
			json_object_set_new(c, "Comment", json_stringn((const char *)f->key.data, f->key.len));
		json_array_append_new(all, c);
	}
	return all;
}

static json_t *parameters(const struct ddl_place *p)
{
	AUTO_MEM char *range = mem_printf("%d,%d", p->year_from, p->year_to);
	AUTO_MEM char *location = mem_printf("%s/data/year=${year}/month=${month}/day=${day}", p->location);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "EXTERNAL", "TRUE", "classification", "parquet",
			 "projection.enabled", "true", "projection.year.type", "integer", "projection.year.range", range, "projection.year.digits", "4",
			 "projection.month.type", "integer", "projection.month.range", "1,12", "projection.month.digits", "2",
			 "projection.day.type", "integer", "projection.day.range", "1,31", "projection.day.digits", "2",
			 "storage.location.template", location);
}

rc_t ddl_glue(const struct table *t, const struct ddl_place *p, struct buf *ret, struct err *reterr)
{
	AUTO_MEM char *location = mem_printf("%s/data/", p->location);
	json_t *storage = json_pack("{s:o, s:s, s:s, s:s, s:{s:s, s:{s:s}}}", "Columns", columns(t->state.schema), "Location", location,
				    "InputFormat", "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat", "OutputFormat",
				    "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat", "SerdeInfo", "SerializationLibrary",
				    "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe", "Parameters", "serialization.format", "1");
	json_t *j = json_pack("{s:s, s:s, s:o, s:[{s:s, s:s}, {s:s, s:s}, {s:s, s:s}], s:o}", "Name", t->collection, "TableType", "EXTERNAL_TABLE",
			      "Parameters", parameters(p), "PartitionKeys", "Name", "year", "Type", "int", "Name", "month", "Type", "int", "Name",
			      "day", "Type", "int", "StorageDescriptor", storage);
	return ddl_print(t, j, ret, reterr);
}
