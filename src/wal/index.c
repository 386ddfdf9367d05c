/* What is pending, a collection: runs of bytes ("extents") with its uncommitted records, so that one collection is read without scanning
 * all. Normally an extent spans at most 1 MiB with gaps of at most 64 KiB; with too many of them neighbours are merged and both sizes
 * double, so that memory is bounded and reading merely skips more. */
#include "wal/wal_internal.h"

#include "os/file.h"

#define EXTENT_BYTES ((uint64_t)1 << 20)
#define EXTENT_GAP ((uint64_t)64 << 10)
#define COARSE_MAX 14

struct collection *index_collection(struct wal *w, struct slice name, bool make)
{
	uintptr_t *p = map_get(&w->collections, name);
	if (p || !make)
		return p ? (struct collection *)*p : NULL;
	struct collection *c = NEW(struct collection);
	c->name = slice_str(mem_printf("%.*s", SLICE_ARG(name)));
	buf_init(&c->plan, WAL_PLAN_MAX + 1);
	*map_put(&w->collections, name, NULL) = (uintptr_t)c;
	return c;
}

static void collection_free(struct collection *c)
{
	free((void *)(uintptr_t)c->name.data);
	free(c->ext);
	for (size_t i = 0; i < c->side_count; i++)
		segment_free(c->sides[i]);
	free(c->sides);
	buf_free(&c->plan);
	free(c);
}

void index_free(struct wal *w)
{
	for (struct map_entry *e = NULL; (e = map_next(&w->collections, e));)
		collection_free((struct collection *)e->value);
	map_free(&w->collections);
}

void index_sweep(struct wal *w)
{
	struct arena arena;
	arena_init(&arena);
	struct slice *dead = arena_alloc(&arena, w->collections.count * sizeof(*dead));
	size_t n = 0;
	for (struct map_entry *e = NULL; (e = map_next(&w->collections, e));) {
		struct collection *c = (struct collection *)e->value;
		if (c->head < c->n || c->has_cut || c->inflight || c->busy || c->cutting || c->stuck || c->moving || c->side_count)
			continue;
		dead[n++] = arena_copy(&arena, c->name);
		collection_free(c);
	}
	for (size_t i = 0; i < n; i++)
		map_remove(&w->collections, dead[i]);
	arena_free(&arena);
}

static void extent_join(struct extent *a, const struct extent *b)
{
	a->last = b->last;
	a->events += b->events;
	a->bytes += b->bytes;
	a->end = b->end;
	if (b->oldest < a->oldest)
		a->oldest = b->oldest;
}

/* Halves the number of extents where neighbours share a segment. */
static void coarsen(struct wal *w)
{
	if (w->coarse < COARSE_MAX)
		w->coarse++;
	for (struct map_entry *e = NULL; (e = map_next(&w->collections, e));) {
		struct collection *c = (struct collection *)e->value;
		size_t out = 0;
		bool joined = true; /* the first one is never joined to a predecessor */
		for (size_t i = c->head; i < c->n; i++) {
			if (!joined && c->ext[out - 1].seg == c->ext[i].seg) {
				extent_join(&c->ext[out - 1], &c->ext[i]);
				c->ext[i].seg->live--;
				w->extents--;
				joined = true;
			} else {
				c->ext[out++] = c->ext[i];
				joined = false;
			}
		}
		c->head = 0;
		c->n = out;
	}
}

static void extent_push(struct wal *w, struct collection *c, const struct extent *x)
{
	if (c->n == c->cap && c->head > c->cap / 2) {
		memmove(c->ext, c->ext + c->head, (c->n - c->head) * sizeof(*c->ext));
		c->n -= c->head;
		c->head = 0;
	}
	ARRAY_ROOM(c->ext, c->n, c->cap);
	c->ext[c->n++] = *x;
	x->seg->live++;
	w->extents++;
	if (w->extents > w->opt.index_max)
		coarsen(w);
}

static void count_up(struct wal *w, struct collection *c, const struct extent *x)
{
	c->events += x->events;
	c->bytes += x->bytes;
	c->side_bytes += x->seg->aside ? x->bytes : 0;
	w->pending_bytes += x->bytes;
}

static void count_down(struct wal *w, struct collection *c, const struct extent *x)
{
	c->events -= x->events;
	c->bytes -= x->bytes;
	c->side_bytes -= x->seg->aside ? x->bytes : 0;
	w->pending_bytes -= x->bytes;
}

