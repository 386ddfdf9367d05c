/* Side files: a collection that cannot commit would keep the segments that hold its events, and everybody's bytes in them. So once it is called
 * stuck, its records are moved out of the oldest segment, one segment after the other, into files of its own. Positions stay, readers see
 * no difference (side files first, then segments), and what they take counts against the collection's share alone.
 *
 * The order of steps, of one segment; a crash between any two is harmless:
 *   1 the records are copied behind the end of a side file, which is synced, and its folder     nobody reads there yet
 *   2 an ASIDE record in the log names all side files and where they end: durable, twice        from here on there are two copies
 *   3 the index is told that they are there now, and the segment is trimmed like any other      while a start finds both, the segment's count
 * And when the last event of a side file is committed or dropped:
 *   4 an ASIDE record without it is durable   5 the file is removed
 *
 * An ASIDE record, and a cut that is still open, may stand in a segment that is not needed otherwise: they are appended once more before it goes.
 * A failed write or sync is not repeated: the file takes no more, the records stay where they are, and a second later another file is begun.
 * All of it is done by one thread of its own, so that nobody's ack waits for it; files are open only meanwhile. */
#include "wal/wal_internal.h"

#include "base/fault.h"
#include "os/clock.h"
#include "os/file.h"

#define SIDE_FILES_MAX 4096u /* of all collections; beyond, segments are kept as if there were none */
#define SIDE_EXTENT ((uint64_t)1 << 20)
#define SIDE_STAGE ((size_t)256 << 10)
#define SYNC_EVERY ((uint64_t)4 << 20) /* so that no commit of a group waits behind a big one */
#define AGAIN_US 1000000               /* after an error */

/* The records of one collection on their way out of a segment. */
struct move {
	struct collection *c;
	struct segment *to;
	bool fresh;               /* `to` has no file yet */
	uint64_t after;           /* what was committed when it began */
	uint64_t start, from, end; /* bytes of the segment that its records stand between; `from`: where they go */
	uint64_t last_first, last;
	uint32_t last_count, last_size;
	struct extent *ext;       /* what the index gets */
	size_t ext_count, ext_cap;
	struct buf stage;
	uint64_t written, synced;
};

static bool closed_front(const struct wal *w)
{
	const struct segment *s = w->seg_count > 1 ? w->segs[0] : NULL;
	return s && s->created && s != w->file_seg && s->append_end == s->durable_end && w->segs[1]->created;
}

bool aside_holds_locked(const struct wal *w, const struct segment *s)
{
	return s->cuts || w->dropping || ((w->side_files || w->aside_stale) && s->h.seq >= w->aside_seq);
}

static bool gone_unread(const struct wal *w)
{
	for (size_t i = 0; i < w->side_gone_count; i++)
		if (!w->side_gone[i]->pins)
			return true;
	return false;
}

/* There is nobody else that segments could be kept for, and room. */
static bool copy_is_for_nothing(const struct wal *w)
{
	return w->collections.count == w->stuck_count && segments_bytes_locked(w) <= w->opt.max_bytes / 2;
}

/* A cheap look, behind every group: is there something to do? */
static bool wanted_locked(struct wal *w)
{
	if (w->readonly || w->closing || w->failed || w->aside_stop || w->asiding || w->dropping || (w->aside_again && clock_mono_us() < w->aside_again))
		return false;
	if (w->aside_stale || gone_unread(w))
		return true;
	if (!closed_front(w))
		return false;
	const struct segment *s = w->segs[0];
	if (!s->live)
		return !s->pins && aside_holds_locked(w, s);
	bool looked = w->looked_seq == s->h.seq && w->looked_live == s->live;
	return w->stuck_count && !looked && !keys_hold_locked(w, s) && !copy_is_for_nothing(w);
}

void aside_wake_locked(struct wal *w)
{
	if (w->has_aside_thread && wanted_locked(w))
		pthread_cond_signal(&w->aside_work);
}

/* --- what the log says of side files --- */

static void put_file(struct buf *b, const struct collection *c, const struct segment *s, const struct move *m)
{
	static const uint8_t zeros[8];
	buf_u64(b, s->h.seq);
	buf_u64(b, m ? m->from + m->written : s->durable_end);
	buf_u64(b, s->h.first);
	buf_u64(b, m ? m->last_first : s->last_first);
	buf_u32(b, m ? m->last_count : s->last_count);
	buf_u32(b, (m ? m->last_size : s->last_size) / 8);
	buf_u64(b, c->committed);
	buf_u32(b, (uint32_t)c->name.len);
	buf_u32(b, 0);
	buf_append_slice(b, c->name);
	buf_append(b, zeros, pad8(c->name.len) - c->name.len);
}

