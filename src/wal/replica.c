/* The store's half of a group commit (wal/replica.h). All of it is done by the flusher, one put after the other: while one is on its way, what
 * arrives becomes the next group. */
#include "wal/wal_internal.h"

#include <stdio.h>

#include "base/fault.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/random.h"

#define OBJECT_ROOM (WAL_OBJECT_HEAD + WAL_OBJECT_CHUNK + REC_HEAD + REC_NAME_MAX)
#define FAILURES_TRIED 3
#define NUMBERS_TRIED 64 /* that were taken by earlier attempts of ours */
#define PLACES_MAX ((size_t)1 << 20) /* objects that are needed; 24 MiB */
#define REST_BEAT_US ((int64_t)86400 * 1000000)
#define QUIET_US ((int64_t)2 * 1000000) /* so long after the last object nobody else says soon what is not needed */
#define STATE_FILE "replica"

void replica_free(struct wal *w)
{
	buf_free(&w->rep.object);
	free(w->rep.places);
}

void replica_settled_locked(struct wal *w)
{
	w->rep.open_from = w->rep.next;
}

/* ---- what is needed ---- */

/* The lowest number that a reader needs if the next object is the last one. */
static uint64_t low_locked(const struct wal *w)
{
	const struct replica *rep = &w->rep;
	uint64_t segment = UINT64_MAX, start = 0, low = rep->open_from < rep->next ? rep->open_from : rep->next;
	for (struct map_entry *e = NULL; (e = map_next(&w->collections, e));) {
		const struct collection *c = (const struct collection *)e->value;
		const struct extent *x = c->head < c->n ? &c->ext[c->head] : NULL;
		if (x && (x->seg->h.seq < segment || (x->seg->h.seq == segment && x->start < start))) {
			segment = x->seg->h.seq;
			start = x->start;
		}
	}
	size_t lo = 0, hi = rep->place_count; /* the first object that ends behind that place */
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		const struct place *p = &rep->places[mid];
		if (p->segment < segment || (p->segment == segment && p->end <= start))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < rep->place_count && rep->places[lo].number < low ? rep->places[lo].number : low;
}

static void taken_locked(struct wal *w, const struct segment *s, uint64_t end, uint64_t low, bool empty)
{
	struct replica *rep = &w->rep;
	size_t gone = 0;
	ARRAY_ROOM(rep->places, rep->place_count, rep->place_cap);
	rep->places[rep->place_count++] = (struct place){ rep->next, s->h.seq, end };
	while (gone < rep->place_count && rep->places[gone].number < low)
		gone++;
	rep->place_count -= gone;
	memmove(rep->places, rep->places + gone, rep->place_count * sizeof *rep->places);
	rep->low_said = low;
	rep->rest = empty && low == rep->next;
	rep->sure = rep->next++;
	rep->last_put = clock_mono_us();
}

/* ---- one object ---- */

static rc_t fenced(struct wal *w, const char *by, struct err *reterr)
{
	pthread_mutex_lock(&w->lock);
	w->rep.fenced = true;
	pthread_mutex_unlock(&w->lock);
	return err_set(reterr, RC_CONFLICT, "the log %s was taken over by %s, which found no sign of life here: this server acks nothing more and has to be "
		       "started again", w->id, by);
}

/* Something may stand at our number. RC_AGAIN: what we put, now or in an earlier attempt. RC_CONFLICT: the log is not ours any more. */
static rc_t look(struct wal *w, struct err *reterr)
{
	struct replica *rep = &w->rep;
	AUTO_BUF struct buf found;
	struct wal_object o;
	buf_init(&found, WAL_OBJECT_HEAD + WAL_OBJECT_CHUNK);
	rc_t rc = w->opt.replica->get(w->opt.replica_ctx, w->id, rep->next, &found, reterr);
	if (rc != RC_OK)
		return rc;
	rc = wal_object_parse(buf_slice(&found), &o, reterr);
	if (rc != RC_OK)
		return rc;
	if (o.kind == WAL_OBJECT_SEAL)
		return fenced(w, o.by, reterr);
	if (o.owner != rep->owner && o.owner != rep->owner_before)
		return fenced(w, "another process with a copy of its data folder", reterr);
	return RC_AGAIN;
}

