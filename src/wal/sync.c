/* Group commit. One flusher at a time (the sync thread, a caller of manual_sync, or whoever repairs): it swaps the two groups, writes
 * the full one outside the lock, syncs, and settles it. A failure fails everything that is not durable yet, in both groups, and
 * leaves the log refusing appends until a new segment was begun behind the last durable record. */
#include "wal/wal_internal.h"

#include "base/fault.h"
#include "os/clock.h"
#include "os/file.h"

void kick_locked(struct wal *w)
{
	if (!w->opt.manual_sync)
		pthread_cond_signal(&w->work);
}

void become_flusher_locked(struct wal *w)
{
	while (w->flushing)
		pthread_cond_wait(&w->done, &w->lock);
	w->flushing = true;
}

void resign_flusher_locked(struct wal *w)
{
	w->flushing = false;
	pthread_cond_broadcast(&w->done);
}

static void group_reset(struct group *g)
{
	bool huge = g->bytes.cap > ((size_t)32 << 20);
	if (huge) {
		buf_free(&g->bytes);
		buf_init(&g->bytes, BUF_MAX_DEFAULT);
	}
	buf_reset(&g->bytes);
	g->run_count = g->flight_count = g->settled = 0;
	g->failed = g->work = false;
}

/* The flights of this segment (or, NULL, all that are left) are durable. */
static void settle_locked(struct wal *w, struct group *g, const struct segment *seg)
{
	for (; g->settled < g->flight_count; g->settled++) {
		const struct flight *f = &g->flights[g->settled];
		if (seg && f->seg != seg)
			break;
		f->seg->durable_end = f->offset + f->size;
		w->durable_next = f->first + f->count;
		w->settled = f->ticket;
		if (f->coll) {
			f->coll->inflight -= f->size;
			index_add(w, f->coll, f->seg, f->offset, f->size, f->first, f->count, f->received);
		}
	}
	if (w->move_count && w->settled >= w->move_ticket)
		keys_moves_settled_locked(w, true);
	if (w->trim_ticket && w->settled >= w->trim_ticket) {
		w->oldest_logged = w->trim_oldest;
		w->trim_ticket = 0;
	}
	replica_settled_locked(w);
}

/* Makes the segment being written durable and goes on to the next one. Not locked. */
static rc_t advance(struct wal *w, struct group *g, struct err *reterr)
{
	struct segment *s = w->file_seg, *next = NULL;
	fault_point("wal.before_rotate");
	TRY(file_sync(s->fd, s->path, reterr));
	TRY(replica_put(w, s, s->append_end, reterr));
	pthread_mutex_lock(&w->lock);
	settle_locked(w, g, s);
	if (s->append_end > s->written_out)
		s->written_out = s->append_end;
	for (size_t i = w->seg_count; i-- > 1 && !next;)
		if (w->segs[i - 1] == s)
			next = w->segs[i];
	pthread_mutex_unlock(&w->lock);
	TRY(segment_create(w, next, false, reterr));
	pthread_mutex_lock(&w->lock);
	file_close(s->fd);
	s->fd = -1;
	s->disk_bytes = s->written_out;
	next->disk_bytes = next->written_out;
	next->created = true;
	if (next->h.oldest > w->oldest_logged)
		w->oldest_logged = next->h.oldest;
	if (next->h.first > w->durable_next) /* wal_skip_to */
		w->durable_next = next->h.first;
	w->file_seg = next;
	pthread_mutex_unlock(&w->lock);
	return RC_OK;
}

/* Keeps the file written out ahead of its records. Behind `end`, appenders of the next group may be writing big records already: the
 * zeros go behind everything that has a place by now, and who gets a place there meanwhile waits. */