static bool is_side_file(const struct wal *w, uint64_t seq)
{
	for (struct map_entry *e = NULL; (e = map_next((struct map *)(uintptr_t)&w->collections, e));) {
		const struct collection *c = (const struct collection *)e->value;
		for (size_t i = 0; i < c->side_count; i++)
			if (c->sides[i]->h.seq == seq)
				return true;
	}
	return false;
}

/* In one segment: else the first of two records would go before the second. */
static rc_t make_room_locked(struct wal *w, uint64_t size, struct err *reterr)
{
	const struct segment *s = active(w);
	return w->failed || w->closing || s->append_end + size <= s->capacity ? RC_OK : rotate_locked(w, size, 0, BEYOND_CONTROL, reterr);
}

/* All side files as they are, and as they will be with these moves done: durable on return. */
static rc_t say_locked(struct wal *w, const struct move *moves, size_t move_count, struct err *reterr)
{
	static const uint8_t apart[4096];
	struct buf b;
	uint64_t n = 0, ticket;
	buf_init(&b, BUF_MAX_DEFAULT);
	buf_u64(&b, 0);
	for (struct map_entry *e = NULL; (e = map_next(&w->collections, e));) {
		const struct collection *c = (const struct collection *)e->value;
		const struct move *m = NULL;
		for (size_t i = 0; i < move_count && !m; i++)
			m = moves[i].c == c ? &moves[i] : NULL;
		for (size_t i = 0; i < c->side_count; i++, n++)
			put_file(&b, c, c->sides[i], m && m->to == c->sides[i] ? m : NULL);
		if (m && m->fresh) {
			put_file(&b, c, m->to, m);
			n++;
		}
	}
	memcpy(b.data, &n, 8);
	for (size_t i = 0; i < w->damage_count; i++) {
		const struct wal_damage *d = &w->damages[i];
		uint64_t v[5] = { d->segment, d->offset, d->end, d->first, d->last };
		if (is_side_file(w, d->segment))
			buf_append(&b, v, sizeof v);
	}
	/* Twice, and in other sectors: nothing else says how far the files go. */
	size_t len = b.len;
	buf_append(&b, apart, sizeof apart);
	rc_t rc = make_room_locked(w, rec_size(0, b.len) + rec_size(0, len), reterr);
	if (rc == RC_OK)
		rc = append_control_locked(w, WAL_ASIDE, slice_of(NULL, 0), buf_slice(&b), &ticket, reterr);
	if (rc == RC_OK)
		rc = append_control_locked(w, WAL_ASIDE, slice_of(NULL, 0), slice_of(b.data, len), &ticket, reterr);
	buf_free(&b);
	TRY(rc);
	uint64_t seq = active(w)->h.seq;
	TRY(wait_settled_locked(w, ticket, reterr));
	if (seq > w->aside_seq)
		w->aside_seq = seq;
	return RC_OK;
}

/* --- files that nobody needs any more --- */

void aside_retire_locked(struct wal *w, struct collection *c)
{
	size_t left = 0;
	for (size_t i = 0; i < c->side_count; i++) { /* not the oldest alone: of the newest, a start may have found everything in segments */
		if (c->sides[i]->live || c->moving) {
			c->sides[left++] = c->sides[i];
			continue;
		}
		ARRAY_ROOM(w->side_gone, w->side_gone_count, w->side_gone_cap);
		w->side_gone[w->side_gone_count++] = c->sides[i];
		w->aside_stale = true;
	}
	c->side_count = left;
}

/* Those that no durable ASIDE record names. */
static void remove_locked(struct wal *w, struct segment **gone, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		w->side_files--;
		w->side_disk -= gone[i]->disk_bytes;
	}
	w->looked_seq = 0; /* there may be room now */
	pthread_mutex_unlock(&w->lock);
	fault_point("wal.aside_remove");
	for (size_t i = 0; i < count; i++)
		file_remove(gone[i]->path, NULL); /* what stays is void for the next start */
	if (count)
		dir_sync(w->opt.dir, NULL);
	fault_point("wal.aside_removed");
	for (size_t i = 0; i < count; i++)
		segment_free(gone[i]);
	pthread_mutex_lock(&w->lock);
}