/* Puts what object_build made. */
static rc_t put_object(struct wal *w, const struct segment *s, uint64_t end, struct err *reterr)
{
	struct replica *rep = &w->rep;
	const struct wal_replica_ops *ops = w->opt.replica;
	rc_t rc = RC_AGAIN;
	int failed = 0;
	int64_t start = clock_mono_us();
	for (int i = 0; i < NUMBERS_TRIED && rc == RC_AGAIN; i++) {
		struct err error;
		pthread_mutex_lock(&w->lock);
		uint64_t low = low_locked(w);
		bool full = rep->place_count >= PLACES_MAX;
		pthread_mutex_unlock(&w->lock);
		if (full)
			return err_set(reterr, RC_IO, "the log has %zu objects in the store that no table holds: wait until commits work again", PLACES_MAX);
		object_number(&rep->object, rep->next, low);
		fault_point("replica.put");
		rc = ops->put(w->opt.replica_ctx, w->id, rep->next, buf_slice(&rep->object), &error);
		if (rc != RC_OK) {
			struct err seen;
			rc_t there = look(w, &seen);
			bool tired = there == RC_AGAIN && rc != RC_CONFLICT && ++failed == FAILURES_TRIED;
			if (tired || there == RC_NOT_FOUND)
				rc = rc == RC_CONFLICT ? RC_IO : rc;
			else
				rc = there;
			if (rc != RC_AGAIN && reterr)
				*reterr = tired || there == RC_NOT_FOUND ? error : seen;
		}
		fault_point("replica.put_done");
		pthread_mutex_lock(&w->lock);
		if (rc == RC_AGAIN)
			rep->next++;
		if (rc == RC_OK)
			taken_locked(w, s, end, low, rep->object.len == WAL_OBJECT_HEAD);
		pthread_mutex_unlock(&w->lock);
	}
	if (rc == RC_AGAIN)
		rc = err_set(reterr, RC_IO, "%d numbers of the log %s in the store were taken by attempts that had failed", NUMBERS_TRIED, w->id);
	uint64_t took = (uint64_t)(clock_mono_us() - start);
	pthread_mutex_lock(&w->lock);
	rep->stats.objects += rc == RC_OK;
	rep->stats.failures += rc != RC_OK;
	rep->stats.bytes += rc == RC_OK ? rep->object.len : 0;
	rep->stats.put_us += rc == RC_OK ? took : 0;
	rep->stats.put_us_max = took > rep->stats.put_us_max ? took : rep->stats.put_us_max;
	pthread_mutex_unlock(&w->lock);
	return rc;
}

/* The segment's bytes from..upto, read from its file, where appenders of big records put them, too; its records go on to `end`: the head of one may
 * be cut by upto. */
static rc_t put_bytes(struct wal *w, const struct segment *s, uint64_t from, uint64_t upto, uint64_t end, struct err *reterr)
{
	struct buf *b = &w->rep.object;
	int fd = s->fd;
	size_t ahead = end - upto < REC_HEAD + REC_NAME_MAX ? (size_t)(end - upto) : REC_HEAD + REC_NAME_MAX, n = (size_t)(upto - from) + ahead;
	buf_reset(b);
	buf_reserve(b, WAL_OBJECT_HEAD + n);
	b->len = WAL_OBJECT_HEAD + n;
	if (n && s->fd < 0)
		TRY(file_open(s->path, FILE_READ, &fd, reterr));
	rc_t rc = n ? file_pread(fd, s->path, b->data + WAL_OBJECT_HEAD, n, from, NULL, reterr) : RC_OK;
	if (fd != s->fd)
		file_close(fd);
	TRY(rc);
	object_build(&w->rep, s, w->id, from, ahead, b);
	rc = put_object(w, s, upto, reterr);
	if (b->cap > ((size_t)1 << 20)) { /* grown for big records: not kept */
		buf_free(b);
		buf_init(b, OBJECT_ROOM);
	}
	return rc;
}

