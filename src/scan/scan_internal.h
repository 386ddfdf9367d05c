/* What the files of this room share: one open Parquet file and its decoded row group. */
#ifndef SCAN_INTERNAL_H
#define SCAN_INTERNAL_H

#include "json/render.h"
#include "model/column.h"
#include "parquet/reader.h"
#include "scan/scan.h"

/* Sequential access to a column that may have nulls. */
struct cursor {
	const struct column *column; /* NULL: the file has none */
	uint32_t slot, value;        /* the next slot, and the values before it */
};

struct scan_file {
	char *name;              /* local path or store key, for messages */
	struct store *store;     /* NULL: local */
	int fd;
	struct parquet_reader *reader;
	struct renderer *renderer;
	bool shapes_loaded;      /* the table's _shapes/ store was added to the renderer */
	struct table *table;     /* may be NULL */
	struct batch batch;
	bool has_batch;
	/* What was asked for is decoded a step of rows at a time: other programs' row groups may be larger than memory. Rows of the row group: */
	uint32_t group, from, to; /* asked for */
	uint32_t first, next;     /* the batch is first ≤ row < next */
	uint32_t step;
	bool payloads;
	size_t decode_bytes;      /* 0: the reader's limit */
	uint32_t row;             /* the next row of the batch */
	struct cursor time, received, pos, source, reason;
};

rc_t scan_file_open(struct store *store, const char *name, struct table *table, size_t decode_bytes, struct scan_file **ret, struct err *reterr);
void scan_file_close(struct scan_file *f);
AUTO_DEFINE(scan_file, scan_file_close)
/* outside.c. RC_CORRUPT if the file lacks a column that it was written with, or has it in another type. */
rc_t scan_file_check_columns(const struct scan_file *f, struct err *reterr);
/* Times of a row group by its statistics; the widest range if it has none. */
rc_t scan_file_times(struct scan_file *f, uint32_t group, int64_t *ret_min, int64_t *ret_max, struct err *reterr);
/* The rows of a row group outside of which none has a time in [from, to), by its pages; *ret_from = *ret_to: there is none at all. */
rc_t scan_file_rows(struct scan_file *f, uint32_t group, int64_t from, int64_t to, uint32_t *ret_from, uint32_t *ret_to, struct err *reterr);
/* The same of the rows that may satisfy the term (terms.c). */
rc_t scan_file_term(struct scan_file *f, uint32_t group, const struct scan_term *term, uint32_t *ret_from, uint32_t *ret_to, struct err *reterr);
/* Begins the rows row_from ≤ row < row_to of a row group, which count from 0 below; with payloads = false only what the machinery columns
 * need is decoded. */
rc_t scan_file_load(struct scan_file *f, uint32_t group, uint32_t row_from, uint32_t row_to, bool payloads, struct err *reterr);
/* The next row's machinery, without payload. RC_EOF behind the last. *ret_row: its number. */
rc_t scan_file_row(struct scan_file *f, struct scan_row *ret, uint32_t *ret_row, struct err *reterr);
/* Appends the payload of the row that scan_file_row gave last. *ret_foreign: it has none, this is what its columns hold. */
rc_t scan_file_payload(struct scan_file *f, uint32_t row, struct buf *out, bool *ret_foreign, struct err *reterr);
/* Is it without hydrant's notes? Then another program wrote it, or wrote it anew. */
bool scan_file_of_others(const struct scan_file *f);

#endif
