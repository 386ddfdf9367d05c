/* Reading events back: snapshot → plan → prune → scan, with payloads restored byte for byte. Committed files and hot files are the same to it.
 *
 * Promise: every event of the given files whose time is in [from, to) comes once, with its exact payload; in time order (then position) if asked for.
 *   Memory is bounded by options.memory_bytes plus what is decoded of one row group at a time, however long the range: where many row groups overlap in time, their rows are
 *   sorted by (time, place) first and rendered window after window.
 * Errors: RC_CORRUPT naming the file for a row that cannot be restored; nothing is skipped silently.
 * Not promised: exact payloads of what other programs wrote. A row that one of them appended has no event's bytes: it comes as its columns have it, and
 *   says so (foreign). Events in a file that one of them wrote anew come as it wrote them: files_of_others counts such files.
 * Ownership: store, table and paths are borrowed for the scan's life; a row is valid until the next call. Threads: one a scan.
 */
#ifndef SCAN_SCAN_H
#define SCAN_SCAN_H

#include "base/hash.h"
#include "model/event.h"
#include "store/store.h"
#include "table/table.h"

enum scan_order {
	SCAN_ANY,    /* as the files have them: fastest */
	SCAN_OLDEST, /* ascending time */
	SCAN_NEWEST  /* descending time */
};

/* What a payload must satisfy to be wanted: the JSON value that the path names, or one of its elements. Rows that cannot satisfy it are left
 * out where the files tell beforehand; others come all the same: the caller looks at the payload. */
enum scan_test { SCAN_EQUAL, SCAN_PREFIX, SCAN_LESS, SCAN_LESS_EQUAL, SCAN_MORE, SCAN_MORE_EQUAL };
struct scan_term {
	struct slice path; /* the payload's own keys, joined by dots */
	enum scan_test test;
	struct slice text; /* EQUAL, PREFIX: in lower case, and any case of ASCII letters is meant; the others: bytes */
	bool is_number;    /* the text is a number, which numbers are compared with; texts then are not */
	double number;
};

struct scan_options {
	struct store *store;
	struct table *table;     /* may be NULL: only hot files */
	char *const *hot;        /* local paths */
	size_t hot_count;
	int64_t from, to;        /* µs: from ≤ __time < to; INT64_MIN, INT64_MAX = all */
	enum scan_order order;
	size_t memory_bytes;     /* for payloads waiting in order; 0: 64 MiB */
	const bool *cancel;      /* set by another thread: RC_CANCELLED soon; may be NULL */
	size_t places_max;       /* rows sorted at a time, 24 bytes each; 0: 2 Mi */
	size_t decode_bytes;     /* columns of a row group decoded at a time, at most; 0: 1 GiB. A quarter is aimed at */
	const struct scan_term *terms; /* all of them must be satisfied; borrowed during scan_open */
	size_t term_count;
};

struct scan_row {
	int64_t time, received;  /* µs */
	int64_t pos;
	struct slice source;
	struct slice payload;
	struct slice reason;     /* quarantined events */
	bool foreign;            /* the payload is made of the columns: no event's bytes */
};

struct scan_stats {
	uint64_t files, row_groups;       /* looked at */
	uint64_t pruned_files, pruned_row_groups;
	uint64_t pruned_rows;             /* by page, of row groups that were not pruned as a whole by their times */
	uint64_t rows, bytes;             /* given out */
	uint64_t files_of_others;         /* of files: without hydrant's notes, so another program wrote them */
};

struct scan;
rc_t scan_open(const struct scan_options *opts, struct scan **ret, struct err *reterr);
rc_t scan_next(struct scan *s, struct scan_row *ret, struct err *reterr); /* RC_EOF behind the last */
void scan_close(struct scan *s);
AUTO_DEFINE(scan, scan_close)
struct scan_stats scan_get_stats(const struct scan *s);

/* ---- one file ---- */

/* What a file holds, recounted from its rows. */
struct scan_count {
	uint64_t rows;
	uint64_t foreign;        /* of them: without an event's bytes, so not in the hash */
	bool of_others;          /* the file is not as hydrant wrote it: it has no notes */
	struct hash128 hash;     /* order-independent, of the payloads */
	bool claimed;            /* the file says what it should hold: */
	uint64_t claimed_rows;
	struct hash128 claimed_hash;
};
rc_t scan_count_file(struct store *store, struct table *table, const char *key, struct scan_count *ret, struct err *reterr);

/* The payloads of one local Parquet file (of `hydrant convert`, or of a lake) in row order. */
enum restore_framing {
	RESTORE_FILE,   /* as the converted file had them; else a line each */
	RESTORE_LINES,
	RESTORE_LENGTH, /* 4 bytes big-endian length, then the payload */
	RESTORE_NUL
};
rc_t restore_file(const char *path, enum restore_framing framing, rc_t (*write)(void *ctx, struct slice bytes, struct err *reterr), void *ctx,
		  struct err *reterr);

#endif