static rc_t put_segment(struct wal *w, struct segment *s, uint64_t upto, struct err *reterr)
{
	while (s->replicated < upto) {
		uint64_t from = s->replicated ? s->replicated : SEG_DATA;
		uint64_t to = upto - from > WAL_OBJECT_CHUNK ? from + WAL_OBJECT_CHUNK : upto;
		TRY(put_bytes(w, s, from, to, upto, reterr));
		s->replicated = to;
	}
	return RC_OK;
}

rc_t replica_put(struct wal *w, struct segment *s, uint64_t upto, struct err *reterr)
{
	if (!w->rep.begun)
		return RC_OK;
	for (;;) { /* one before it that was made when the store failed; the chain of headers wants it */
		struct segment *before = NULL;
		uint64_t end = 0;
		pthread_mutex_lock(&w->lock);
		for (size_t i = 0; i < w->seg_count && !before && w->segs[i]->h.seq < s->h.seq; i++)
			if (w->segs[i]->created && !w->segs[i]->lost && w->segs[i]->replicated < w->segs[i]->durable_end) {
				before = w->segs[i];
				end = before->durable_end;
			}
		pthread_mutex_unlock(&w->lock);
		if (!before)
			break;
		TRY(put_segment(w, before, end, reterr));
	}
	return put_segment(w, s, upto, reterr);
}

/* ---- the start ---- */

static rc_t state_read(const struct wal *w, uint64_t *ret_next, bool *ret_there, struct err *reterr)
{
	AUTO_MEM char *path = mem_printf("%s/" STATE_FILE, w->opt.dir);
	AUTO_BUF struct buf text;
	unsigned long long next = 0;
	buf_init(&text, 256);
	rc_t rc = file_read_all(path, &text, reterr);
	*ret_there = rc == RC_OK;
	*ret_next = 0;
	if (rc == RC_NOT_FOUND)
		return RC_OK;
	TRY(rc);
	if (sscanf(buf_cstr(&text), "hydrant-replica 1\n%llu\n", &next) != 1)
		return err_set(reterr, RC_CORRUPT, "%s cannot be read", path);
	*ret_next = next;
	return RC_OK;
}

/* next: the number of the next object if nothing is in the store; 0: something is. */
static rc_t state_write(const struct wal *w, uint64_t next, struct err *reterr)
{
	AUTO_MEM char *path = mem_printf("%s/" STATE_FILE, w->opt.dir);
	AUTO_MEM char *text = mem_printf("hydrant-replica 1\n%llu\n", (unsigned long long)next);
	return file_replace_atomic(path, slice_str(text), reterr);
}

static rc_t not_ours(const struct wal *w, const char *why, struct err *reterr)
{
	return err_set(reterr, RC_CONFLICT, "the log %s in %s cannot go on: %s", w->id, w->opt.dir, why);
}

/* Is the end of what the store has in our segments, byte for byte? */
static rc_t compare(struct wal *w, const struct wal_object *o, struct err *reterr)
{
	struct segment *s = segment_by_seq(w, o->segment);
	uint64_t end = o->offset + o->bytes.len;
	uint8_t header[SEG_HEADER];
	if (!s || s->lost || s->durable_end < end)
		return not_ours(w, "the store holds more of it than the disk", reterr);
	seg_header_write(&s->h, header);
	bool same = memcmp(header, o->header.data, SEG_HEADER) == 0;
	if (same && o->bytes.len) {
		int fd;
		AUTO_MEM uint8_t *mine = mem_alloc(o->bytes.len);
		TRY(file_open(s->path, FILE_READ, &fd, reterr));
		rc_t rc = file_pread(fd, s->path, mine, o->bytes.len, o->offset, NULL, reterr);
		file_close(fd);
		TRY(rc);
		same = memcmp(mine, o->bytes.data, o->bytes.len) == 0;
	}
	if (!same)
		return not_ours(w, "the store holds another end of it than the disk", reterr);
	for (size_t i = 0; i < w->seg_count && w->segs[i] != s; i++)
		w->segs[i]->replicated = w->segs[i]->durable_end;
	s->replicated = end;
	return RC_OK;
}