static rc_t write_out_ahead(struct wal *w, struct segment *s, uint64_t end, struct err *reterr)
{
	if (end <= s->written_out)
		return RC_OK;
	pthread_mutex_lock(&w->lock);
	uint64_t from = s->append_end > s->written_out ? s->append_end : s->written_out;
	w->filling = s;
	pthread_mutex_unlock(&w->lock);
	s->written_out = from;
	rc_t rc = segment_write_out(s, from, reterr);
	pthread_mutex_lock(&w->lock);
	w->filling = NULL;
	pthread_cond_broadcast(&w->done);
	pthread_mutex_unlock(&w->lock);
	return rc;
}

/* Writes and syncs the group, up to `end` in the target segment. Not locked. */
static rc_t write_group(struct wal *w, struct group *g, struct segment *target, uint64_t end, struct err *reterr)
{
	for (size_t i = 0; i < g->run_count; i++) {
		const struct run *r = &g->runs[i];
		while (w->file_seg != r->seg)
			TRY(advance(w, g, reterr));
		TRY(file_pwrite(r->seg->fd, r->seg->path, g->bytes.data + r->from, r->len, r->offset, reterr));
	}
	while (w->file_seg != target)
		TRY(advance(w, g, reterr));
	fault_point("wal.before_sync");
	TRY(write_out_ahead(w, target, end, reterr));
	TRY(file_sync(target->fd, target->path, reterr));
	TRY(replica_put(w, target, end, reterr));
	fault_point("wal.after_sync");
	return RC_OK;
}

static void failed_range_push(struct wal *w, uint64_t from, uint64_t to, const struct err *error)
{
	if (w->failed_count == FAILED_RANGES) { /* the oldest two become one: nobody waits for tickets that old */
		w->failed_ranges[1].from = w->failed_ranges[0].from;
		memmove(w->failed_ranges, w->failed_ranges + 1, (FAILED_RANGES - 1) * sizeof(w->failed_ranges[0]));
		w->failed_count--;
	}
	w->failed_ranges[w->failed_count++] = (struct ticket_range){ from, to, *error };
}

/* Everything that is not durable is given up. */
static void fail_locked(struct wal *w, const struct err *error)
{
	w->failed = true;
	w->failed_at = clock_mono_us();
	w->error = *error;
	w->error.retryable = true;
	w->error.status = error->rc == RC_LIMIT ? 507 : 503;
	if (error->rc != RC_LIMIT)
		w->error.rc = RC_IO;
	w->stats.failures++;
	while (w->groups[0].direct || w->groups[1].direct)
		pthread_cond_wait(&w->done, &w->lock);
	for (int i = 0; i < 2; i++) {
		struct group *g = &w->groups[i];
		for (size_t k = g->settled; k < g->flight_count; k++)
			if (g->flights[k].coll)
				g->flights[k].coll->inflight -= g->flights[k].size;
		group_reset(g);
	}
	while (w->seg_count > 1 && !active(w)->created)
		segment_free(w->segs[--w->seg_count]);
	struct segment *s = active(w);
	s->append_end = s->durable_end;
	w->next_position = w->durable_next;
	keys_moves_settled_locked(w, false);
	keys_rollback_locked(w, s->h.seq, s->durable_end);
	w->trim_ticket = 0;
	if (w->last_ticket > w->settled)
		failed_range_push(w, w->settled + 1, w->last_ticket, &w->error);
	w->settled = w->last_ticket;
}

static void notify_locked(struct wal *w)
{
	struct listener copy[LISTENERS_MAX];
	size_t n = w->listener_count;
	uint64_t settled = w->settled;
	if (!n)
		return;
	memcpy(copy, w->listeners, n * sizeof(copy[0]));
	w->calling = true;
	pthread_mutex_unlock(&w->lock);
	for (size_t i = 0; i < n; i++)
		copy[i].fn(copy[i].ctx, settled);
	pthread_mutex_lock(&w->lock);
	w->calling = false;
}

