/* From the user's text to a prepared statement. */
#ifndef SQL_STATEMENT_INTERNAL_H
#define SQL_STATEMENT_INTERNAL_H

#include "sql/output_internal.h"

struct statement {
	void *prepared;
	struct column_out *columns; /* in the arena */
	uint32_t n;
};

/* Exactly one read statement; its stars without machinery columns, its columns all of kinds that we render. */
rc_t statement_prepare(struct duck *d, const struct request *r, struct arena *arena, struct statement *ret, struct err *reterr);
/* The first keyword says that it reads: SELECT, FROM, WITH, DESCRIBE …; RC_INVALID names the one that does not. */
rc_t statement_reads(const char *sql, struct err *reterr);

#endif
