/* Appending: a record is put together and checksummed outside the lock, gets its place under it, and is copied into the group's buffer
 * (small) or written to the file by the appender itself (from DIRECT_MIN on). */
#include "wal/wal_internal.h"

#include "base/fault.h"
#include "os/clock.h"
#include "os/file.h"

#define CONTROL_ROOM 4096u

typedef void (*piece_fn)(void *ctx, struct slice piece);

static void each_piece(const struct wal_events *e, uint32_t flags, piece_fn fn, void *ctx)
{
	for (size_t i = 0; i < e->count; i++)
		fn(ctx, e->events[i].payload);
	if (flags & EVENTS_IDS)
		for (size_t i = 0; i < e->count; i++)
			fn(ctx, e->events[i].id);
	if (flags & EVENTS_KEYS)
		for (size_t i = 0; i < e->count; i++)
			fn(ctx, e->events[i].key);
	if (flags & EVENTS_REASONS)
		for (size_t i = 0; i < e->count; i++)
			fn(ctx, e->events[i].reason);
}

struct survey {
	uint32_t flags;
	uint64_t body_len;
};

static void survey_events(const struct wal_events *e, struct survey *ret)
{
	uint32_t kind = e->count ? (uint32_t)e->events[0].kind : 0, flags = kind & 3;
	uint64_t sum = 0, n = e->count;
	for (size_t i = 0; i < e->count; i++) {
		const struct event *v = &e->events[i];
		sum += v->payload.len + v->id.len + v->key.len + v->reason.len;
		flags |= v->id.len ? EVENTS_IDS : 0;
		flags |= v->key.len ? EVENTS_KEYS : 0;
		flags |= v->reason.len ? EVENTS_REASONS : 0;
		flags |= (uint32_t)v->kind != kind ? EVENTS_KINDS : 0;
	}
	uint64_t columns = 1 + !!(flags & EVENTS_IDS) + !!(flags & EVENTS_KEYS) + !!(flags & EVENTS_REASONS);
	ret->flags = flags;
	ret->body_len = EVENTS_SUB + e->meta.len + e->request_key.len + (e->request_key.len ? e->reply.len : 0) + columns * 4 * n +
			(flags & EVENTS_KINDS ? n : 0) + sum;
}

static void append_piece(void *ctx, struct slice piece)
{
	buf_append_slice(ctx, piece);
}

static void crc_piece(void *ctx, struct slice piece)
{
	uint32_t *crc = ctx;
	*crc = crc32c(*crc, piece.data, piece.len);
}

static void pad_buf(struct buf *b, uint64_t len)
{
	static const uint8_t zeros[8];
	buf_append(b, zeros, pad8(len) - len);
}

/* The body's beginning: everything before the payloads. */
static void put_tables(struct buf *b, const struct wal_events *e, uint32_t flags)
{
	uint32_t reply_len = e->request_key.len ? (uint32_t)e->reply.len : 0;
	buf_u32(b, flags);
	buf_u32(b, (uint32_t)e->meta.len);
	buf_u32(b, (uint32_t)e->request_key.len);
	buf_u32(b, reply_len);
	buf_append(b, &e->body_hash, 16);
	buf_append_slice(b, e->meta);
	buf_append_slice(b, e->request_key);
	buf_append(b, e->reply.data, reply_len);
	for (size_t i = 0; i < e->count; i++)
		buf_u32(b, (uint32_t)e->events[i].payload.len);
	if (flags & EVENTS_IDS)
		for (size_t i = 0; i < e->count; i++)
			buf_u32(b, (uint32_t)e->events[i].id.len);
	if (flags & EVENTS_KEYS)
		for (size_t i = 0; i < e->count; i++)
			buf_u32(b, (uint32_t)e->events[i].key.len);
	if (flags & EVENTS_REASONS)
		for (size_t i = 0; i < e->count; i++)
			buf_u32(b, (uint32_t)e->events[i].reason.len);
	if (flags & EVENTS_KINDS)
		for (size_t i = 0; i < e->count; i++)
			buf_byte(b, (uint8_t)e->events[i].kind);
}

