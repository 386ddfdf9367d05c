/* A result on its way out, in one of the formats of sql.h. */
#ifndef SQL_OUTPUT_INTERNAL_H
#define SQL_OUTPUT_INTERNAL_H

#include "sql/proto_internal.h"
#include "sql/render_internal.h"
#include "sql/sql.h"

#define CELL_MAX 64 /* SQL_TABLE: terminal columns of a value at most */

struct column_out {
	const char *name;
	struct kind kind;
};

struct box; /* the rows of SQL_TABLE, kept until the widths are known */

struct output {
	enum sql_format format;
	const struct column_out *columns;
	uint32_t n;
	uint64_t rows;
	const char **keys;     /* JSON: the names, made distinct and quoted, with the colon */
	struct buf buf;        /* not sent yet */
	struct box *box;
	struct arena arena;
	rc_t (*send)(void *ctx, struct slice bytes, struct err *reterr); /* any length */
	void *ctx;
};

/* columns are borrowed; width and max_rows are for SQL_TABLE. */
void output_init(struct output *o, enum sql_format format, unsigned width, unsigned max_rows, const struct column_out *columns, uint32_t n,
		 rc_t (*send)(void *ctx, struct slice bytes, struct err *reterr), void *ctx);
/* One chunk: the views of its columns, rows of them. */
rc_t output_chunk(struct output *o, const struct view *views, uint64_t rows, struct err *reterr);
rc_t output_end(struct output *o, struct err *reterr);
void output_free(struct output *o);

/* box.c */
struct box *box_new(unsigned width, unsigned max_rows, const struct column_out *columns, uint32_t n);
void box_row(struct box *b, const struct view *views, uint64_t row);
void box_print(struct box *b, uint64_t rows, struct buf *out);
void box_free(struct box *b);

#endif
