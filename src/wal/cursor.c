/* Reading: durable records, in order; of one collection by way of the index. A record's lengths table becomes struct event slices;
 * records over PIECE_BYTES are read in pieces, so that a cursor's memory stays small. The segment being read is pinned, from the
 * first record taken until the end is met. */
#include "wal/wal_internal.h"

#include "os/file.h"

#define PIECE_EVENTS 8192u
#define PIECE_BYTES ((uint64_t)4 << 20)
#define COLUMNS 4 /* payload, id, key, reason */

struct events_column {
	bool there;
	uint64_t table; /* offset of the lengths in the body */
	uint64_t bytes; /* offset of the next event's bytes */
};

struct wal_cursor {
	struct wal *w;
	char *name; /* NULL: all records */
	uint64_t after, upto;
	uint64_t seq, off; /* where to go on; seq 0: not begun */
	uint64_t end;      /* of the range being read in that segment */
	struct segment *seg; /* pinned; NULL: none */
	int fd;
	struct window win;

	struct rec_head head;  /* the record whose events are being given out */
	bool in_record;
	uint32_t next;         /* index of its next event */
	const uint8_t *whole;  /* its body, if it is small: in the window */
	uint32_t flags;
	uint64_t meta_len, kinds;
	struct events_column columns[COLUMNS];
	struct arena arena;    /* of the piece */
};

rc_t wal_cursor_open(struct wal *w, struct slice collection, uint64_t after, uint64_t upto, struct wal_cursor **ret, struct err *reterr)
{
	if (collection.len && !collection_name_valid(collection))
		return err_set(reterr, RC_INVALID, "'%.*s' is not a collection name", SLICE_ARG(collection));
	struct wal_cursor *c = NEW(struct wal_cursor);
	c->w = w;
	c->name = collection.len ? mem_printf("%.*s", SLICE_ARG(collection)) : NULL;
	c->after = after;
	c->upto = upto;
	c->fd = -1;
	arena_init(&c->arena);
	*ret = c;
	return RC_OK;
}

static void leave_locked(struct wal_cursor *c)
{
	if (!c->seg)
		return;
	c->seg->pins--;
	trim_unpinned_locked(c->w, c->seg);
	c->seg = NULL;
	file_close(c->fd);
	c->fd = -1;
	c->win.fd = -1;
	window_forget(&c->win);
}

void wal_cursor_close(struct wal_cursor *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->w->lock);
	leave_locked(c);
	pthread_mutex_unlock(&c->w->lock);
	window_free(&c->win);
	arena_free(&c->arena);
	free(c->name);
	free(c);
}

/* The next run of bytes of all records. NULL: none. */
static struct segment *range_of_all(struct wal_cursor *c, uint64_t *ret_from, uint64_t *ret_end)
{
	struct wal *w = c->w;
	size_t i = 0;
	if (!c->seq) {
		while (i + 1 < w->seg_count && w->segs[i + 1]->h.first <= c->after + 1)
			i++;
	} else {
		while (i < w->seg_count && w->segs[i]->h.seq < c->seq)
			i++;
	}
	for (; i < w->seg_count; i++) {
		struct segment *s = w->segs[i];
		uint64_t from = s->h.seq == c->seq ? c->off : SEG_DATA;
		if (from < s->durable_end) {
			*ret_from = from;
			*ret_end = s->durable_end;
			return s;
		}
	}
	return NULL;
}

static struct segment *range_of_collection(struct wal_cursor *c, uint64_t *ret_from, uint64_t *ret_end)
{
	struct collection *k = index_collection(c->w, slice_str(c->name), false);
	if (!k || c->after >= c->upto) /* the record that `upto` cuts may stand elsewhere by now, where it was not passed */
		return NULL;
	size_t lo = k->head, hi = k->n;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (k->ext[mid].last <= c->after)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == k->n || k->ext[lo].first > c->upto)
		return NULL;
	const struct extent *x = &k->ext[lo];
	*ret_from = x->seg->h.seq == c->seq && c->off > x->start ? c->off : x->start;
	*ret_end = x->end;
	return *ret_from < *ret_end ? x->seg : NULL;
}

