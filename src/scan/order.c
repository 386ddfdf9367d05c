/* Rows in time order. Units that overlap in time form a cluster. Of a cluster, first only the places of its rows are read (time, position,
 * unit, row: 24 bytes each; a stretch of time at a time if there are too many), sorted, and then rendered in windows that fit in memory:
 * each window decodes the units that it has rows of once. A well-ordered lake has small clusters and decodes each unit once.
 */
#include "scan/plan_internal.h"

#define PLACES_MAX ((size_t)2 << 20) /* 48 MiB */

void order_init(struct order *o)
{
	*o = (struct order){ 0 };
	buf_init(&o->bytes, BUF_MAX_DEFAULT);
}

void order_free(struct order *o)
{
	free(o->places);
	free(o->window);
	buf_free(&o->bytes);
}

/* ---- clusters and stretches of their time ---- */

static bool next_cluster(struct scan *s)
{
	struct order *o = &s->order;
	o->first = o->end;
	if (o->first == s->unit_count)
		return false;
	int64_t min = s->units[o->first].min, max = s->units[o->first].max;
	for (o->end = o->first + 1; o->end < s->unit_count; o->end++) {
		const struct unit *u = &s->units[o->end];
		if (s->opts.order == SCAN_OLDEST ? u->min > max : u->max < min)
			break;
		min = u->min < min ? u->min : min;
		max = u->max > max ? u->max : max;
	}
	o->range_from = min > s->opts.from ? min : s->opts.from;
	o->range_to = max < s->opts.to ? max : s->opts.to - 1;
	o->in_cluster = true;
	return true;
}

static bool add_place(struct order *o, struct place p)
{
	if (o->place_count == PLACES_MAX)
		return false;
	if (o->place_count == o->place_cap) {
		o->place_cap = o->place_cap ? o->place_cap * 2 : 4096;
		o->places = mem_realloc(o->places, o->place_cap * sizeof *o->places);
	}
	o->places[o->place_count++] = p;
	return true;
}

/* All places of the cluster with from ≤ time ≤ to (inclusive). RC_LIMIT: too many. */
static rc_t collect_places(struct scan *s, int64_t from, int64_t to, struct err *reterr)
{
	struct order *o = &s->order;
	o->place_count = o->place_next = 0;
	for (uint32_t i = o->first; i < o->end; i++) {
		const struct unit *u = &s->units[i];
		if (u->max < from || u->min > to)
			continue;
		struct scan_file *f;
		TRY(scan_use_file(s, u->file, &f, reterr));
		TRY(scan_file_load(f, u->group, false, reterr));
		struct scan_row row;
		uint32_t number;
		while (scan_file_row(f, &row, &number) == RC_OK)
			if (row.time >= from && row.time <= to && row.time >= s->opts.from && row.time < s->opts.to)
				if (!add_place(o, (struct place){ row.time, row.pos, i, number }))
					return RC_LIMIT;
	}
	return RC_OK;
}

static int place_ascending(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	if (x->time != y->time)
		return (x->time > y->time) - (x->time < y->time);
	if (x->pos != y->pos)
		return (x->pos > y->pos) - (x->pos < y->pos);
	return x->unit != y->unit ? (x->unit > y->unit) - (x->unit < y->unit) : (x->row > y->row) - (x->row < y->row);
}

static int place_descending(const void *a, const void *b)
{
	return place_ascending(b, a);
}

/* The next stretch of the cluster's time whose places fit in memory. RC_EOF: the cluster is done. */
static rc_t next_range(struct scan *s, struct err *reterr)
{
	struct order *o = &s->order;
	if (o->range_from > o->range_to) {
		o->in_cluster = false;
		return RC_EOF;
	}
	bool up = s->opts.order == SCAN_OLDEST;
	int64_t from = o->range_from, to = o->range_to;
	rc_t rc;
	while ((rc = collect_places(s, from, to, reterr)) == RC_LIMIT && from < to) {
		int64_t middle = from + (int64_t)(((uint64_t)to - (uint64_t)from) / 2);
		if (up)
			to = middle;
		else
			from = middle + 1;
	}
	if (rc == RC_LIMIT)
		return err_set(reterr, RC_LIMIT, "more than %zu events have one and the same time", PLACES_MAX);
	TRY(rc);
	if (up)
		o->range_from = to == INT64_MAX ? to : to + 1;
	else
		o->range_to = from == INT64_MIN ? from : from - 1;
	if (to == INT64_MAX || from == INT64_MIN) /* the whole of it was taken */
		o->range_from = 1, o->range_to = 0;
	if (o->place_count)
		qsort(o->places, o->place_count, sizeof *o->places, up ? place_ascending : place_descending);
	return RC_OK;
}