static void draft_events(struct draft *d, const struct wal_events *e, const struct survey *survey)
{
	*d = (struct draft){ .type = WAL_EVENTS, .count = (uint32_t)e->count, .received = e->received, .name = e->collection,
			     .flags = (e->request_key.len ? REC_FLAG_KEY : 0) | (e->unique_ids && survey->flags & EVENTS_IDS ? REC_FLAG_IDS : 0),
			     .body_len = survey->body_len };
	bool big = rec_size((uint16_t)e->collection.len, d->body_len) >= DIRECT_MIN;
	buf_init(&d->bytes, BUF_MAX_DEFAULT);
	buf_reserve(&d->bytes, big ? EVENTS_SUB + 21 * e->count + e->meta.len : pad8(d->body_len));
	put_tables(&d->bytes, e, survey->flags);
	if (big) {
		static const uint8_t zeros[8];
		d->events = e;
		d->body_crc = crc32c(0, d->bytes.data, d->bytes.len);
		each_piece(e, survey->flags, crc_piece, &d->body_crc);
		d->body_crc = crc32c(d->body_crc, zeros, pad8(d->body_len) - d->body_len);
		return;
	}
	each_piece(e, survey->flags, append_piece, &d->bytes);
	pad_buf(&d->bytes, d->body_len);
	d->body_crc = crc32c(0, d->bytes.data, d->bytes.len);
}

/* --- places --- */

rc_t check_open_locked(struct wal *w, struct err *reterr)
{
	if (w->readonly)
		return err_set(reterr, RC_UNSUPPORTED, "the log in %s is open for reading only", w->opt.dir);
	if (w->rep.fenced && !w->failed) {
		err_set(reterr, RC_IO, "the log %s was taken over by another server: this one has to be started again", w->id);
		if (reterr)
			reterr->status = 503;
		return RC_IO;
	}
	bool space = w->error.rc == RC_LIMIT && (!w->failed_at || w->spare_count);
	if (w->failed && !w->flushing && !w->rep.fenced && (space || clock_mono_us() - w->failed_at >= REOPEN_EVERY_US)) {
		w->rep.reopen = w->opt.replica && !w->opt.manual_sync;
		if (w->rep.reopen)
			kick_locked(w);
		else
			reopen_locked(w, NULL);
	}
	if (w->failed) {
		if (reterr)
			*reterr = w->error;
		return w->error.rc;
	}
	return RC_OK;
}

/* The reserve is not for events. It is over when there is another: trimmed segments, or space for a new one. What the last segment has beyond it is
 * theirs, too. */
static rc_t check_scarce_locked(struct wal *w, uint64_t size, struct err *reterr)
{
	const struct segment *s = active(w);
	if (w->scarce && !w->failed && s->append_end + size + s->h.step <= s->disk_bytes)
		return RC_OK;
	for (int i = 0; i < 2 && w->scarce && !w->spare_count; i++) /* a commit, and then the trim that it allows, may be on their way */
		wait_settled_locked(w, w->last_ticket, NULL);
	if (w->scarce && !w->spare_count && !w->flushing && clock_mono_us() - w->reserve_at >= REOPEN_EVERY_US) {
		become_flusher_locked(w);
		pthread_mutex_unlock(&w->lock);
		reserve_make(w);
		pthread_mutex_lock(&w->lock);
		resign_flusher_locked(w);
	}
	if (w->spare_count)
		w->scarce = false;
	if (!w->scarce && !w->failed)
		return RC_OK;
	if (reterr)
		*reterr = w->failed ? w->error : w->scarce_error;
	return w->failed ? w->error.rc : RC_LIMIT;
}

static rc_t limit_error(struct err *reterr, int status, bool retryable)
{
	if (reterr) {
		reterr->status = status;
		reterr->retryable = retryable;
	}
	return RC_LIMIT;
}

