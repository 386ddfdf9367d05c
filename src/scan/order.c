/* Rows in time order. Units that overlap in time form a cluster. Of a cluster, first only the places of its rows are read (time, position,
 * unit, row: 24 bytes each; a stretch at a time if there are too many), sorted, and then rendered in windows that fit in memory: each window
 * decodes the units that it has rows of once. A well-ordered lake has small clusters and decodes each unit once.
 * A stretch is cut by (time, position, place in the plan): a file without times of its own has all its events at one instant, and one of another
 * engine may have no positions either.
 */
#include "scan/plan_internal.h"

#define SCALE_FIRST 2u          /* rendered text is about twice the columns */
#define SCALE_MAX (1u << 20)    /* one value, repeated */

void order_init(struct order *o)
{
	*o = (struct order){ 0 };
	buf_init(&o->bytes, BUF_MAX_DEFAULT);
	o->scale = SCALE_FIRST;
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
	o->from = (struct key){ min > s->opts.from ? min : s->opts.from, INT64_MIN, 0 };
	o->to = (struct key){ max < s->opts.to ? max : s->opts.to - 1, INT64_MAX, UINT64_MAX };
	o->in_cluster = true;
	return true;
}

static struct key key_of(const struct place *p)
{
	return (struct key){ p->time, p->pos, (uint64_t)p->unit << 32 | p->row };
}

static int key_cmp(struct key a, struct key b)
{
	if (a.time != b.time)
		return (a.time > b.time) - (a.time < b.time);
	if (a.pos != b.pos)
		return (a.pos > b.pos) - (a.pos < b.pos);
	return (a.place > b.place) - (a.place < b.place);
}

static struct key key_after(struct key k)
{
	if (k.place != UINT64_MAX)
		return (struct key){ k.time, k.pos, k.place + 1 };
	return k.pos == INT64_MAX ? (struct key){ k.time + 1, INT64_MIN, 0 } : (struct key){ k.time, k.pos + 1, 0 };
}

static struct key key_before(struct key k)
{
	if (k.place)
		return (struct key){ k.time, k.pos, k.place - 1 };
	return k.pos == INT64_MIN ? (struct key){ k.time - 1, INT64_MAX, UINT64_MAX } : (struct key){ k.time, k.pos - 1, UINT64_MAX };
}

static void add_place(struct order *o, struct place p)
{
	if (o->place_count == o->place_cap) {
		o->place_cap = o->place_cap ? o->place_cap * 2 : 4096;
		o->places = mem_realloc(o->places, o->place_cap * sizeof *o->places);
	}
	o->places[o->place_count++] = p;
}

/* All places of the cluster in [from, to]. *ret_full: there are more than places_max of them, these are some. */
static rc_t collect_places(struct scan *s, struct key from, struct key to, bool *ret_full, struct err *reterr)
{
	struct order *o = &s->order;
	o->place_count = o->place_next = 0;
	*ret_full = false;
	for (uint32_t i = o->first; i < o->end; i++) {
		const struct unit *u = &s->units[i];
		if (u->max < from.time || u->min > to.time)
			continue;
		struct scan_file *f;
		TRY(scan_cancelled(s, reterr));
		TRY(scan_use_file(s, u->file, &f, reterr));
		TRY(scan_file_load(f, u->group, u->row_from, u->row_to, false, reterr));
		struct scan_row row;
		uint32_t number;
		rc_t rc;
		while ((rc = scan_file_row(f, &row, &number, reterr)) == RC_OK) {
			const struct place p = { row.time, row.pos, i, number };
			const struct key k = key_of(&p);
			if (key_cmp(k, from) < 0 || key_cmp(k, to) > 0)
				continue;
			*ret_full = o->place_count == s->opts.places_max;
			if (*ret_full)
				return RC_OK;
			add_place(o, p);
		}
		if (rc != RC_EOF)
			return rc;
	}
	return RC_OK;
}

static int place_ascending(const void *a, const void *b)
{
	return key_cmp(key_of(a), key_of(b));
}

static int place_descending(const void *a, const void *b)
{
	return place_ascending(b, a);
}

/* The stretch [from, to] has too many rows, some of which were collected: halves it by them. It has as many keys as rows, and so gets smaller. */
static void halve(const struct order *o, bool up, struct key *from, struct key *to)
{
	qsort(o->places, o->place_count, sizeof *o->places, place_ascending);
	const struct key middle = key_of(&o->places[o->place_count / 2]);
	if (up)
		*to = key_cmp(middle, *to) < 0 ? middle : key_before(*to);
	else
		*from = key_cmp(middle, *from) > 0 ? middle : key_after(*from);
}