void index_add(struct wal *w, struct collection *c, struct segment *seg, uint64_t offset, uint64_t size, uint64_t first, uint32_t count,
	       int64_t received)
{
	struct extent x = { .first = first, .last = first + count - 1, .events = count, .bytes = size, .oldest = received, .seg = seg,
			    .start = (uint32_t)offset, .end = (uint32_t)(offset + size) };
	if (x.last <= c->committed) /* recovery: the commit was told of before */
		return;
	count_up(w, c, &x);
	struct extent *last = c->n > c->head ? &c->ext[c->n - 1] : NULL;
	if (last && !c->closed && last->seg == seg && offset - last->end <= EXTENT_GAP << w->coarse &&
	    offset + size - last->start <= EXTENT_BYTES << w->coarse) {
		extent_join(last, &x);
		return;
	}
	c->closed = false;
	extent_push(w, c, &x);
}

bool index_commit(struct wal *w, struct collection *c, uint64_t position)
{
	if (position > c->committed)
		c->committed = position;
	while (c->head < c->n && c->ext[c->head].last <= position) {
		struct extent *x = &c->ext[c->head++];
		count_down(w, c, x);
		x->seg->live--;
		w->extents--;
	}
	if (w->extents < w->opt.index_max / 4)
		w->coarse = 0;
	if (c->has_cut && c->cut_upto <= position) {
		c->has_cut = false;
		index_cut_left(w, c->cut_seq);
		buf_free(&c->plan);
		buf_init(&c->plan, WAL_PLAN_MAX + 1);
	}
	return c->head < c->n && c->ext[c->head].first <= position;
}

void index_cut_left(struct wal *w, uint64_t seq)
{
	struct segment *s = segment_by_seq(w, seq);
	if (s && s->cuts)
		s->cuts--;
}

void index_cut_moved(struct wal *w, struct collection *c, uint64_t seq)
{
	if (c->has_cut)
		index_cut_left(w, c->cut_seq);
	c->cut_seq = seq;
}

/* The segment counts it already. */
void index_cut(struct wal *w, struct collection *c, uint64_t after, uint64_t upto, struct slice plan, uint64_t seq)
{
	index_cut_moved(w, c, seq);
	c->has_cut = upto > c->committed;
	if (!c->has_cut)
		index_cut_left(w, seq);
	c->cut_after = after;
	c->cut_upto = upto;
	buf_reset(&c->plan);
	buf_append_slice(&c->plan, plan);
}

/* What of the extent lies after `position`. A record that straddles it counts by its share. */
static rc_t read_rest(const struct wal *w, const struct extent *x, const struct segment *seg, struct slice name, uint64_t position, struct extent *ret,
		      struct err *reterr)
{
	struct extent rest = { .seg = x->seg, .first = 0, .last = x->last, .end = x->end };
	struct window win;
	int fd;
	TRY(file_open(seg->path, FILE_READ, &fd, reterr));
	window_init(&win, fd, seg->path);
	rc_t rc = RC_OK;
	for (uint64_t off = x->start; off < x->end && rc == RC_OK;) {
		struct rec_head r;
		enum rec_state state;
		rc = rec_read_head(&win, &seg->h, off, x->end, &r, &state, reterr);
		if (rc == RC_OK && state != REC_VALID && damage_covers(w, seg, off)) {
			rc = rec_find(&win, &seg->h, off + 8, x->end, 0, &off, reterr); /* salvage left a hole */
			continue;
		}
		if (rc == RC_OK && state != REC_VALID)
			rc = err_set(reterr, RC_CORRUPT, "%s: the record at byte %llu is not what was written", seg->path, (unsigned long long)off);
		if (rc != RC_OK)
			break;
		off += r.size;
		if (r.type != WAL_EVENTS || r.first + r.count - 1 <= position || !slice_eq(name, slice_of(r.name, r.name_len)))
			continue;
		if (!rest.first) {
			rest.first = r.first > position ? r.first : position + 1;
			rest.start = (uint32_t)r.offset;
			rest.oldest = r.received;
		}
		uint64_t n = r.first > position ? r.count : r.first + r.count - 1 - position;
		rest.events += n;
		rest.bytes += r.size * n / r.count;
		if (r.received < rest.oldest)
			rest.oldest = r.received;
	}
	window_free(&win);
	file_close(fd);
	if (rc != RC_OK && rc != RC_NOT_FOUND)
		return rc;
	if (!rest.first)
		return err_set(reterr, RC_NOT_FOUND, "nothing after position %llu", (unsigned long long)position);
	*ret = rest;
	return RC_OK;
}