rc_t rotate_locked(struct wal *w, uint64_t need, uint64_t flags, unsigned beyond, struct err *reterr)
{
	/* A TRIM record may get in before the record that the room is for, and while its file is made, events of others. */
	uint64_t least = SEG_DATA + need + (beyond || need <= w->opt.segment_bytes / 4 ? CONTROL_ROOM : w->opt.segment_bytes / 2);
	uint64_t capacity = least > w->opt.segment_bytes ? least : w->opt.segment_bytes;
	/* Control records have room in any case, also when starts over a full log have made segments beyond it: commits and trims free the rest. */
	uint64_t cap = !beyond ? w->opt.max_bytes : (w->opt.max_bytes > w->start_bytes ? w->opt.max_bytes : w->start_bytes) + beyond * capacity;
	/* What lets the front segment go (its young keys copied, side files named anew) may need one; and as many bytes go then. */
	if (beyond && w->seg_count > 1 && !w->segs[0]->live && !w->segs[0]->pins)
		cap += w->segs[0]->capacity;
	if (segments_bytes_locked(w) + capacity > cap) {
		if (!beyond || !w->flushing)
			trim_for_room_locked(w);
		err_set(reterr, RC_LIMIT, "the log in %s is full (%llu bytes): wait until tables have taken its events, or raise its cap",
			w->opt.dir, (unsigned long long)w->opt.max_bytes);
		return limit_error(reterr, 503, true);
	}
	struct segment *last = active(w), *s = segment_new(w, ++w->last_seq);
	s->capacity = capacity;
	s->h.first = w->next_position;
	s->h.prev_seq = last ? last->h.seq : 0;
	s->h.prev_end = last ? last->append_end : 0;
	s->h.oldest = w->oldest;
	s->h.flags = flags;
	segment_push(w, s);
	cur_group(w)->work = true;
	w->stats.rotations++;
	return RC_OK;
}

static void fly_locked(struct wal *w, const struct draft *d, struct segment *s, uint64_t size, struct rec_head *ret_head,
		       uint64_t *ret_ticket)
{
	struct group *g = cur_group(w);
	struct collection *c = d->name.len && d->type == WAL_EVENTS ? index_collection(w, d->name, true) : NULL;
	*ret_head = (struct rec_head){ .first = w->next_position, .count = d->count, .type = d->type, .name_len = (uint16_t)d->name.len,
				       .body_len = (uint32_t)d->body_len, .body_crc = d->body_crc, .received = d->received,
				       .durable = s->durable_end, .flags = d->flags, .offset = s->append_end };
	if (d->name.len)
		memcpy(ret_head->name, d->name.data, d->name.len);
	ARRAY_ROOM(g->flights, g->flight_count, g->flight_cap);
	g->flights[g->flight_count++] = (struct flight){ .seg = s, .coll = c, .first = w->next_position, .size = size,
							 .received = d->received, .offset = (uint32_t)s->append_end,
							 .count = d->count, .type = d->type, .ticket = ++w->last_ticket };
	if (c)
		c->inflight += size;
	s->append_end += size;
	w->next_position += d->count;
	g->work = true;
	w->stats.appends++;
	w->stats.events += d->count;
	w->stats.appended_bytes += size;
	*ret_ticket = w->last_ticket;
}

/* Copies the draft into the group's buffer; the active segment has room. */
static void put_small_locked(struct wal *w, const struct draft *d, uint64_t *ret_offset, uint64_t *ret_ticket)
{
	struct group *g = cur_group(w);
	struct segment *s = active(w);
	struct rec_head head;
	uint64_t size = rec_size((uint16_t)d->name.len, d->body_len);
	fly_locked(w, d, s, size, &head, ret_ticket);
	struct run *last = g->run_count ? &g->runs[g->run_count - 1] : NULL;
	if (!last || last->seg != s || last->offset + last->len != head.offset) {
		ARRAY_ROOM(g->runs, g->run_count, g->run_cap);
		last = &g->runs[g->run_count++];
		*last = (struct run){ .seg = s, .offset = head.offset, .from = g->bytes.len };
	}
	last->len += size;
	buf_reserve(&g->bytes, size);
	rec_head_write(&s->h, &head, g->bytes.data + g->bytes.len);
	g->bytes.len += REC_HEAD + pad8(d->name.len);
	buf_append_slice(&g->bytes, buf_slice(&d->bytes));
	*ret_offset = head.offset;
}

