/* `*` without the machinery columns: a rewrite of the statement's tree, as DuckDB's json_serialize_sql gives it. */
#ifndef SQL_STAR_INTERNAL_H
#define SQL_STAR_INTERNAL_H

#include "sql/proto_internal.h"

/* Every `*` (also x.*, COLUMNS(*), FROM x) over tables of the request leaves out their hidden columns, unless the table has no others;
 * NATURAL JOIN and PIVOT do not see them. Columns of subqueries and CTEs are as their own text says. The new tree in *ret
 * (the caller frees it), or NULL if nothing changes or the tree is not understood: then the statement is best run as it is. */
void star_rewrite(struct slice tree, const struct request *r, char **ret);

#endif