/* Says which files there are, and removes those that there were. */
static rc_t renew_locked(struct wal *w, struct err *reterr)
{
	size_t count = w->side_gone_count, n = 0, left = 0;
	TRY(say_locked(w, NULL, 0, reterr));
	/* Those only that were gone by then. A reader may be about to open its file; nobody new comes to one that has no extents. */
	AUTO_MEM struct segment **now = mem_alloc((count + 1) * sizeof *now);
	for (size_t i = 0; i < w->side_gone_count; i++) {
		if (i < count && !w->side_gone[i]->pins)
			now[n++] = w->side_gone[i];
		else
			w->side_gone[left++] = w->side_gone[i];
	}
	w->side_gone_count = left;
	w->aside_stale = left > count - n; /* some came meanwhile; who reads one wakes us */
	remove_locked(w, now, n);
	return RC_OK;
}

/* --- cuts --- */

static struct collection *cut_in(struct wal *w, const struct segment *s)
{
	for (struct map_entry *e = NULL; (e = map_next(&w->collections, e));) {
		struct collection *c = (struct collection *)e->value;
		if (c->has_cut && c->cut_seq == s->h.seq && !c->cutting)
			return c;
	}
	return NULL;
}

/* The open cuts that stand in the front segment are appended again. */
static rc_t renew_cuts_locked(struct wal *w, bool *ret_any, struct err *reterr)
{
	uint64_t seq = w->segs[0]->h.seq;
	for (struct collection *c; w->segs[0]->h.seq == seq && (c = cut_in(w, w->segs[0]));) {
		struct buf body;
		uint64_t after = c->cut_after, upto = c->cut_upto, to;
		buf_init(&body, BUF_MAX_DEFAULT);
		buf_u64(&body, after);
		buf_u64(&body, upto);
		buf_append_slice(&body, buf_slice(&c->plan));
		c->busy++;
		rc_t rc = index_log_cut_locked(w, c, buf_slice(&body), &to, reterr);
		c->busy--;
		if (rc == RC_OK && c->has_cut && c->cut_seq == seq && c->cut_after == after && c->cut_upto == upto)
			index_cut_moved(w, c, to);
		else if (rc == RC_OK)
			index_cut_left(w, to);
		buf_free(&body);
		TRY(rc);
		*ret_any = true;
	}
	return RC_OK;
}

/* --- moving --- */

static rc_t stage_flush(struct move *m, struct err *reterr)
{
	if (!m->stage.len)
		return RC_OK;
	TRY(file_pwrite(m->to->fd, m->to->path, m->stage.data, m->stage.len, m->from + m->written, reterr));
	m->written += m->stage.len;
	buf_reset(&m->stage);
	if (m->written - m->synced < SYNC_EVERY)
		return RC_OK;
	m->synced = m->written;
	return file_sync(m->to->fd, m->to->path, reterr);
}

static void note_extent(struct move *m, const struct rec_head *r, uint64_t offset)
{
	struct extent *x = m->ext_count ? &m->ext[m->ext_count - 1] : NULL;
	if (!x || offset + r->size - x->start > SIDE_EXTENT) {
		ARRAY_ROOM(m->ext, m->ext_count, m->ext_cap);
		x = &m->ext[m->ext_count++];
		*x = (struct extent){ .first = r->first, .seg = m->to, .start = (uint32_t)offset, .oldest = r->received };
	}
	x->last = r->first + r->count - 1;
	x->end = (uint32_t)(offset + r->size);
	x->events += r->count;
	x->bytes += r->size;
	x->oldest = r->received < x->oldest ? r->received : x->oldest;
}

static rc_t move_record(struct move *m, struct window *win, const struct rec_head *r, struct err *reterr)
{
	uint64_t offset = m->from + m->written + m->stage.len;
	struct rec_head head = *r;
	uint8_t bytes[REC_HEAD + REC_NAME_MAX];
	head.offset = offset;
	head.durable = m->last_first;
	head.before_count = m->last_count;
	head.before_size = m->last_size;
	rec_head_write(&m->to->h, &head, bytes);
	buf_append(&m->stage, bytes, REC_HEAD + pad8(r->name_len));
	for (uint64_t at = 0, len = pad8(r->body_len); at < len;) {
		size_t n = len - at < SIDE_STAGE ? (size_t)(len - at) : SIDE_STAGE, got;
		const uint8_t *p;
		TRY(window_get(win, r->body + at, n, &p, &got, reterr));
		if (got < n)
			return err_set(reterr, RC_CORRUPT, "%s ends inside the record at byte %llu", win->path, (unsigned long long)r->offset);
		buf_append(&m->stage, p, n);
		at += n;
		if (m->stage.len >= SIDE_STAGE)
			TRY(stage_flush(m, reterr));
	}
	note_extent(m, r, offset);
	m->last_first = r->first;
	m->last = r->first + r->count - 1;
	m->last_count = r->count;
	m->last_size = (uint32_t)r->size;
	return RC_OK;
}

