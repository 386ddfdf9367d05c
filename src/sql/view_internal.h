/* The SQL text that makes a collection a view. */
#ifndef SQL_VIEW_INTERNAL_H
#define SQL_VIEW_INTERNAL_H

#include "sql/proto_internal.h"
#include "sql/sql.h"

/* "name" with its quotes doubled; 'text' likewise. */
void sql_quote_name(struct buf *out, struct slice name);
void sql_quote_text(struct buf *out, struct slice text);
/* A column that * leaves out. */
bool sql_is_hidden(struct slice name);
/* Fills ret->name, ddl, hidden, visible, in the arena. RC_LIMIT if the schema nests too deep. */
rc_t view_build(const struct sql_table *t, struct arena *arena, struct request_table *ret, struct err *reterr);

#endif