/* The store has nothing of it: all that no table holds will go there. */
static void begin_anew(struct wal *w)
{
	for (size_t i = 0; i < w->seg_count && !w->segs[i]->live && i + 1 < w->seg_count; i++)
		w->segs[i]->replicated = w->segs[i]->durable_end;
}

static rc_t find_end(struct wal *w, uint64_t clean_next, struct err *reterr)
{
	struct replica *rep = &w->rep;
	AUTO_BUF struct buf b;
	struct wal_object o;
	uint64_t first, whole, last;
	buf_init(&b, WAL_OBJECT_HEAD + WAL_OBJECT_CHUNK);
	rc_t rc = w->opt.replica->range(w->opt.replica_ctx, w->id, &first, &whole, &last, reterr);
	if (rc == RC_NOT_FOUND) {
		rep->next = rep->exists_from = rep->low_said = clean_next ? clean_next : 1;
		rep->sure = rep->next - 1;
		begin_anew(w);
		return RC_OK;
	}
	TRY(rc);
	TRY(w->opt.replica->get(w->opt.replica_ctx, w->id, last, &b, reterr));
	TRY(wal_object_parse(buf_slice(&b), &o, reterr));
	if (o.kind == WAL_OBJECT_SEAL)
		return not_ours(w, "another server took it over", reterr);
	if (last < clean_next) { /* removed at the last end, and there again: a folder's names may come back after a power cut */
		rep->next = rep->low_said = clean_next;
		rep->sure = rep->next - 1;
		rep->exists_from = first;
		begin_anew(w);
		return RC_OK;
	}
	if (whole > o.low)
		return not_ours(w, "some of its objects in the store are missing", reterr);
	TRY(compare(w, &o, reterr));
	rep->owner_before = o.owner;
	rep->next = last + 1;
	rep->sure = o.sure; /* the others are seen, and durable with our first */
	rep->exists_from = first;
	rep->low_said = o.low;
	ARRAY_ROOM(rep->places, rep->place_count, rep->place_cap);
	rep->places[rep->place_count++] = (struct place){ o.low, o.segment, o.offset + o.bytes.len }; /* all that are there, as if they were one */
	return RC_OK;
}

rc_t replica_begin(struct wal *w, struct err *reterr)
{
	struct replica *rep = &w->rep;
	uint64_t clean_next;
	bool there;
	if (w->readonly)
		return RC_OK;
	TRY(state_read(w, &clean_next, &there, reterr));
	if (!w->opt.replica)
		return there && !clean_next ? err_set(reterr, RC_UNSUPPORTED, "the log in %s was written with `ack: store` and not closed in order: start it "
						       "that way once more, and stop it", w->opt.dir)
					    : RC_OK;
	if (w->side_files)
		return err_set(reterr, RC_UNSUPPORTED, "the log in %s has side files of collections that cannot be committed, which `ack: store` does not put into "
			       "the store: start it with `ack: disk` until they are committed", w->opt.dir);
	buf_init(&rep->object, OBJECT_ROOM);
	random_bytes(&rep->owner, sizeof rep->owner);
	rep->stats.on = true;
	TRY(find_end(w, clean_next, reterr));
	TRY(state_write(w, 0, reterr));
	rep->begun = true;
	/* A late put of the process before us ends where this segment begins. Its header is the first object: what the disk alone has goes before it. */
	if (!w->rec.made)
		TRY(recover_new_segment(w, reterr));
	rep->open_from = rep->next;
	TRY(replica_put(w, active(w), SEG_DATA, reterr));
	rep->open_from = rep->next;
	return RC_OK;
}