static rc_t next_range(struct wal_cursor *c, struct err *reterr)
{
	struct wal *w = c->w;
	uint64_t from = 0, end = 0;
	pthread_mutex_lock(&w->lock);
	struct segment *s = c->name ? range_of_collection(c, &from, &end) : range_of_all(c, &from, &end);
	bool change = s != c->seg;
	if (change || !s)
		leave_locked(c);
	if (s && change) {
		s->pins++;
		c->seg = s;
	}
	pthread_mutex_unlock(&w->lock);
	if (!s)
		return RC_EOF;
	if (change) {
		rc_t rc = file_open(s->path, FILE_READ, &c->fd, reterr);
		if (rc != RC_OK) { /* the next call tries again */
			pthread_mutex_lock(&w->lock);
			leave_locked(c);
			pthread_mutex_unlock(&w->lock);
			return rc == RC_NOT_FOUND ? err_set(reterr, RC_CORRUPT, "%s is gone, and its events are needed: put it back, and restart", s->path) : rc;
		}
		c->win.fd = c->fd;
		c->win.path = s->path;
	}
	window_forget(&c->win); /* it may hold bytes that were not written yet */
	c->seq = s->h.seq;
	c->off = from;
	c->end = end;
	c->win.until = end;
	return RC_OK;
}

static rc_t changed(struct wal_cursor *c, struct err *reterr)
{
	return err_set(reterr, RC_CORRUPT, "%s: the record at byte %llu is not what was written: restart, recovery says what is damaged",
		       c->seg->path, (unsigned long long)c->off);
}

/* --- the events of a record --- */

/* len bytes of the body at `at`; valid until the next piece. */
static rc_t load(struct wal_cursor *c, uint64_t at, uint64_t len, const uint8_t **ret, struct err *reterr)
{
	if (at > c->head.body_len || len > c->head.body_len - at)
		return changed(c, reterr);
	if (c->whole) {
		*ret = c->whole + at;
		return RC_OK;
	}
	uint8_t *p = arena_alloc(&c->arena, len + EVENT_PAD);
	rc_t rc = file_pread(c->fd, c->seg->path, p, len, c->head.body + at, NULL, reterr);
	if (rc == RC_EOF)
		return changed(c, reterr);
	TRY(rc);
	*ret = p;
	return RC_OK;
}

/* Sum of n lengths from the i-th on. */
static rc_t sum_lengths(struct wal_cursor *c, uint64_t table, uint64_t i, uint64_t n, uint64_t *ret, struct err *reterr)
{
	uint64_t sum = 0;
	while (n) {
		uint64_t k = n < 65536 ? n : 65536;
		const uint8_t *p = NULL;
		TRY(load(c, table + 4 * i, 4 * k, &p, reterr));
		for (uint64_t j = 0; j < k; j++)
			sum += get_u32(p + 4 * j);
		i += k;
		n -= k;
		if (!c->whole)
			arena_reset(&c->arena);
	}
	*ret = sum;
	return RC_OK;
}

static rc_t begin_events(struct wal_cursor *c, struct err *reterr)
{
	static const uint32_t bits[COLUMNS] = { 0, EVENTS_IDS, EVENTS_KEYS, EVENTS_REASONS };
	const uint8_t *p = NULL;
	uint64_t n = c->head.count;
	TRY(load(c, 0, EVENTS_SUB, &p, reterr));
	c->flags = get_u32(p);
	c->meta_len = get_u32(p + 4);
	uint64_t at = EVENTS_SUB + c->meta_len + get_u32(p + 8) + get_u32(p + 12);
	for (int i = 0; i < COLUMNS; i++) {
		c->columns[i].there = !bits[i] || (c->flags & bits[i]);
		c->columns[i].table = at;
		at += c->columns[i].there ? 4 * n : 0;
	}
	c->kinds = at;
	at += c->flags & EVENTS_KINDS ? n : 0;
	c->next = c->after >= c->head.first ? (uint32_t)(c->after - c->head.first + 1) : 0;
	for (int i = 0; i < COLUMNS; i++) {
		uint64_t skipped = 0, rest = 0;
		if (!c->columns[i].there)
			continue;
		TRY(sum_lengths(c, c->columns[i].table, 0, c->next, &skipped, reterr));
		TRY(sum_lengths(c, c->columns[i].table, c->next, n - c->next, &rest, reterr));
		c->columns[i].bytes = at + skipped;
		at += skipped + rest;
	}
	if (at != c->head.body_len)
		return changed(c, reterr);
	c->in_record = true;
	return RC_OK;
}

