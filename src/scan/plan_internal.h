/* The state of a scan: its plan, and the rows waiting in order. */
#ifndef SCAN_PLAN_INTERNAL_H
#define SCAN_PLAN_INTERNAL_H

#include "scan/scan_internal.h"

#define OPEN_MAX 16 /* files open at a time */

struct plan_file {
	char *name;
	bool hot;
	struct scan_file *open;
	uint64_t used;
};

struct unit {
	uint32_t file, group;
	int64_t min, max; /* times, inclusive */
	uint32_t row_from, row_to; /* of the row group; outside of them there is nothing that the scan wants */
	uint64_t rows, bytes;      /* of the row group */
};

/* A row's place, for sorting without its payload. */
struct place {
	int64_t time, pos;
	uint32_t unit, row; /* row: from the unit's row_from on */
};

/* A row with its payload, waiting for its turn. */
struct held {
	struct scan_row row; /* slices are offsets into order.bytes until the window is complete */
	size_t source, reason, payload;
	uint32_t unit, number;
};

/* Where a row belongs in the order: no two rows have the same. */
struct key {
	int64_t time, pos;
	uint64_t place; /* unit, row */
};

struct order {
	/* a cluster: units [first, end) of the plan that overlap in time, chained */
	uint32_t first, end;
	bool in_cluster;
	struct key from, to; /* the stretch of it that is still to come, inclusive; from > to: none */
	uint64_t scale;      /* rendered bytes that a byte of columns is reckoned as */
	struct place *places;
	size_t place_count, place_cap, place_next;
	struct held *window;
	size_t window_count, window_cap, window_next;
	struct buf bytes;
};

struct scan {
	struct scan_options opts;
	struct scan_stats stats;
	struct plan_file *files;
	uint32_t file_count, file_cap, open_count;
	uint64_t clock;
	struct unit *units;
	uint32_t unit_count, unit_cap, unit_next;
	struct scan_file *current; /* next_any */
	struct buf payload;
	struct order order;
};

rc_t scan_cancelled(const struct scan *s, struct err *reterr); /* RC_OK: go on */
rc_t scan_use_file(struct scan *s, uint32_t index, struct scan_file **ret, struct err *reterr);
void order_init(struct order *o);
void order_free(struct order *o);
rc_t order_next(struct scan *s, struct scan_row *ret, struct err *reterr);

#endif