rc_t append_control_locked(struct wal *w, uint16_t type, struct slice collection, struct slice body, uint64_t *ret_ticket,
			   struct err *reterr)
{
	TRY(check_open_locked(w, reterr));
	uint64_t size = rec_size((uint16_t)collection.len, body.len), offset;
	if (active(w)->append_end + size > active(w)->capacity)
		TRY(rotate_locked(w, size, 0, type == WAL_KEYS ? BEYOND_KEYS : BEYOND_CONTROL, reterr));
	struct draft d = { .type = type, .received = clock_wall_us(), .name = collection, .body_len = body.len };
	buf_init(&d.bytes, BUF_MAX_DEFAULT);
	buf_append_slice(&d.bytes, body);
	pad_buf(&d.bytes, body.len);
	d.body_crc = crc32c(0, d.bytes.data, d.bytes.len);
	put_small_locked(w, &d, &offset, ret_ticket);
	buf_free(&d.bytes);
	return RC_OK;
}

/* --- events --- */

static rc_t check_share_locked(struct wal *w, struct slice collection, uint64_t size, struct err *reterr)
{
	struct collection *c = index_collection(w, collection, false);
	if (!c && w->collections.count >= WAL_COLLECTIONS_MAX)
		index_sweep(w);
	if (!c && w->collections.count >= WAL_COLLECTIONS_MAX) {
		err_set(reterr, RC_LIMIT, "the log holds events of %d collections already: wait until some are committed",
			WAL_COLLECTIONS_MAX);
		return limit_error(reterr, 503, true);
	}
	if (c && c->bytes + c->inflight + size > w->opt.collection_max_bytes) {
		err_set(reterr, RC_LIMIT, "collection %.*s has %llu bytes in the log that its table has not taken yet (its share is %llu): "
			"send again later", SLICE_ARG(collection), (unsigned long long)(c->bytes + c->inflight),
			(unsigned long long)w->opt.collection_max_bytes);
		return limit_error(reterr, 429, true);
	}
	/* Only those that fill the side files: others need them for nothing. */
	if (c && c->stuck && w->side_disk + c->bytes - c->side_bytes + c->inflight + size > w->opt.aside_max_bytes) {
		err_set(reterr, RC_LIMIT, "collection %.*s cannot be committed, and the side files of all such collections have %llu bytes (%llu are "
			"allowed): send again later", SLICE_ARG(collection), (unsigned long long)w->side_disk,
			(unsigned long long)w->opt.aside_max_bytes);
		return limit_error(reterr, 429, true);
	}
	return RC_OK;
}

/* Waits until the buffer has room for one more small record. RC_AGAIN: it waited, so check everything again. */
static rc_t wait_room_locked(struct wal *w, uint64_t size)
{
	struct group *g = cur_group(w);
	if (g->bytes.len == 0 || g->bytes.len + size <= w->opt.write_buffer_bytes)
		return RC_OK;
	if (w->opt.manual_sync) {
		flush_once_locked(w);
	} else {
		kick_locked(w);
		pthread_cond_wait(&w->done, &w->lock);
	}
	return RC_AGAIN;
}

/* Waits until the active segment has a file and room, and nobody else writes there. */
static rc_t wait_file_locked(struct wal *w, uint64_t size, struct err *reterr)
{
	struct segment *s = active(w);
	bool room = s->append_end + size <= s->capacity;
	if (room && s->created && w->filling != s)
		return RC_OK;
	if (!room)
		TRY(rotate_locked(w, size, 0, 0, reterr));
	if (w->opt.manual_sync) {
		flush_once_locked(w);
	} else {
		kick_locked(w);
		pthread_cond_wait(&w->done, &w->lock);
	}
	return RC_AGAIN;
}