rc_t flush_once_locked(struct wal *w)
{
	become_flusher_locked(w);
	struct group *g = cur_group(w);
	if (!g->work || w->failed) {
		resign_flusher_locked(w);
		return RC_OK;
	}
	w->cur ^= 1;
	struct segment *target = active(w);
	uint64_t end = target->append_end;
	while (g->direct)
		pthread_cond_wait(&w->done, &w->lock);
	pthread_mutex_unlock(&w->lock);
	struct err error = { 0 };
	int64_t start = clock_mono_us();
	rc_t rc = RC_OK;
	if (g->failed) {
		rc = g->error.rc;
		error = g->error;
	} else {
		rc = write_group(w, g, target, end, &error);
	}
	int64_t took = clock_mono_us() - start;
	pthread_mutex_lock(&w->lock);
	w->stats.syncs++;
	w->stats.sync_us += (uint64_t)took;
	if ((uint64_t)took > w->stats.sync_us_max)
		w->stats.sync_us_max = (uint64_t)took;
	if (rc == RC_OK) {
		target->disk_bytes = target->written_out;
		settle_locked(w, g, NULL);
		group_reset(g);
	} else {
		fail_locked(w, &error);
	}
	pthread_cond_broadcast(&w->done);
	notify_locked(w);
	if (!w->failed) {
		trim_locked(w);
		trim_settled_locked(w);
		if (!w->spare_count && clock_mono_us() - w->reserve_at >= REOPEN_EVERY_US) { /* the disk was full at the start */
			pthread_mutex_unlock(&w->lock);
			reserve_make(w);
			pthread_mutex_lock(&w->lock);
		}
	}
	resign_flusher_locked(w);
	return rc;
}