/* Every record of the collection in that run of the segment. Not locked. */
static rc_t move_records(struct wal *w, const struct segment *s, struct move *m, struct err *reterr)
{
	struct window win;
	int fd;
	TRY(file_open(s->path, FILE_READ, &fd, reterr));
	window_init(&win, fd, s->path);
	rc_t rc = RC_OK;
	for (uint64_t off = m->start; off < m->end && rc == RC_OK;) {
		struct rec_head r;
		enum rec_state state;
		bool ok = false;
		rc = rec_read_head(&win, &s->h, off, m->end, &r, &state, reterr);
		bool hole = damage_covers(w, s, off); /* salvage left it */
		if (rc == RC_OK && state != REC_VALID && hole) {
			rc = rec_find(&win, &s->h, off + 8, m->end, 0, &off, reterr);
			continue;
		}
		if (rc == RC_OK && state != REC_VALID)
			rc = err_set(reterr, RC_CORRUPT, "%s: the record at byte %llu is not what was written", s->path, (unsigned long long)off);
		if (rc != RC_OK)
			break;
		off += r.size;
		if (r.type != WAL_EVENTS || r.first + r.count - 1 <= m->after || !slice_eq(m->c->name, slice_of(r.name, r.name_len)))
			continue;
		rc = rec_check_body(&win, &r, &ok, reterr);
		if (rc == RC_OK && !ok && !hole)
			rc = err_set(reterr, RC_CORRUPT, "%s: the record at byte %llu is not what was written", s->path, (unsigned long long)r.offset);
		if (rc == RC_OK && ok)
			rc = move_record(m, &win, &r, reterr);
		if (rc == RC_OK && __atomic_load_n(&w->aside_stop, __ATOMIC_RELAXED))
			rc = err_set(reterr, RC_CANCELLED, "the log is being closed");
	}
	window_free(&win);
	file_close(fd);
	return rc == RC_NOT_FOUND ? RC_OK : rc;
}

/* Step 1, of one collection. Not locked. */
static rc_t copy_out(struct wal *w, const struct segment *s, struct move *m, struct err *reterr)
{
	TRY(file_open(m->to->path, m->fresh ? FILE_CREATE_NEW : FILE_WRITE, &m->to->fd, reterr));
	rc_t rc = m->fresh ? segment_write_header(m->to, reterr) : RC_OK;
	if (rc == RC_OK)
		rc = move_records(w, s, m, reterr);
	if (rc == RC_OK)
		rc = stage_flush(m, reterr);
	fault_point("wal.aside_written");
	if (rc == RC_OK)
		rc = file_sync(m->to->fd, m->to->path, reterr);
	file_close(m->to->fd);
	m->to->fd = -1;
	return rc;
}

static rc_t copy_all_out(struct wal *w, const struct segment *s, struct move *moves, size_t count, struct err *reterr)
{
	bool fresh = false;
	for (size_t i = 0; i < count; i++) {
		TRY(copy_out(w, s, &moves[i], reterr));
		fresh |= moves[i].fresh;
	}
	if (fresh)
		TRY(dir_sync(w->opt.dir, reterr));
	fault_point("wal.aside_synced");
	return RC_OK;
}

/* Where in the index the collection's extents of the segment are. */
static size_t extents_in(const struct collection *c, const struct segment *s, size_t *ret_count)
{
	size_t lo = c->head, hi = c->n, n = 0;
	while (lo < hi) { /* side files come first */
		size_t mid = (lo + hi) / 2;
		if (c->ext[mid].seg->aside)
			lo = mid + 1;
		else
			hi = mid;
	}
	while (lo + n < c->n && c->ext[lo + n].seg == s)
		n++;
	*ret_count = n;
	return lo;
}