void index_split_locked(struct wal *w, struct collection *c)
{
	if (c->head == c->n || c->ext[c->head].first > c->committed)
		return;
	struct extent before = c->ext[c->head], rest;
	struct slice name = c->name;
	uint64_t position = c->committed;
	c->closed = true; /* so that it does not grow meanwhile */
	c->busy++;
	before.seg->pins++;
	pthread_mutex_unlock(&w->lock);
	rc_t rc = read_rest(w, &before, before.seg, name, position, &rest, NULL);
	pthread_mutex_lock(&w->lock);
	before.seg->pins--;
	c->busy--;
	struct extent *x = c->head < c->n ? &c->ext[c->head] : NULL;
	/* Changed meanwhile, or unreadable: the whole extent counts until it is passed, which is never too little. */
	if (rc != RC_OK || !x || x->first != before.first || x->last != before.last || x->seg != before.seg || x->start != before.start)
		return;
	count_down(w, c, x);
	*x = rest;
	count_up(w, c, x);
}

void index_replace_locked(struct wal *w, struct collection *c, size_t at, size_t old, const struct extent *by, size_t count)
{
	for (size_t i = at; i < at + old; i++) {
		count_down(w, c, &c->ext[i]);
		c->ext[i].seg->live--;
	}
	if (c->n + count - old > c->cap) {
		c->cap = 2 * (c->n + count - old);
		c->ext = mem_realloc(c->ext, c->cap * sizeof *c->ext);
	}
	if (c->n > at + old)
		memmove(c->ext + at + count, c->ext + at + old, (c->n - at - old) * sizeof *c->ext);
	if (count)
		memcpy(c->ext + at, by, count * sizeof *by);
	c->n += count - old;
	w->extents += count - old;
	for (size_t i = at; i < at + count; i++) {
		count_up(w, c, &c->ext[i]);
		c->ext[i].seg->live++;
	}
}

/* --- the front door's questions --- */

static void fill_pending(const struct collection *c, struct wal_pending *ret)
{
	*ret = (struct wal_pending){ .committed = c->committed };
	if (c->head == c->n)
		return;
	const struct extent *x = &c->ext[c->head];
	ret->events = c->events;
	ret->bytes = c->bytes;
	ret->aside = c->side_bytes;
	ret->first = x->first > c->committed ? x->first : c->committed + 1;
	ret->last = c->ext[c->n - 1].last;
	ret->oldest = x->oldest;
}

void wal_pending(struct wal *w, struct slice collection, struct wal_pending *ret)
{
	*ret = (struct wal_pending){ 0 };
	pthread_mutex_lock(&w->lock);
	struct collection *c = index_collection(w, collection, false);
	if (c)
		fill_pending(c, ret);
	pthread_mutex_unlock(&w->lock);
}

rc_t wal_collections(struct wal *w, rc_t (*each)(void *ctx, struct slice collection, const struct wal_pending *p), void *ctx)
{
	struct arena arena;
	struct {
		struct slice name;
		struct wal_pending pending;
	} *list;
	size_t n = 0;
	rc_t rc = RC_OK;
	arena_init(&arena);
	pthread_mutex_lock(&w->lock);
	list = arena_alloc(&arena, (w->collections.count + 1) * sizeof(*list));
	for (struct map_entry *e = NULL; (e = map_next(&w->collections, e));) {
		const struct collection *c = (const struct collection *)e->value;
		if (c->head == c->n && !c->has_cut)
			continue;
		list[n].name = arena_copy(&arena, c->name);
		fill_pending(c, &list[n++].pending);
	}
	pthread_mutex_unlock(&w->lock);
	for (size_t i = 0; i < n && rc == RC_OK; i++)
		rc = each(ctx, list[i].name, &list[i].pending);
	arena_free(&arena);
	return rc;
}

rc_t index_log_cut_locked(struct wal *w, struct collection *c, struct slice body, uint64_t *ret_seq, struct err *reterr)
{
	uint64_t ticket;
	TRY(append_control_locked(w, WAL_CUT, c->name, body, &ticket, reterr));
	uint64_t seq = active(w)->h.seq;
	active(w)->cuts++; /* at once: it must not be trimmed before somebody wakes up here */
	rc_t rc = wait_settled_locked(w, ticket, reterr);
	if (rc == RC_OK)
		*ret_seq = seq;
	else
		index_cut_left(w, seq);
	return rc;
}