/* The next stretch of the cluster whose places fit in memory. RC_EOF: the cluster is done. */
static rc_t next_range(struct scan *s, struct err *reterr)
{
	struct order *o = &s->order;
	if (key_cmp(o->from, o->to) > 0) {
		o->in_cluster = false;
		return RC_EOF;
	}
	bool up = s->opts.order == SCAN_OLDEST, full;
	struct key from = o->from, to = o->to;
	for (;;) {
		TRY(collect_places(s, from, to, &full, reterr));
		if (!full)
			break;
		halve(o, up, &from, &to);
	}
	bool all = up ? !key_cmp(to, o->to) : !key_cmp(from, o->from);
	if (all) /* there may be no key behind it */
		o->from = (struct key){ 1, 0 }, o->to = (struct key){ 0, 0 };
	else if (up)
		o->from = key_after(to);
	else
		o->to = key_before(from);
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
	TRY(scan_file_payload(f, number, bytes, &h->row.foreign, reterr));
	h->row.payload.len = bytes->len - h->payload;
	return RC_OK;
}

/* Renders the picked rows of one unit (sorted by row), and decodes no others than those between the first and the last of them. */
static rc_t fill_from_unit(struct scan *s, const struct pick *picks, size_t n, bool alone, bool *ret_big, struct err *reterr)
{
	struct order *o = &s->order;
	const struct unit *u = &s->units[picks->unit];
	struct scan_file *f;
	TRY(scan_cancelled(s, reterr));
	TRY(scan_use_file(s, u->file, &f, reterr));
	TRY(scan_file_load(f, u->group, u->row_from + picks[0].row, u->row_from + picks[n - 1].row + 1, true, reterr));
	s->stats.row_groups++;
	struct scan_row row;
	uint32_t number;
	size_t i = 0;
	rc_t rc = RC_OK;
	while (i < n && (rc = scan_file_row(f, &row, &number, reterr)) == RC_OK) {
		if (number != picks[i].row - picks[0].row)
			continue;
		TRY(hold(s, f, &row, number, &o->window[picks[i++].index], reterr));
		*ret_big = !alone && o->bytes.len > s->opts.memory_bytes * 2;
		if (*ret_big)
			return RC_OK;
	}
	return rc == RC_EOF ? err_set(reterr, RC_CORRUPT, "%s changed while it was read", s->files[u->file].name) : rc;
}

/* Renders the picked rows (sorted by unit and row) into their slots of the window. *ret_big: they are more bytes than was reckoned with. */
static rc_t fill_window(struct scan *s, const struct pick *picks, size_t n, bool *ret_big, struct err *reterr)
{
	buf_reset(&s->order.bytes);
	*ret_big = false;
	for (size_t i = 0, end; i < n && !*ret_big; i = end) {
		for (end = i + 1; end < n && picks[end].unit == picks[i].unit;)
			end++;
		TRY(fill_from_unit(s, picks + i, end - i, n == 1, ret_big, reterr));
	}
	return RC_OK;
}

/* How many of the next places are reckoned to fit in memory; at least 1. */
static size_t window_size(const struct scan *s)
{
	const struct order *o = &s->order;
	uint64_t bytes = 0;
	size_t n = 0;
	for (; o->place_next + n < o->place_count; n++) {
		const struct unit *u = &s->units[o->places[o->place_next + n].unit];
		bytes += (u->rows ? u->bytes / u->rows : 0) * o->scale + sizeof(struct held) + sizeof(struct pick);
		if (n && bytes > s->opts.memory_bytes)
			break;
	}
	return n;
}

/* RC_AGAIN: it was too big, and is reckoned smaller now. */
static rc_t try_window(struct scan *s, size_t n, struct err *reterr)
{
	struct order *o = &s->order;
	if (n > o->window_cap) {
		o->window_cap = n;
		o->window = mem_realloc(o->window, n * sizeof *o->window);
	}
	AUTO_MEM struct pick *picks = mem_alloc(n * sizeof *picks);
	for (size_t i = 0; i < n; i++) {
		const struct place *p = &o->places[o->place_next + i];
		picks[i] = (struct pick){ p->unit, p->row, i };
	}
	qsort(picks, n, sizeof *picks, by_unit_row);
	bool big;
	TRY(fill_window(s, picks, n, &big, reterr));
	if (!big)
		return RC_OK;
	if (o->scale < SCALE_MAX)
		o->scale *= 2;
	return RC_AGAIN;
}

static rc_t next_window(struct scan *s, struct err *reterr)
{
	struct order *o = &s->order;
	size_t n = window_size(s);
	rc_t rc;
	while ((rc = try_window(s, n, reterr)) == RC_AGAIN)
		n /= 2;
	TRY(rc);
	if (o->scale > SCALE_FIRST && o->bytes.len < s->opts.memory_bytes / 4)
		o->scale /= 2;
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