/* ---- windows ---- */

struct pick {
	uint32_t unit, row;
	size_t index; /* in the window */
};

static int by_unit_row(const void *a, const void *b)
{
	const struct pick *x = a, *y = b;
	return x->unit != y->unit ? (x->unit > y->unit) - (x->unit < y->unit) : (x->row > y->row) - (x->row < y->row);
}

static rc_t hold(struct scan *s, struct scan_file *f, const struct scan_row *row, uint32_t number, struct held *h, struct err *reterr)
{
	struct buf *bytes = &s->order.bytes;
	h->row = *row;
	h->source = bytes->len;
	buf_append_slice(bytes, row->source);
	h->reason = bytes->len;
	buf_append_slice(bytes, row->reason);
	h->payload = bytes->len;
	TRY(scan_file_payload(f, number, bytes, reterr));
	h->row.payload.len = bytes->len - h->payload;
	return RC_OK;
}

/* Renders the picked rows (sorted by unit and row) into their slots of the window. */
static rc_t fill_window(struct scan *s, const struct pick *picks, size_t n, struct err *reterr)
{
	struct order *o = &s->order;
	buf_reset(&o->bytes);
	for (size_t i = 0; i < n;) {
		const struct unit *u = &s->units[picks[i].unit];
		uint32_t unit = picks[i].unit, number;
		struct scan_file *f;
		TRY(scan_use_file(s, u->file, &f, reterr));
		TRY(scan_file_load(f, u->group, true, reterr));
		s->stats.row_groups++;
		struct scan_row row;
		while (i < n && picks[i].unit == unit && scan_file_row(f, &row, &number) == RC_OK)
			if (number == picks[i].row)
				TRY(hold(s, f, &row, number, &o->window[picks[i++].index], reterr));
		if (i < n && picks[i].unit == unit)
			return err_set(reterr, RC_CORRUPT, "%s changed while it was read", s->files[u->file].name);
	}
	return RC_OK;
}

static rc_t next_window(struct scan *s, struct err *reterr)
{
	struct order *o = &s->order;
	uint64_t bytes = 0;
	size_t n = 0;
	while (o->place_next + n < o->place_count) {
		const struct unit *u = &s->units[o->places[o->place_next + n].unit];
		bytes += (u->rows ? u->bytes / u->rows : 0) * 2 + 64; /* rendered text is about twice the columns */
		if (n && bytes > s->opts.memory_bytes)
			break;
		n++;
	}
	if (n > o->window_cap) {
		o->window_cap = n;
		o->window = mem_realloc(o->window, n * sizeof *o->window);
	}
	struct pick *picks = mem_alloc(n * sizeof *picks);
	for (size_t i = 0; i < n; i++) {
		const struct place *p = &o->places[o->place_next + i];
		picks[i] = (struct pick){ p->unit, p->row, i };
	}
	qsort(picks, n, sizeof *picks, by_unit_row);
	rc_t rc = fill_window(s, picks, n, reterr);
	free(picks);
	TRY(rc);
	o->place_next += n;
	o->window_count = n;
	o->window_next = 0;
	return RC_OK;
}

rc_t order_next(struct scan *s, struct scan_row *ret, struct err *reterr)
{
	struct order *o = &s->order;
	while (o->window_next == o->window_count) {
		if (o->place_next < o->place_count) {
			TRY(next_window(s, reterr));
			continue;
		}
		if (!o->in_cluster && !next_cluster(s))
			return RC_EOF;
		rc_t rc = next_range(s, reterr);
		if (rc != RC_OK && rc != RC_EOF)
			return rc;
		if (rc == RC_EOF)
			o->place_count = o->place_next = 0;
	}
	struct held *h = &o->window[o->window_next++];
	*ret = h->row;
	ret->source.data = o->bytes.data + h->source;
	ret->reason.data = o->bytes.data + h->reason;
	ret->payload.data = o->bytes.data + h->payload;
	return RC_OK;
}