/* Step 3, of one collection. */
static void take_over_locked(struct wal *w, const struct segment *s, struct move *m)
{
	struct collection *c = m->c;
	struct segment *to = m->to;
	size_t old, at = extents_in(c, s, &old), skip = 0;
	if (m->fresh) {
		ARRAY_ROOM(c->sides, c->side_count, c->side_cap);
		c->sides[c->side_count++] = to;
		to->created = true;
	}
	to->append_end = to->durable_end = m->from + m->written;
	w->side_disk += to->durable_end - to->disk_bytes;
	to->disk_bytes = to->durable_end;
	to->last_first = m->last_first;
	to->last_count = m->last_count;
	to->last_size = m->last_size;
	while (skip < m->ext_count && m->ext[skip].last <= c->committed)
		skip++;
	index_replace_locked(w, c, at, old, m->ext + skip, m->ext_count - skip);
}

/* The file takes no more: nobody knows what its end looks like. If the word of it was on its way, a start may yet read that, durable or not: a new
 * file stays until a later word is, which does not name it. */
static void give_up_locked(struct wal *w, struct move *m, bool maybe_said)
{
	struct segment *to = m->to;
	to->closed = true;
	if (!m->fresh)
		return;
	if (maybe_said) {
		to->disk_bytes = m->from + m->written;
		w->side_disk += to->disk_bytes;
		ARRAY_ROOM(w->side_gone, w->side_gone_count, w->side_gone_cap);
		w->side_gone[w->side_gone_count++] = to;
		w->aside_stale = true;
		if (w->side_gone_count == w->side_files) /* no segment is kept for a word that names nothing else */
			w->aside_seq = active(w)->h.seq;
		return;
	}
	w->side_files--;
	pthread_mutex_unlock(&w->lock);
	file_remove(to->path, NULL); /* void, for no ASIDE record names it */
	pthread_mutex_lock(&w->lock);
	segment_free(to);
}

static void begin_move_locked(struct wal *w, struct collection *c, const struct segment *s, struct move *m)
{
	size_t n, at = extents_in(c, s, &n);
	struct segment *last = c->side_count ? c->sides[c->side_count - 1] : NULL;
	*m = (struct move){ .c = c, .after = c->committed, .start = c->ext[at].start, .end = c->ext[at + n - 1].end };
	buf_init(&m->stage, BUF_MAX_DEFAULT);
	uint64_t size = 0;
	for (size_t i = at; i < at + n; i++)
		size += c->ext[i].bytes;
	c->moving = true;
	if (last && !last->closed && last->durable_end + size <= w->opt.segment_bytes) {
		m->to = last;
		m->from = last->durable_end;
		m->last_first = last->last_first;
		m->last_count = last->last_count;
		m->last_size = last->last_size;
		return;
	}
	struct segment *to = m->to = segment_new(w, ++w->last_seq);
	free(to->path);
	to->path = segment_path(w, to->h.seq, "aside");
	to->aside = m->fresh = true;
	to->h.first = c->ext[at].first;
	to->h.flags = SEG_FLAG_ASIDE;
	to->h.name_len = (uint16_t)c->name.len;
	memcpy(to->h.name, c->name.data, c->name.len);
	m->from = SEG_DATA;
	w->side_files++;
}

/* It may be over in a moment; with a log that fills nobody waits for that. */
static bool is_firm(const struct wal *w, const struct collection *c)
{
	return clock_mono_us() - c->stuck_at >= w->opt.aside_after_us || segments_bytes_locked(w) > w->opt.max_bytes / 4;
}

/* The stuck collections that alone keep the front segment; none if others keep it, too. */
static size_t choose_locked(struct wal *w, struct segment *s, struct collection ***ret)
{
	size_t count = 0, cap = 0, fresh = 0;
	uint64_t live = 0, bytes = 0;
	bool soon = false;
	*ret = NULL;
	for (struct map_entry *e = NULL; w->stuck_count && (e = map_next(&w->collections, e));) {
		struct collection *c = (struct collection *)e->value;
		size_t n = 0, at = c->stuck ? extents_in(c, s, &n) : 0;
		if (!n)
			continue;
		soon |= !is_firm(w, c);
		ARRAY_ROOM(*ret, count, cap);
		(*ret)[count++] = c;
		live += n;
		fresh++; /* at most one file each */
		for (size_t i = at; i < at + n; i++)
			bytes += c->ext[i].bytes;
	}
	w->looked_seq = soon ? 0 : s->h.seq;
	w->looked_live = s->live;
	/* What the log holds was admitted when the side files had room: it may go beyond, or all others would wait for it. */
	bool fits = w->side_files + fresh <= SIDE_FILES_MAX && w->side_disk + bytes <= w->opt.aside_max_bytes + w->opt.max_bytes;
	return live == s->live && fits && !soon ? count : 0;
}