/* ---- the end, and what is not needed ---- */

static rc_t remove_below(struct wal *w, uint64_t number, int64_t until, struct err *reterr)
{
	struct replica *rep = &w->rep;
	while (rep->exists_from < number) {
		TRY(w->opt.replica->remove(w->opt.replica_ctx, w->id, rep->exists_from, reterr));
		fault_point("replica.removed");
		pthread_mutex_lock(&w->lock);
		rep->exists_from++;
		rep->stats.removed++;
		pthread_mutex_unlock(&w->lock);
		if (rep->exists_from < number && clock_mono_us() >= until)
			return RC_AGAIN;
	}
	return RC_OK;
}

rc_t replica_end(struct wal *w, struct err *reterr)
{
	if (!w->opt.replica || w->readonly || w->failed || low_locked(w) < w->rep.next)
		return RC_OK; /* what no table holds stays */
	TRY(state_write(w, w->rep.next, reterr));
	return remove_below(w, w->rep.next, INT64_MAX, reterr);
}

static bool has_to_speak(const struct wal *w, uint64_t low, int64_t beat_us)
{
	const struct replica *rep = &w->rep;
	int64_t silent = clock_mono_us() - rep->last_put;
	if (w->failed || rep->fenced || w->closing || w->groups[w->cur].work)
		return false;
	if (rep->rest)
		return silent >= REST_BEAT_US;
	return silent >= beat_us || (low > rep->low_said && silent >= QUIET_US);
}

/* An object without records. */
static rc_t speak_locked(struct wal *w, int64_t beat_us, struct err *reterr)
{
	become_flusher_locked(w);
	struct segment *s = active(w);
	rc_t rc = RC_OK;
	struct err error = { 0 };
	if (s->created && s->replicated == s->durable_end && has_to_speak(w, low_locked(w), beat_us)) {
		pthread_mutex_unlock(&w->lock);
		rc = put_bytes(w, s, s->durable_end, s->durable_end, s->durable_end, &error);
		pthread_mutex_lock(&w->lock);
		if (rc == RC_OK)
			replica_settled_locked(w);
	}
	resign_flusher_locked(w);
	kick_locked(w);
	if (rc != RC_OK && reterr)
		*reterr = error;
	return rc;
}

rc_t wal_replica_tick(struct wal *w, int64_t beat_us, struct err *reterr)
{
	struct replica *rep = &w->rep;
	rc_t rc = RC_OK;
	int64_t start = clock_mono_us();
	if (!w->opt.replica)
		return RC_OK;
	pthread_mutex_lock(&w->lock);
	if (w->failed && !rep->fenced && w->pending_bytes && clock_mono_us() - w->failed_at >= REOPEN_EVERY_US) /* or it would look dead */
		rc = reopen_locked(w, reterr);
	if (has_to_speak(w, low_locked(w), beat_us))
		rc = speak_locked(w, beat_us, reterr);
	bool lost = rep->fenced;
	uint64_t low = rep->low_said;
	pthread_mutex_unlock(&w->lock);
	if (lost)
		return fenced(w, "another server", reterr);
	TRY(rc);
	return remove_below(w, low, start + beat_us / 2, reterr);
}

void wal_replica_stats(struct wal *w, struct wal_replica_stats *ret)
{
	pthread_mutex_lock(&w->lock);
	*ret = w->rep.stats;
	ret->fenced = w->rep.fenced;
	ret->kept = w->rep.next > w->rep.exists_from ? w->rep.next - w->rep.exists_from : 0;
	pthread_mutex_unlock(&w->lock);
}