static rc_t fill_column(struct wal_cursor *c, int column, uint32_t n, struct event *events, struct err *reterr)
{
	struct events_column *col = &c->columns[column];
	const uint8_t *lengths = NULL, *bytes = NULL;
	uint64_t sum = 0;
	if (!col->there)
		return RC_OK;
	TRY(load(c, col->table + 4 * (uint64_t)c->next, 4 * (uint64_t)n, &lengths, reterr));
	for (uint32_t i = 0; i < n; i++)
		sum += get_u32(lengths + 4 * i);
	TRY(load(c, col->bytes, sum, &bytes, reterr));
	for (uint32_t i = 0; i < n; i++) {
		struct event *e = &events[i];
		struct slice *field[COLUMNS] = { &e->payload, &e->id, &e->key, &e->reason };
		*field[column] = slice_of(bytes, get_u32(lengths + 4 * i));
		bytes += field[column]->len;
	}
	col->bytes += sum;
	return RC_OK;
}

/* The next run of events of the record. */
static rc_t give_piece(struct wal_cursor *c, struct wal_record *ret, struct err *reterr)
{
	const struct rec_head *r = &c->head;
	uint64_t left = r->count - c->next, bytes = 0;
	const uint8_t *lengths = NULL, *meta = NULL, *kinds = NULL;
	uint32_t n = 0;
	arena_reset(&c->arena);
	if (r->first + r->count - 1 > c->upto)
		left = c->upto - (r->first + c->next) + 1;
	uint32_t most = left < PIECE_EVENTS ? (uint32_t)left : PIECE_EVENTS;
	TRY(load(c, c->columns[0].table + 4 * (uint64_t)c->next, 4 * (uint64_t)most, &lengths, reterr));
	while (n < most && (n == 0 || bytes + get_u32(lengths + 4 * n) <= PIECE_BYTES))
		bytes += get_u32(lengths + 4 * n++);
	TRY(load(c, EVENTS_SUB, c->meta_len, &meta, reterr));
	if (c->flags & EVENTS_KINDS)
		TRY(load(c, c->kinds + c->next, n, &kinds, reterr));
	struct event *events = arena_alloc(&c->arena, n * sizeof(*events));
	for (uint32_t i = 0; i < n; i++) {
		uint32_t kind = kinds ? kinds[i] : c->flags & 3;
		events[i] = (struct event){ .kind = kind <= PAYLOAD_RAW ? (enum payload_kind)kind : PAYLOAD_RAW, .received = r->received,
					    .pos = r->first + c->next + i, .meta = slice_of(meta, c->meta_len), .padded = true };
	}
	for (int i = 0; i < COLUMNS; i++)
		TRY(fill_column(c, i, n, events, reterr));
	*ret = (struct wal_record){ .type = WAL_EVENTS, .collection = slice_of(r->name, r->name_len), .first = events[0].pos,
				    .last = events[n - 1].pos, .received = r->received, .events = events, .count = n,
				    .segment = c->seg->h.seq, .offset = r->offset };
	c->next += n;
	c->after = ret->last;
	if (c->next == r->count || c->after >= c->upto)
		c->in_record = false;
	return RC_OK;
}