/* Steps 1 to 3 for the front segment. */
static rc_t move_out_locked(struct wal *w, bool *ret_any, struct err *reterr)
{
	struct segment *s = w->segs[0];
	AUTO_MEM struct collection **who = NULL;
	size_t count = choose_locked(w, s, &who);
	if (!count)
		return RC_OK;
	AUTO_MEM struct move *moves = mem_zalloc(count, sizeof *moves);
	for (size_t i = 0; i < count; i++)
		begin_move_locked(w, who[i], s, &moves[i]);
	s->pins++;
	pthread_mutex_unlock(&w->lock);
	rc_t rc = copy_all_out(w, s, moves, count, reterr);
	bool copied = rc == RC_OK;
	pthread_mutex_lock(&w->lock);
	if (rc == RC_OK)
		rc = say_locked(w, moves, count, reterr);
	fault_point("wal.aside_said");
	for (size_t i = 0; i < count; i++) {
		struct move *m = &moves[i];
		struct collection *c = m->c;
		if (rc == RC_OK)
			take_over_locked(w, s, m);
		else
			give_up_locked(w, m, copied);
		c->moving = false;
		buf_free(&m->stage);
		free(m->ext);
		index_split_locked(w, c);
		aside_retire_locked(w, c);
	}
	s->pins--;
	w->looked_seq = rc == RC_OK ? w->looked_seq : 0;
	w->stats.asides += rc == RC_OK;
	*ret_any |= rc == RC_OK;
	return rc;
}

bool aside_step_locked(struct wal *w)
{
	bool any = false;
	rc_t rc = RC_OK;
	if (!wanted_locked(w))
		return false;
	w->aside_again = 0;
	w->asiding = true;
	struct segment *s = closed_front(w) ? w->segs[0] : NULL;
	bool idle = s && !s->live && !s->pins;
	if (w->aside_stale || gone_unread(w) || (idle && w->side_files && s->h.seq == w->aside_seq)) {
		rc = renew_locked(w, NULL);
		any = rc == RC_OK;
	} else if (idle && s->cuts) {
		rc = renew_cuts_locked(w, &any, NULL);
	} else if (s && s->live) {
		rc = move_out_locked(w, &any, NULL);
	}
	w->asiding = false;
	w->stats.aside_failures += rc != RC_OK;
	if (rc != RC_OK)
		w->aside_again = clock_mono_us() + AGAIN_US;
	if (any) { /* the flusher trims behind a group, even an empty one */
		cur_group(w)->work = true;
		kick_locked(w);
	}
	return any;
}

/* Until there is something to do, or a step that failed may be tried again: a log that is full for it brings no group that would wake us. */
static void idle_locked(struct wal *w)
{
	struct timespec ts = { w->aside_again / 1000000, w->aside_again % 1000000 * 1000 };
	if (w->aside_again && clock_mono_us() < w->aside_again)
		pthread_cond_timedwait(&w->aside_work, &w->lock, &ts);
	else
		pthread_cond_wait(&w->aside_work, &w->lock);
}

void *aside_thread(void *ctx)
{
	struct wal *w = ctx;
	pthread_mutex_lock(&w->lock);
	while (!w->aside_stop)
		if (!aside_step_locked(w) && !w->aside_stop) /* a step lets go of the lock: that may have come meanwhile */
			idle_locked(w);
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

void aside_free(struct wal *w)
{
	for (size_t i = 0; i < w->side_gone_count; i++)
		segment_free(w->side_gone[i]);
	free(w->side_gone);
}

void aside_mark_locked(struct wal *w, struct collection *c, bool stuck)
{
	if (c->stuck == stuck)
		return;
	c->stuck = stuck;
	c->stuck_at = clock_mono_us();
	w->stuck_count += stuck ? 1 : (size_t)-1;
	w->looked_seq = 0;
	aside_wake_locked(w);
}

void wal_aside(struct wal *w, struct slice collection, bool stuck)
{
	if (w->opt.replica) /* its records are needed in the store until they are committed; restored, they are a log without side files */
		return;
	pthread_mutex_lock(&w->lock);
	struct collection *c = index_collection(w, collection, false);
	if (c)
		aside_mark_locked(w, c, stuck);
	pthread_mutex_unlock(&w->lock);
}
