/* Start, of side files (aside.c): which there are says the newest ASIDE record; one that it does not name was never finished and is void, one that
 * it names and that is not there is damage. Segments that are still needed have every position from their first on: of these, nothing is taken from
 * a side file, which an unfinished move may have left torn. If segments lost records behind it, a newer one may have been among them: every file
 * then counts as far as it can be read, and a new record is due before anything is trimmed. */
#include "wal/wal_internal.h"

#include "os/file.h"

/* A file as an ASIDE record names it. */
struct said {
	uint64_t seq, end, first, last_first, committed;
	uint32_t last_count, last_size;
	struct slice name;
};

/* Its collection's events that segments have, put by meanwhile: side files come first. */
struct stash {
	struct collection *c;
	struct extent *ext;
	size_t head, n;
};

struct reading {
	struct wal *w;
	struct said *said;
	size_t said_count;
	struct stash *stashes;
	size_t stash_count, stash_cap;
	bool damaged;
	bool missing;   /* a file is named and not there, and segments have what was in it: they stay until it is named no more */
	uint64_t trim;  /* segments below are not needed: what side files have of them counts */
	uint64_t until; /* from this position on the others have everything */
};

static bool parse_said(struct slice body, size_t *pos, struct said *ret)
{
	if (body.len - *pos < ASIDE_SUB)
		return false;
	const uint8_t *p = body.data + *pos;
	uint64_t name_len = get_u32(p + 48);
	if (name_len > REC_NAME_MAX || body.len - *pos - ASIDE_SUB < pad8(name_len))
		return false;
	*ret = (struct said){ .seq = get_u64(p), .end = get_u64(p + 8), .first = get_u64(p + 16), .last_first = get_u64(p + 24),
			      .last_count = get_u32(p + 32), .last_size = get_u32(p + 36) * 8, .committed = get_u64(p + 40),
			      .name = slice_of(p + ASIDE_SUB, name_len) };
	*pos += ASIDE_SUB + pad8(name_len);
	return ret->end >= SEG_DATA && collection_name_valid(ret->name);
}

void aside_visit(struct wal *w, uint64_t seq, uint64_t offset, struct slice body, struct slice *ret_damages)
{
	struct said s;
	size_t pos = 8;
	buf_reset(&w->aside_said);
	buf_append_slice(&w->aside_said, body);
	w->aside_seq = seq;
	w->aside_at = offset;
	for (uint64_t i = get_u64(body.data); i-- && parse_said(body, &pos, &s);)
		index_commit(w, index_collection(w, s.name, true), s.committed);
	*ret_damages = slice_skip(body, pos < body.len ? pos : body.len);
}

static struct said *read_said(const struct wal *w, size_t *ret_count)
{
	struct slice body = buf_slice(&w->aside_said);
	struct said *list = NULL, s;
	size_t count = 0, cap = 0, pos = 8;
	for (uint64_t i = body.len < 8 ? 0 : get_u64(body.data); i-- && parse_said(body, &pos, &s);) {
		ARRAY_ROOM(list, count, cap);
		list[count++] = s;
	}
	*ret_count = count;
	return list;
}

bool aside_is_file(const struct wal *w, uint64_t seq)
{
	size_t count;
	AUTO_MEM struct said *list = read_said(w, &count);
	for (size_t i = 0; i < count; i++)
		if (list[i].seq == seq)
			return true;
	return false;
}

static void stash(struct reading *r, struct collection *c)
{
	for (size_t i = 0; i < r->stash_count; i++)
		if (r->stashes[i].c == c)
			return;
	size_t gone = 0;
	while (c->head + gone < c->n && c->ext[c->head + gone].seg->h.seq < r->trim)
		gone++;
	index_replace_locked(r->w, c, c->head, gone, NULL, 0);
	ARRAY_ROOM(r->stashes, r->stash_count, r->stash_cap);
	r->stashes[r->stash_count++] = (struct stash){ c, c->ext, c->head, c->n };
	c->ext = NULL;
	c->head = c->n = c->cap = 0;
}