static rc_t give_control(struct wal_cursor *c, struct wal_record *ret, struct err *reterr)
{
	const struct rec_head *r = &c->head;
	const uint8_t *p = NULL;
	*ret = (struct wal_record){ .type = (enum wal_type)r->type, .collection = slice_of(r->name, r->name_len), .received = r->received,
				    .segment = c->seg->h.seq, .offset = r->offset };
	if (r->type == WAL_CUT) {
		TRY(load(c, 0, 16, &p, reterr));
		ret->after = get_u64(p);
		ret->upto = get_u64(p + 8);
		TRY(load(c, 16, r->body_len - 16, &p, reterr));
		ret->plan = slice_of(p, r->body_len - 16);
	} else if (r->type == WAL_COMMITTED || r->type == WAL_DROP) {
		TRY(load(c, 0, 8, &p, reterr));
		ret->upto = get_u64(p);
	}
	return RC_OK;
}

/* --- records --- */

/* Checks the body of c->head and, if it is small, keeps it in the window. */
static rc_t take_body(struct wal_cursor *c, bool *ret_ok, struct err *reterr)
{
	const uint8_t *p = NULL;
	size_t got = 0;
	c->whole = NULL;
	arena_reset(&c->arena);
	if (c->head.body_len > PIECE_BYTES)
		return rec_check_body(&c->win, &c->head, ret_ok, reterr);
	size_t len = pad8(c->head.body_len);
	TRY(window_get(&c->win, c->head.body, len, &p, &got, reterr));
	*ret_ok = got == len && crc32c(0, p, len) == c->head.body_crc;
	c->whole = p;
	return RC_OK;
}

/* Looks at the record at c->off and goes behind it; *ret_found: it is the next that is wanted. */
static rc_t next_head(struct wal_cursor *c, bool *ret_found, struct err *reterr)
{
	enum rec_state state;
	bool salvaged = damage_covers(c->w, c->seg, c->off), ok = false;
	struct rec_head *r = &c->head;
	*ret_found = false;
	TRY(rec_read_head(&c->win, &c->seg->h, c->off, c->end, r, &state, reterr));
	if (state != REC_VALID) {
		if (!salvaged)
			return changed(c, reterr);
		rc_t rc = rec_find(&c->win, &c->seg->h, c->off + 8, c->end, 0, &c->off, reterr);
		if (rc == RC_NOT_FOUND)
			c->off = c->end;
		return rc == RC_NOT_FOUND ? RC_OK : rc;
	}
	bool wanted = r->type == WAL_EVENTS ? r->first + r->count - 1 > c->after : !c->name && r->first > c->after;
	if (wanted && r->type == WAL_EVENTS && r->first > c->upto)
		return RC_EOF; /* not passed: nothing changes if it is asked again */
	if (c->name && !slice_eq_str(slice_of(r->name, r->name_len), c->name))
		wanted = false;
	if (wanted) {
		TRY(take_body(c, &ok, reterr));
		if (!ok && !salvaged)
			return changed(c, reterr);
	}
	c->off += r->size;
	*ret_found = ok;
	return RC_OK;
}

void wal_cursor_stay(struct wal_cursor *c, bool stay)
{
	c->win.stay = stay;
}

rc_t wal_cursor_next(struct wal_cursor *c, struct wal_record *ret, struct err *reterr)
{
	/* What came of a big record lies in the arena, its last piece too, which the next body resets. */
	if (c->win.stay && (!c->whole || (!c->in_record && (!c->seg || c->off >= c->end))))
		return RC_AGAIN;
	if (c->in_record)
		return give_piece(c, ret, reterr);
	for (bool found = false;;) {
		rc_t rc = RC_OK;
		if (!c->seg || c->off >= c->end)
			rc = c->win.stay ? RC_AGAIN : next_range(c, reterr);
		if (rc == RC_OK)
			rc = next_head(c, &found, reterr);
		if (rc == RC_EOF) {
			pthread_mutex_lock(&c->w->lock);
			leave_locked(c);
			pthread_mutex_unlock(&c->w->lock);
		}
		if (rc != RC_OK)
			return rc;
		if (!found)
			continue;
		if (c->head.type != WAL_EVENTS)
			return give_control(c, ret, reterr);
		TRY(begin_events(c, reterr));
		return give_piece(c, ret, reterr);
	}
}