/* The keys that a record brings along, of all that count: its own and its events' ids. NULL: none. */
static struct hash128 *keys_of(const struct wal_events *e, uint32_t flags, size_t *ret_count)
{
	size_t n = 0, most = (flags & REC_FLAG_IDS ? e->count : 0) + 1;
	struct hash128 *keys = flags ? mem_alloc(most * sizeof *keys) : NULL;
	if (flags & REC_FLAG_KEY)
		keys[n++] = key_hash(KEY_REQUEST, e->collection, e->request_key);
	for (size_t i = 0; flags & REC_FLAG_IDS && i < e->count; i++)
		if (key_counts(e->events[i].id))
			keys[n++] = key_hash(KEY_EVENT, e->collection, e->events[i].id);
	*ret_count = n;
	return keys;
}

/* All that can refuse or delay the append; RC_OK with nothing unlocked since the last check. */
static rc_t prepare_locked(struct wal *w, const struct wal_events *e, const struct hash128 *keys, size_t key_count, uint64_t size, bool big,
			   struct err *reterr)
{
	for (;;) {
		TRY(check_open_locked(w, reterr));
		TRY(check_scarce_locked(w, size, reterr));
		TRY(check_share_locked(w, e->collection, size, reterr));
		if (key_count)
			keys_expire_locked(w, e->received);
		if (e->unique_ids) { /* from here on, a sync that takes the known ones back takes this record with them, and a drop drops it */
			rc_t rc = e->known.ticket ? ticket_status_locked(w, e->known.ticket, NULL) : RC_OK;
			if ((rc != RC_OK && rc != RC_AGAIN) || e->known.drops != w->drops)
				return err_set(reterr, RC_CONFLICT, "what was known when this was sent could not be kept, or was dropped");
		}
		for (size_t i = 0; i < key_count; i++)
			if (keys_has_locked(w, keys[i], e->received))
				return err_set(reterr, RC_CONFLICT, "this %s was used already", i || !e->request_key.len ? "id" : "idempotency key");
		rc_t rc = big ? wait_file_locked(w, size, reterr) : wait_room_locked(w, size);
		if (rc == RC_OK && !big && active(w)->append_end + size > active(w)->capacity)
			rc = rotate_locked(w, size, 0, 0, reterr);
		if (rc != RC_AGAIN)
			return rc;
	}
}

struct stage {
	struct segment *seg;
	uint64_t offset; /* of data[0] */
	struct buf buf;
	rc_t rc;
	struct err *reterr;
};
#define STAGE_BYTES ((size_t)256 << 10)
#define STAGE_PASS ((size_t)64 << 10) /* pieces from this size are written from where they are */

static void stage_write(struct stage *st, struct slice bytes)
{
	if (st->rc == RC_OK && bytes.len)
		st->rc = file_pwrite(st->seg->fd, st->seg->path, bytes.data, bytes.len, st->offset, st->reterr);
	st->offset += bytes.len;
}

static void stage_piece(void *ctx, struct slice piece)
{
	struct stage *st = ctx;
	if (st->buf.len + piece.len > STAGE_BYTES || piece.len >= STAGE_PASS) {
		stage_write(st, buf_slice(&st->buf));
		buf_reset(&st->buf);
	}
	if (piece.len >= STAGE_PASS)
		stage_write(st, piece);
	else
		buf_append_slice(&st->buf, piece);
}

static rc_t write_direct(struct segment *s, const struct rec_head *head, const struct draft *d, uint32_t flags, struct err *reterr)
{
	struct stage st = { .seg = s, .offset = head->offset, .reterr = reterr };
	uint8_t bytes[REC_HEAD + REC_NAME_MAX];
	static const uint8_t zeros[8];
	buf_init(&st.buf, STAGE_BYTES);
	rec_head_write(&s->h, head, bytes);
	stage_piece(&st, slice_of(bytes, REC_HEAD + pad8(head->name_len)));
	stage_piece(&st, buf_slice(&d->bytes));
	each_piece(d->events, flags, stage_piece, &st);
	stage_piece(&st, slice_of(zeros, pad8(d->body_len) - d->body_len));
	stage_write(&st, buf_slice(&st.buf));
	buf_free(&st.buf);
	return st.rc;
}