rc_t wal_cut(struct wal *w, struct slice collection, uint64_t after, uint64_t upto, struct slice plan, struct err *reterr)
{
	if (!collection_name_valid(collection) || plan.len > WAL_PLAN_MAX || upto <= after)
		return err_set(reterr, RC_INVALID, "a cut of %.*s after %llu up to %llu with %zu bytes of plan makes no sense",
			       SLICE_ARG(collection), (unsigned long long)after, (unsigned long long)upto, plan.len);
	struct buf body;
	uint64_t seq;
	buf_init(&body, BUF_MAX_DEFAULT);
	buf_u64(&body, after);
	buf_u64(&body, upto);
	buf_append_slice(&body, plan);
	pthread_mutex_lock(&w->lock);
	rc_t rc = upto < w->durable_next ? RC_OK : err_set(reterr, RC_INVALID, "position %llu is not durable", (unsigned long long)upto);
	struct collection *c = rc == RC_OK ? index_collection(w, collection, true) : NULL;
	if (c) {
		c->cutting++;
		rc = index_log_cut_locked(w, c, buf_slice(&body), &seq, reterr);
		c->cutting--;
	}
	if (rc == RC_OK)
		index_cut(w, c, after, upto, plan, seq);
	pthread_mutex_unlock(&w->lock);
	buf_free(&body);
	return rc;
}

rc_t wal_cut_get(struct wal *w, struct slice collection, uint64_t *ret_after, uint64_t *ret_upto, struct buf *plan, struct err *reterr)
{
	pthread_mutex_lock(&w->lock);
	struct collection *c = index_collection(w, collection, false);
	rc_t rc = RC_OK;
	if (c && c->has_cut) {
		*ret_after = c->cut_after;
		*ret_upto = c->cut_upto;
		buf_append_slice(plan, buf_slice(&c->plan));
	} else {
		rc = err_set(reterr, RC_NOT_FOUND, "no cut of %.*s is open", SLICE_ARG(collection));
	}
	pthread_mutex_unlock(&w->lock);
	return rc;
}

/* In memory: position is not needed any more. */
static void forget_locked(struct wal *w, struct collection *c, uint64_t position)
{
	if (index_commit(w, c, position))
		index_split_locked(w, c);
	aside_retire_locked(w, c);
	cur_group(w)->work = true; /* the flusher trims behind a group, even an empty one */
	if (w->failed)
		w->failed_at = 0; /* a full disk may have a segment for reuse now: the next append tries */
	kick_locked(w);
}

rc_t wal_committed(struct wal *w, struct slice collection, uint64_t position, struct err *reterr)
{
	uint64_t ticket;
	if (w->readonly)
		return err_set(reterr, RC_UNSUPPORTED, "the log in %s is open for reading only", w->opt.dir);
	if (!collection_name_valid(collection))
		return err_set(reterr, RC_INVALID, "'%.*s' is not a collection name", SLICE_ARG(collection));
	pthread_mutex_lock(&w->lock);
	if (position >= w->durable_next)
		position = w->durable_next - 1; /* a table ahead of its log: wal_skip_to is for that */
	struct collection *c = index_collection(w, collection, false);
	if (c && position > c->committed) {
		/* If the log cannot take it now: the table knows, and tells us again after a restart. */
		append_control_locked(w, WAL_COMMITTED, collection, slice_of(&position, 8), &ticket, NULL);
		forget_locked(w, c, position);
	}
	pthread_mutex_unlock(&w->lock);
	return RC_OK;
}

rc_t wal_drop(struct wal *w, struct slice collection, struct err *reterr)
{
	uint64_t ticket, upto, keys;
	if (!collection_name_valid(collection))
		return err_set(reterr, RC_INVALID, "'%.*s' is not a collection name", SLICE_ARG(collection));
	pthread_mutex_lock(&w->lock);
	upto = w->next_position - 1;
	keys = w->keys.tail;
	w->dropping++; /* the word that its events and keys are void must not go before they do, nor keys be copied behind it */
	rc_t rc = append_control_locked(w, WAL_DROP, collection, slice_of(&upto, 8), &ticket, reterr);
	if (rc == RC_OK) { /* what comes behind it in the log finds them gone: if it fails, that does, too */
		w->drops++;
		keys_hide_locked(w, collection, keys);
		rc = wait_settled_locked(w, ticket, reterr);
		keys_hidden_locked(w, collection, keys, rc == RC_OK);
	}
	struct collection *c = rc == RC_OK ? index_collection(w, collection, false) : NULL;
	w->dropping--;
	if (c) {
		aside_mark_locked(w, c, false);
		forget_locked(w, c, upto);
	}
	cur_group(w)->work = true; /* what was to be trimmed or moved meanwhile */
	kick_locked(w);
	aside_wake_locked(w);
	pthread_mutex_unlock(&w->lock);
	return rc;
}
