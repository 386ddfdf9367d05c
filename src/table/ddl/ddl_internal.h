/* Inside the table room: one function an engine's form. All append to *ret. */
#ifndef TABLE_DDL_INTERNAL_H
#define TABLE_DDL_INTERNAL_H

#include <jansson.h>

#include "table/table_internal.h"

#define HIVE_NAME_MAX 255     /* bytes of a column name that Athena and Glue take */
#define DDL_DEPTH_MAX 64      /* nested types deeper than this are left out: no catalog takes them */

struct ddl_place {
	const char *location; /* of the table's folder, without a '/' at the end */
	bool placeholder;     /* the lake is a local folder: the bucket must be put in */
	int year_from, year_to;
};

void ddl_athena(const struct table *t, const struct ddl_place *p, struct buf *ret);
rc_t ddl_glue(const struct table *t, const struct ddl_place *p, struct buf *ret, struct err *reterr);
void ddl_parquet(const struct table *t, struct buf *ret);
rc_t ddl_json(const struct table *t, struct buf *ret, struct err *reterr);
rc_t ddl_print(const struct table *t, json_t *j, struct buf *ret, struct err *reterr); /* takes j; NULL: it could not be made */

/* A Hive type ("struct<a:bigint>"); quoted: reserved names in back quotes. False: nested too deep, or a name within is too long. */
bool hive_type(const struct field *f, bool quoted, struct buf *ret);
/* Lower-cased name, and whether Athena's DDL wants back quotes around it. */
void hive_name(struct slice name, struct buf *ret);
bool hive_reserved(struct slice name);
/* A key that may stand in a column comment as it is: printable ASCII without quotes, at most 255 bytes, and not just the name. */
bool hive_comment(const struct field *f);
/* Whether the column can be declared at all; why not is then in *ret_why. */
bool hive_column(const struct field *f, struct buf *type, const char **ret_why);

#endif