static void unstash(struct stash *st)
{
	struct collection *c = st->c;
	size_t more = st->n - st->head;
	c->cap = c->n + more + 1;
	c->ext = mem_realloc(c->ext, c->cap * sizeof *c->ext);
	if (more)
		memcpy(c->ext + c->n, st->ext + st->head, more * sizeof *c->ext);
	c->n += more;
	c->closed = true;
	free(st->ext);
}

static void note_holes(struct wal *w, const struct scan *sc, const struct collection *c)
{
	for (size_t i = 0; i < sc->hole_count; i++) {
		struct wal_damage d = sc->holes[i];
		if (d.first >= sc->until || (d.last >= d.first && d.last <= c->committed))
			continue;
		d.last = d.last >= sc->until ? sc->until - 1 : d.last;
		d.first = d.first <= c->committed ? c->committed + 1 : d.first;
		damage_push(w, d);
	}
}

/* How far the file can be read. */
static rc_t find_end(struct segment *s, int fd, uint64_t *ret_end, struct err *reterr)
{
	struct scan sc = { .s = s, .limit = s->disk_bytes, .expected = 1, .end = SEG_DATA };
	window_init(&sc.win, fd, s->path);
	rc_t rc = scan_segment(&sc, false, reterr);
	if (rc == RC_OK && sc.end > *ret_end)
		*ret_end = sc.end;
	scan_free(&sc);
	return rc;
}

/* Reads the file's records into the index. They go to `end`, or, if an ASIDE record may be lost, as far as they can be read. */
static rc_t read_records(struct reading *r, struct segment *s, struct collection *c, uint64_t end, struct err *reterr)
{
	struct wal *w = r->w;
	int fd;
	TRY(file_open(s->path, FILE_READ, &fd, reterr));
	rc_t rc = r->damaged ? find_end(s, fd, &end, reterr) : RC_OK;
	struct scan sc = { .w = w, .s = s, .visit = true, .limit = end, .expected = 1, .end = SEG_DATA, .until = r->until };
	window_init(&sc.win, fd, s->path);
	if (rc == RC_OK)
		rc = scan_segment(&sc, true, reterr);
	file_close(fd);
	if (rc == RC_OK) {
		note_holes(w, &sc, c);
		w->rec.records += sc.records;
		w->rec.events += sc.events;
		w->rec.bytes += sc.bytes;
		uint64_t last_end = sc.last.size ? sc.last.offset + sc.last.size : SEG_DATA;
		s->append_end = s->durable_end = sc.cut ? last_end : sc.end;
		if (last_end == s->durable_end) {
			s->last_first = sc.last.first;
			s->last_count = sc.last.count;
			s->last_size = (uint32_t)sc.last.size;
		}
		w->aside_stale |= sc.cut > 0;
	}
	scan_free(&sc);
	return rc;
}

static struct segment *side_segment(struct wal *w, const struct found *f, const struct said *said)
{
	struct segment *s = segment_new(w, f->seq);
	free(s->path);
	s->path = segment_path(w, f->seq, "aside");
	s->h = f->h;
	s->aside = s->created = s->closed = true; /* behind its end may be what an unfinished move left */
	s->disk_bytes = f->size;
	if (said) {
		s->last_first = said->last_first;
		s->last_count = said->last_count;
		s->last_size = said->last_size;
	}
	w->side_files++;
	w->side_disk += f->size;
	return s;
}

static void keep_file(struct wal *w, struct collection *c, struct segment *s)
{
	ARRAY_ROOM(c->sides, c->side_count, c->side_cap);
	c->sides[c->side_count++] = s;
	aside_retire_locked(w, c);
}

static bool is_ours(const struct wal *w, const struct found *f)
{
	return f && f->readable && f->h.flags & SEG_FLAG_ASIDE && !memcmp(f->h.id, w->id, WAL_ID_LEN) &&
	       collection_name_valid(slice_of(f->h.name, f->h.name_len));
}

/* One that no ASIDE record names. */
static rc_t read_unnamed(struct reading *r, struct found *f, struct err *reterr)
{
	if (!r->damaged || !is_ours(r->w, f)) {
		f->is_void = true;
		return RC_OK;
	}
	struct collection *c = index_collection(r->w, slice_of(f->h.name, f->h.name_len), true);
	struct segment *s = side_segment(r->w, f, NULL);
	stash(r, c);
	rc_t rc = read_records(r, s, c, SEG_DATA, reterr);
	keep_file(r->w, c, s);
	return rc;
}

