/* The front of the generators: where the table is, which years it has, which form is wanted. */
#include "table/ddl/ddl_internal.h"

#define YEARS_AHEAD 4 /* of the projection: a table declared once goes on finding new data */

/* Proleptic Gregorian year of a day since 1970-01-01, by counting 400-year cycles from a first of March. */
static int year_of(int64_t day)
{
	int64_t z = day + 719468, era = (z >= 0 ? z : z - 146096) / 146097, doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365, doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	return (int)(yoe + era * 400 + (doy >= 306)); /* January and February belong to the next civil year */
}

static bool day_of(struct slice s, int32_t *ret)
{
	if (s.len != sizeof *ret)
		return false;
	memcpy(ret, s.data, sizeof *ret);
	return true;
}

/* First and last year with data, from the manifest list's partition bounds; this year if there are none. */
static rc_t years(const struct table *t, int *ret_from, int *ret_to, struct err *reterr)
{
	int now = year_of(store_now(t->store) / ((int64_t)86400 * 1000000)), from = now, to = now;
	json_t *snapshot = meta_snapshot(t->state.meta, table_snapshot_id(t));
	struct manifest_list l;
	manifest_list_init(&l);
	rc_t rc = snapshot ? table_manifests(t, snapshot, &l, reterr) : RC_OK;
	for (size_t i = 0; rc == RC_OK && i < l.count; i++) {
		const struct manifest *m = &l.items[i];
		int32_t lower, upper;
		if (m->summary_count != 1 || !day_of(m->summaries[0].lower, &lower) || !day_of(m->summaries[0].upper, &upper))
			continue;
		from = year_of(lower) < from ? year_of(lower) : from;
		to = year_of(upper) > to ? year_of(upper) : to;
	}
	manifest_list_free(&l);
	*ret_from = from < 0 ? 0 : from;
	*ret_to = to + YEARS_AHEAD > 9999 ? 9999 : to + YEARS_AHEAD;
	return rc;
}

rc_t table_ddl(struct table *t, enum table_ddl kind, const char *location, struct buf *ret, struct err *reterr)
{
	struct ddl_place p = { 0 };
	AUTO_MEM char *place = NULL;
	if (location) {
		size_t n = strlen(location);
		while (n && location[n - 1] == '/')
			n--;
		place = mem_printf("%.*s", (int)n, location);
	} else if (!strncmp(table_location(t), "s3", 2)) {
		place = mem_strdup(table_location(t));
	} else {
		place = mem_printf("s3://YOUR-BUCKET/%s", t->collection);
		p.placeholder = true;
	}
	if (strpbrk(place, "'\\\n\"") || strstr(place, "${"))
		return err_set(reterr, RC_INVALID, "the location %s has a quote, a backslash or ${ in it: no DDL can hold it", place);
	p.location = place;
	switch (kind) {
	case TABLE_DDL_ATHENA:
		TRY(years(t, &p.year_from, &p.year_to, reterr));
		ddl_athena(t, &p, ret);
		break;
	case TABLE_DDL_GLUE_JSON:
		TRY(years(t, &p.year_from, &p.year_to, reterr));
		return ddl_glue(t, &p, ret, reterr);
	case TABLE_DDL_ICEBERG_JSON: {
		json_t *j = schema_to_json(t->state.schema);
		AUTO_MEM char *text = json_dumps(j, JSON_INDENT(2));
		json_decref(j);
		buf_append_str(ret, text ? text : "{}");
		buf_byte(ret, '\n');
		break;
	}
	case TABLE_DDL_PARQUET_TEXT:
		ddl_parquet(t, ret);
		break;
	case TABLE_DDL_JSON:
		return ddl_json(t, ret, reterr);
	}
	return RC_OK;
}
