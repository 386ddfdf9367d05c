/* Reads a segment from end to end, checks every record, and tells what is not one. */
#include "wal/wal_internal.h"

void scan_free(struct scan *sc)
{
	window_free(&sc->win);
	free(sc->holes);
	sc->holes = NULL;
}

static struct wal_damage *hole_push(struct scan *sc, uint64_t from, uint64_t to, uint64_t first, uint64_t last)
{
	ARRAY_ROOM(sc->holes, sc->hole_count, sc->hole_cap);
	struct wal_damage *d = &sc->holes[sc->hole_count++];
	*d = (struct wal_damage){ .segment = sc->s->h.seq, .offset = from, .end = to, .first = first, .last = last };
	return d;
}

/* The whole body of a control record, valid until the window is used again. */
static rc_t control_body(struct scan *sc, const struct rec_head *r, struct slice *ret, struct err *reterr)
{
	const uint8_t *p;
	size_t got;
	TRY(window_get(&sc->win, r->body, r->body_len, &p, &got, reterr));
	*ret = slice_of(p, got);
	return RC_OK;
}

static void visit_damage(struct wal *w, struct slice body)
{
	for (size_t pos = 0; pos + DAMAGE_SUB <= body.len; pos += DAMAGE_SUB) {
		const uint8_t *p = body.data + pos;
		if (!get_u64(p)) /* an ASIDE record's zeros */
			break;
		ARRAY_ROOM(w->known, w->known_count, w->known_cap);
		w->known[w->known_count++] = (struct wal_damage){ get_u64(p), get_u64(p + 8), get_u64(p + 16), get_u64(p + 24), get_u64(p + 32) };
	}
}

static rc_t visit_events(struct scan *sc, const struct rec_head *r, struct err *reterr)
{
	struct wal *w = sc->w;
	if (sc->s->aside && (sc->cut || r->first >= sc->until)) {
		sc->cut = sc->cut ? sc->cut : r->offset;
		return RC_OK;
	}
	if (sc->s->aside) {
		const struct collection *c = index_collection(w, slice_of(r->name, r->name_len), true);
		if (c->head < c->n && r->first + r->count - 1 <= c->ext[c->n - 1].last) /* an unfinished move has left it in another file, too */
			return RC_OK;
		sc->last = *r;
	}
	index_add(w, index_collection(w, slice_of(r->name, r->name_len), true), sc->s, r->offset, r->size, r->first, r->count, r->received);
	if (w->readonly || sc->s->aside) /* keys of what was moved were copied forward */
		return RC_OK;
	if (r->flags & REC_FLAG_IDS)
		TRY(keys_recover_ids(w, sc->s, &sc->win, r, reterr));
	if (!(r->flags & REC_FLAG_KEY))
		return RC_OK;
	const uint8_t *p;
	size_t got, want = r->body_len < EVENTS_SUB ? r->body_len : EVENTS_SUB;
	TRY(window_get(&sc->win, r->body, want, &p, &got, reterr));
	uint64_t prefix = got < EVENTS_SUB ? 0 : EVENTS_SUB + (uint64_t)get_u32(p + 4) + get_u32(p + 8) + get_u32(p + 12);
	if (prefix > r->body_len)
		prefix = r->body_len;
	TRY(window_get(&sc->win, r->body, prefix, &p, &got, reterr));
	return keys_recover(w, sc->s, r, slice_of(p, got), reterr);
}