/* Reserves the place and writes the record; the group's flusher waits for us. */
static rc_t put_big_locked(struct wal *w, const struct draft *d, uint32_t flags, uint64_t *ret_offset, uint64_t *ret_ticket,
			   struct err *reterr)
{
	struct group *g = cur_group(w);
	struct segment *s = active(w);
	struct rec_head head;
	fly_locked(w, d, s, rec_size((uint16_t)d->name.len, d->body_len), &head, ret_ticket);
	*ret_offset = head.offset;
	g->direct++;
	pthread_mutex_unlock(&w->lock);
	struct err error = { 0 };
	rc_t rc = write_direct(s, &head, d, flags, &error);
	pthread_mutex_lock(&w->lock);
	g->direct--;
	if (rc != RC_OK && !g->failed) {
		g->failed = true;
		g->error = error;
	}
	if (rc != RC_OK && reterr)
		*reterr = error;
	pthread_cond_broadcast(&w->done);
	return rc;
}

static rc_t check_events(const struct wal_events *e, const struct survey *survey, struct err *reterr)
{
	if (!collection_name_valid(e->collection) || e->collection.len > REC_NAME_MAX)
		return err_set(reterr, RC_INVALID, "'%.*s' is not a collection name: use [a-z][a-z0-9_]*, at most 63 characters, no __",
			       SLICE_ARG(e->collection));
	if (e->count == 0)
		return err_set(reterr, RC_INVALID, "no events to append to %.*s", SLICE_ARG(e->collection));
	if (e->request_key.len > WAL_KEY_MAX || e->reply.len > WAL_REPLY_MAX)
		return err_set(reterr, RC_INVALID, "an idempotency key has at most %d bytes, this one %zu", WAL_KEY_MAX, e->request_key.len);
	if (e->count > WAL_RECORD_EVENTS_MAX || survey->body_len + REC_HEAD + REC_NAME_MAX > WAL_RECORD_MAX) {
		err_set(reterr, RC_LIMIT, "one request holds %zu events and %llu bytes; the log takes %llu events and %llu bytes: split it",
			e->count, (unsigned long long)survey->body_len, (unsigned long long)WAL_RECORD_EVENTS_MAX,
			(unsigned long long)WAL_RECORD_MAX);
		return limit_error(reterr, 413, false);
	}
	return RC_OK;
}

rc_t wal_append(struct wal *w, const struct wal_events *e, uint64_t *ret_first_position, uint64_t *ret_ticket, struct err *reterr)
{
	struct survey survey;
	struct draft d;
	survey_events(e, &survey);
	TRY(check_events(e, &survey, reterr));
	draft_events(&d, e, &survey);
	uint64_t size = rec_size((uint16_t)e->collection.len, d.body_len), offset = 0, ticket = 0;
	bool big = d.events != NULL;
	size_t key_count;
	AUTO_MEM struct hash128 *keys = keys_of(e, d.flags, &key_count);
	pthread_mutex_lock(&w->lock);
	rc_t rc = prepare_locked(w, e, keys, key_count, size, big, reterr);
	if (rc == RC_OK) {
		uint64_t first = w->next_position;
		for (size_t i = 0; i < key_count; i++)
			keys_insert_locked(w, keys[i], active(w)->h.seq, active(w)->append_end, e->received);
		if (big)
			rc = put_big_locked(w, &d, survey.flags, &offset, &ticket, reterr);
		else
			put_small_locked(w, &d, &offset, &ticket);
		kick_locked(w);
		if (rc == RC_OK) {
			*ret_first_position = first;
			*ret_ticket = ticket;
		}
	}
	pthread_mutex_unlock(&w->lock);
	buf_free(&d.bytes);
	fault_point("wal.append");
	return rc;
}

rc_t wal_check(struct wal *w, struct slice collection, uint64_t bytes, struct err *reterr)
{
	pthread_mutex_lock(&w->lock);
	rc_t rc = check_open_locked(w, reterr);
	if (rc == RC_OK)
		rc = check_scarce_locked(w, bytes, reterr);
	if (rc == RC_OK)
		rc = check_share_locked(w, collection, bytes, reterr);
	pthread_mutex_unlock(&w->lock);
	return rc;
}