void *sync_thread(void *ctx)
{
	struct wal *w = ctx;
	pthread_mutex_lock(&w->lock);
	while (!w->stop) {
		if (cur_group(w)->work && !w->failed) {
			flush_once_locked(w);
		} else if (w->failed && w->rep.reopen) { /* not in an appender's thread: the store may let us wait */
			w->rep.reopen = false;
			reopen_locked(w, NULL);
		} else {
			pthread_cond_wait(&w->work, &w->lock);
		}
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* --- waiting --- */

rc_t ticket_status_locked(struct wal *w, uint64_t ticket, struct err *reterr)
{
	if (ticket > w->last_ticket)
		return err_set(reterr, RC_INVALID, "ticket %llu was never given", (unsigned long long)ticket);
	if (ticket > w->settled)
		return RC_AGAIN;
	for (size_t i = 0; i < w->failed_count; i++) {
		const struct ticket_range *r = &w->failed_ranges[i];
		if (ticket >= r->from && ticket <= r->to) {
			if (reterr)
				*reterr = r->error;
			return r->error.rc;
		}
	}
	return RC_OK;
}

rc_t wait_settled_locked(struct wal *w, uint64_t ticket, struct err *reterr)
{
	while (ticket <= w->last_ticket && ticket > w->settled) {
		if (w->opt.manual_sync) {
			flush_once_locked(w);
		} else {
			kick_locked(w);
			pthread_cond_wait(&w->done, &w->lock);
		}
	}
	return ticket_status_locked(w, ticket, reterr);
}

rc_t wal_wait(struct wal *w, uint64_t ticket, struct err *reterr)
{
	pthread_mutex_lock(&w->lock);
	rc_t rc = wait_settled_locked(w, ticket, reterr);
	pthread_mutex_unlock(&w->lock);
	return rc;
}

rc_t wal_ticket(struct wal *w, uint64_t ticket, struct err *reterr)
{
	pthread_mutex_lock(&w->lock);
	rc_t rc = ticket_status_locked(w, ticket, reterr);
	pthread_mutex_unlock(&w->lock);
	return rc;
}

uint64_t wal_durable(struct wal *w)
{
	pthread_mutex_lock(&w->lock);
	uint64_t settled = w->settled;
	pthread_mutex_unlock(&w->lock);
	return settled;
}

rc_t wal_flush(struct wal *w, struct err *reterr)
{
	pthread_mutex_lock(&w->lock);
	uint64_t ticket = w->last_ticket;
	rc_t rc = wait_settled_locked(w, ticket, reterr);
	/* A trim may have appended its own record. */
	while (w->opt.manual_sync && !w->failed && (cur_group(w)->work || aside_step_locked(w)))
		flush_once_locked(w);
	pthread_mutex_unlock(&w->lock);
	return rc;
}

rc_t wal_on_durable(struct wal *w, void (*fn)(void *ctx, uint64_t settled), void *ctx, struct err *reterr)
{
	rc_t rc = RC_OK;
	pthread_mutex_lock(&w->lock);
	if (w->listener_count == LISTENERS_MAX)
		rc = err_set(reterr, RC_LIMIT, "more than %d listeners on the log", LISTENERS_MAX);
	else
		w->listeners[w->listener_count++] = (struct listener){ fn, ctx };
	pthread_mutex_unlock(&w->lock);
	return rc;
}

void wal_remove_on_durable(struct wal *w, void (*fn)(void *ctx, uint64_t settled), void *ctx)
{
	pthread_mutex_lock(&w->lock);
	for (size_t i = 0; i < w->listener_count; i++)
		if (w->listeners[i].fn == fn && w->listeners[i].ctx == ctx) {
			w->listeners[i] = w->listeners[--w->listener_count];
			break;
		}
	while (w->calling) /* it may be in it right now */
		pthread_cond_wait(&w->done, &w->lock);
	pthread_mutex_unlock(&w->lock);
}

/* --- failure and back --- */

rc_t wal_status(struct wal *w, struct err *reterr)
{
	rc_t rc = RC_OK;
	pthread_mutex_lock(&w->lock);
	if (w->failed) {
		rc = w->error.rc;
		if (reterr)
			*reterr = w->error;
	}
	pthread_mutex_unlock(&w->lock);
	return rc;
}

rc_t reopen_locked(struct wal *w, struct err *reterr)
{
	become_flusher_locked(w);
	if (!w->failed || w->rep.fenced) {
		rc_t was = w->failed ? w->error.rc : RC_OK;
		if (w->failed && reterr)
			*reterr = w->error;
		resign_flusher_locked(w);
		return was;
	}
	struct segment *last = active(w), *s = segment_new(w, ++w->last_seq);
	trim_locked(w); /* with the log failed it only decides; the new header carries it */
	s->h.first = w->durable_next;
	s->h.prev_seq = last->h.seq;
	s->h.prev_end = last->durable_end;
	s->h.oldest = w->oldest;
	pthread_mutex_unlock(&w->lock);
	struct err error = { 0 };
	rc_t rc = segment_create(w, s, true, &error);
	if (rc == RC_OK)
		rc = replica_put(w, s, SEG_DATA, &error); /* as long as the store is away there shall not be more and more segments */
	if (rc != RC_OK && w->opt.replica)
		file_remove(s->path, NULL);
	pthread_mutex_lock(&w->lock);
	w->failed_at = clock_mono_us();
	if (rc == RC_OK) {
		file_close(last->fd);
		last->fd = -1;
		s->created = true;
		s->disk_bytes = s->written_out;
		segment_push(w, s);
		w->file_seg = s;
		w->failed = false;
		w->oldest_logged = s->h.oldest;
		replica_settled_locked(w);
		trim_settled_locked(w);
	} else {
		segment_free(s);
		if (reterr)
			*reterr = error;
	}
	resign_flusher_locked(w);
	return rc;
}

rc_t wal_reopen(struct wal *w, struct err *reterr)
{
	pthread_mutex_lock(&w->lock);
	rc_t rc = w->readonly ? err_set(reterr, RC_UNSUPPORTED, "the log is open for reading only") : reopen_locked(w, reterr);
	pthread_mutex_unlock(&w->lock);
	return rc;
}