static rc_t visit(struct scan *sc, const struct rec_head *r, struct err *reterr)
{
	struct wal *w = sc->w;
	struct slice name = slice_of(r->name, r->name_len), body;
	if (r->type == WAL_EVENTS)
		return visit_events(sc, r, reterr);
	TRY(control_body(sc, r, &body, reterr));
	struct collection *c = name.len ? index_collection(w, name, false) : NULL;
	bool short_body = body.len < (r->type == WAL_CUT ? 16u : r->type == WAL_SEAL || r->type == WAL_KEYS || r->type == WAL_DAMAGE ? 0u : 8u);
	if (short_body)
		return err_set(reterr, RC_CORRUPT, "%s: the record at byte %llu is too short for its type", sc->s->path,
			       (unsigned long long)r->offset);
	switch (r->type) {
	case WAL_CUT:
		sc->s->cuts++;
		index_cut(w, index_collection(w, name, true), get_u64(body.data), get_u64(body.data + 8), slice_skip(body, 16), sc->s->h.seq);
		return RC_OK;
	case WAL_DROP:
		keys_hide_locked(w, name, w->keys.tail);
		keys_hidden_locked(w, name, w->keys.tail, true);
		__attribute__((fallthrough));
	case WAL_COMMITTED:
		if (c)
			index_commit(w, c, get_u64(body.data));
		return RC_OK;
	case WAL_KEYS:
		sc->s->copies += (uint32_t)r->size;
		return w->readonly ? RC_OK : keys_recover(w, sc->s, r, body, reterr);
	case WAL_TRIM:
		if (get_u64(body.data) > sc->trim)
			sc->trim = get_u64(body.data);
		return RC_OK;
	case WAL_SEAL:
		return RC_OK;
	case WAL_DAMAGE:
		visit_damage(w, body);
		return RC_OK;
	case WAL_ASIDE:
		aside_visit(w, sc->s->h.seq, r->offset, body, &body);
		visit_damage(w, body);
		return RC_OK;
	}
	return err_set(reterr, RC_UNSUPPORTED, "%s: the record at byte %llu has the unknown type %u: a newer hydrant wrote it, use that one",
		       sc->s->path, (unsigned long long)r->offset, r->type);
}

static rc_t take(struct scan *sc, const struct rec_head *r, struct err *reterr)
{
	sc->records++;
	sc->events += r->count;
	sc->bytes += r->size;
	sc->sealed = r->type == WAL_SEAL;
	if (!sc->s->aside && r->durable > sc->claim && r->durable <= r->offset)
		sc->claim = r->durable;
	return sc->visit ? visit(sc, r, reterr) : RC_OK;
}

/* A side file's positions have gaps: what stood before tells. Exact for one record; if there were more, no fewer than they were. */
static void hole_before(struct wal_damage *d, uint64_t first, uint64_t count, uint64_t size)
{
	d->last = first + count - 1;
	if (d->end - d->offset == size)
		d->first = first;
}

rc_t scan_segment(struct scan *sc, bool known_end, struct err *reterr)
{
	const struct seg_header *h = &sc->s->h;
	uint64_t off = SEG_DATA;
	struct wal_damage *open = NULL; /* a hole whose lost positions are not known yet */
	sc->claim = SEG_DATA;
	while (off < sc->limit) {
		struct rec_head r;
		enum rec_state state;
		bool ok = false;
		TRY(rec_read_head(&sc->win, h, off, sc->limit, &r, &state, reterr));
		if (state == REC_VALID && r.first < sc->expected)
			state = REC_ATTEMPT;
		if (state == REC_VALID) {
			if (open && sc->s->aside)
				hole_before(open, r.durable, r.before_count, r.before_size);
			else if (r.first > sc->expected && !open && !sc->s->aside)
				open = hole_push(sc, off, off, sc->expected, r.first - 1);
			else if (open)
				open->last = r.first - 1;
			open = NULL;
			TRY(rec_check_body(&sc->win, &r, &ok, reterr));
			if (ok)
				TRY(take(sc, &r, reterr));
			else
				hole_push(sc, off, off + r.size, r.first, r.first + r.count - 1);
			sc->expected = r.first + r.count;
			off += r.size;
			sc->end = off;
			continue;
		}
		uint64_t next;
		rc_t rc = rec_find(&sc->win, h, off + 8, sc->limit, sc->expected, &next, reterr);
		if (rc != RC_OK && rc != RC_NOT_FOUND)
			return rc;
		if (rc == RC_NOT_FOUND) {
			rc = state == REC_ATTEMPT ? RC_OK : rec_find_attempt(&sc->win, h, off + 8, sc->limit, &next, reterr);
			if (rc != RC_OK && rc != RC_NOT_FOUND)
				return rc;
			sc->attempt = rc == RC_OK;
			break;
		}
		open = hole_push(sc, off, next, sc->expected, sc->expected - 1);
		off = sc->end = next;
	}
	if (sc->end < off)
		sc->end = off;
	if (known_end && off < sc->limit) {
		open = hole_push(sc, off, sc->limit, sc->expected, sc->expected - 1);
		if (sc->s->aside)
			hole_before(open, sc->s->last_first, sc->s->last_count, sc->s->last_size);
		sc->end = sc->limit;
		sc->sealed = false;
	}
	return RC_OK;
}
