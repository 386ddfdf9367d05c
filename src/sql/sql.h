/* SQL over collections, in a child process that can see nothing else.
 *
 * Promise: a query runs in a process of its own (this executable again, with SQL_CHILD_ARG), which has DuckDB's library loaded, no
 *   inherited descriptors, no network, and may read the tables' files and nothing else. Only one read statement (SELECT, DESCRIBE,
 *   SHOW, EXPLAIN …) is run. Whatever it does (eats its memory, crashes, takes for ever) the caller gets an error and goes on; the
 *   child ends when it is done, past its timeout, cancelled, or when the caller's thread or process dies.
 * Each table is a view under its name with all columns of its schema, typed, also those that no file has; a table without files is
 *   empty. `select *` leaves out the columns whose name contains "__" (unless there are no others); by name, and in DESCRIBE, they
 *   are there. Beside a top-level field x with typed siblings stands x__any: whichever is there, as text.
 * Results: times are RFC 3339 in UTC; 64-bit and wider integers and decimals are exact; bytes are text with \xHH for what is not
 *   printable ASCII; structs, lists and maps are JSON.
 * Not promised: an order of rows without ORDER BY. That a file removed during the query does not fail it (RC_IO, retryable).
 * Ownership: nothing is kept after the call. Threads: any, several at once; sql_run blocks the calling thread.
 */
#ifndef SQL_SQL_H
#define SQL_SQL_H

#include "base/err.h"
#include "base/slice.h"
#include "model/schema.h"

#define SQL_CHILD_ARG "__sql" /* main: if argv[1] is this, return sql_child_main(argc, argv) before anything else */
#define SQL_TEXT_MAX ((size_t)1 << 20)

enum sql_format {
	SQL_TABLE,  /* a box for people: wide values cut, at most max_rows rows, the row count below */
	SQL_JSON,   /* [{"a":1},…] and a newline */
	SQL_NDJSON, /* {"a":1} a line */
	SQL_CSV,    /* RFC 4180 with a header and LF; NULL is empty, an empty string is "" */
	SQL_COLUMNS /* {"columns":[{"name":"a","type":"BIGINT"}],"rows":[[1],…],"row_count":1}: names and types, for programs */
};

struct sql_table {
	const char *name;            /* as SQL calls it */
	const char *const *files;    /* Parquet files, absolute paths */
	size_t n;
	const struct schema *schema; /* the table's; NULL: the name is only listed in messages (see sql_mentions) */
	int64_t from, to;            /* rows with from ≤ time < to, µs, of the schema's ROLE_TIME column; 0, 0: all */
	bool by_field_id;            /* columns are found by field id instead of by name: all top-level fields of schema and files have one */
};

/* Zeroed is a good default everywhere. */
struct sql_options {
	const char *library;             /* NULL: HYDRANT_DUCKDB, or libduckdb.so beside the executable or in ../lib/hydrant */
	uint64_t memory_bytes;           /* of the child; 0: 256 MiB. What does not fit is spilled to temp_dir */
	unsigned threads;                /* 0: one a core, at most 8 */
	const char *temp_dir;            /* existing folder for spilling; NULL: none, a query that needs it fails */
	uint64_t temp_bytes;             /* at most so much of it; 0: 10 GiB */
	const char *const *allowed_dirs; /* folders that the query may read besides the tables' files; usually none */
	size_t allowed_dir_count;
	int64_t timeout_us;              /* 0: none */
	int cancel_fd;                   /* > 0: readable or hung up means cancel */
	enum sql_format format;
	unsigned width;                  /* SQL_TABLE: columns of the terminal, 0: unlimited (values are still cut) */
	unsigned max_rows;               /* SQL_TABLE: rows shown, 0: 1,000 */
};

/* Does this kernel keep a query's process from other files (Landlock)? If not, DuckDB's own locks do alone. */
bool sql_confined(void);

/* Runs one statement; its result goes to write in pieces, in the caller's thread. A write that fails ends the query with its rc.
 * Errors: RC_INVALID (the statement: DuckDB's words on one line; an unknown table lists those that exist), RC_LIMIT (memory, time),
 * RC_NOT_FOUND (no DuckDB library), RC_CANCELLED, RC_IO (a file, or the child crashed). Pieces may have been written before an error. */
rc_t sql_run(const struct sql_options *options, const struct sql_table *tables, size_t n, struct slice sql,
	     rc_t (*write)(void *ctx, struct slice chunk, struct err *reterr), void *ctx, struct err *reterr);

/* Whether the statement could need the table: its name is in the text, or the text asks for the catalog. Tables that it does not
 * mention may be given without files and schema, which saves planning them. */
bool sql_mentions(struct slice sql, const char *name);

/* Where the library is: its path in ret (cap bytes), or RC_NOT_FOUND with what to do. */
rc_t sql_library_path(const struct sql_options *options, char *ret, size_t cap, struct err *reterr);

/* "table", "json", "ndjson", "csv", "columns". */
rc_t sql_format_parse(const char *name, enum sql_format *ret, struct err *reterr);

/* The child's main; returns its exit code. */
int sql_child_main(int argc, char **argv);

#endif