static rc_t read_named(struct reading *r, const struct said *said, struct found *f, struct err *reterr)
{
	struct wal *w = r->w;
	struct collection *c = index_collection(w, said->name, true);
	uint64_t last = said->last_first + said->last_count - 1;
	bool needed = last > c->committed && said->first < r->until;
	stash(r, c);
	if (!is_ours(w, f)) {
		uint64_t first = said->first > c->committed ? said->first : c->committed + 1;
		w->aside_stale = true;
		if (needed)
			damage_push(w, (struct wal_damage){ said->seq, 0, f ? f->size : 0, first, last < r->until ? last : r->until - 1 });
		r->missing |= !needed;
		return RC_OK;
	}
	struct segment *s = side_segment(w, f, said);
	s->append_end = s->durable_end = said->end;
	rc_t rc = needed || r->damaged ? read_records(r, s, c, said->end, reterr) : RC_OK; /* a lost record may have said more */
	keep_file(w, c, s);
	return rc;
}

/* What may not have been synced when an ASIDE record was lost with it. */
static rc_t make_durable(struct wal *w, struct err *reterr)
{
	rc_t rc = RC_OK;
	for (struct map_entry *e = NULL; (e = map_next(&w->collections, e));) {
		const struct collection *c = (const struct collection *)e->value;
		for (size_t i = 0; i < c->side_count && rc == RC_OK; i++) {
			struct segment *s = c->sides[i];
			TRY(file_open(s->path, FILE_WRITE, &s->fd, reterr));
			rc = write_again(s, reterr);
			if (rc == RC_OK)
				rc = file_sync(s->fd, s->path, reterr);
			file_close(s->fd);
			s->fd = -1;
		}
	}
	return rc;
}

static int by_number(const void *a, const void *b)
{
	const struct said *x = a, *y = b;
	return (x->seq > y->seq) - (x->seq < y->seq);
}

static rc_t read_files(struct reading *r, struct found *files, size_t count, struct err *reterr)
{
	for (size_t i = 0, k = 0; i < count || k < r->said_count;) {
		if (k < r->said_count && (i == count || r->said[k].seq <= files[i].seq)) {
			bool there = i < count && files[i].seq == r->said[k].seq;
			TRY(read_named(r, &r->said[k++], there ? &files[i] : NULL, reterr));
			i += there;
		} else {
			TRY(read_unnamed(r, &files[i++], reterr));
		}
	}
	return RC_OK;
}

/* An ASIDE record may have been lost only behind the newest that is there. */
static bool word_may_be_lost(const struct wal *w)
{
	for (size_t i = 0; i < w->damage_count; i++) {
		const struct wal_damage *d = &w->damages[i];
		if (d->segment > w->aside_seq || (d->segment == w->aside_seq && d->end > w->aside_at))
			return true;
	}
	return false;
}

rc_t aside_recover(struct wal *w, struct found *files, size_t count, uint64_t trim, struct err *reterr)
{
	bool damaged = word_may_be_lost(w);
	struct reading r = { .w = w, .damaged = damaged, .trim = trim, .until = UINT64_MAX };
	for (size_t i = w->seg_count; i-- > 0 && w->segs[i]->h.seq >= trim;)
		r.until = w->segs[i]->lost ? r.until : w->segs[i]->h.first;
	r.said = read_said(w, &r.said_count);
	if (r.said_count)
		qsort(r.said, r.said_count, sizeof *r.said, by_number);
	rc_t rc = read_files(&r, files, count, reterr);
	for (size_t i = 0; i < r.stash_count; i++)
		unstash(&r.stashes[i]);
	free(r.stashes);
	free(r.said);
	if (r.missing)
		w->aside_seq = 0;
	if (rc != RC_OK || !damaged || !w->side_files)
		return rc;
	w->aside_seq = 0;
	w->aside_stale = true;
	return w->readonly ? RC_OK : make_durable(w, reterr);
}
