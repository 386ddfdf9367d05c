/* Start: find the segments, follow the chain from the newest, read and check all of it, and put the log in order: a torn tail is kept aside
 * and left behind by a new segment, damage is reported or (salvage) given up and written down, leftovers are swept. Everything here
 * may be interrupted anywhere and is done again by the next start. */
#include "wal/wal_internal.h"

#include <stdio.h>

#include "base/fault.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/random.h"

#define REWRITE_STEP ((size_t)256 << 10)

#define TORN_COPIES 16 /* at one place of the log; the last of them is the newest */
#define TORN_DUMP ((uint64_t)1 << 20) /* bytes kept aside of a tail whose length is unknown */

struct folder {
	struct wal *w;
	struct found *list;
	size_t count, cap;
	struct found *sides; /* side files */
	size_t side_count, side_cap;
	bool has_id;
	uint64_t trim;    /* segments below are not needed */
	uint64_t said;    /* the same, as the log itself says it, without what only the header of a reused segment says */
	uint64_t missing; /* sequence that the chain wants and that is not there; 0 none */
	uint64_t missing_first, missing_last; /* its positions; first 0: unknown */
	size_t kept;      /* first of list that the chain reaches */
};

static bool parse_name(const char *name, const char *suffix, uint64_t *ret)
{
	if (strlen(name) != 17 + strlen(suffix) || name[16] != '.' || strcmp(name + 17, suffix) != 0)
		return false;
	uint64_t v = 0;
	for (int i = 0; i < 16; i++) {
		char c = name[i];
		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return false;
		v = v << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	*ret = v;
	return v > 0 && v < UINT32_MAX; /* key entries hold 32 bits of it: 2^32 segments are more than a log will see */
}

static rc_t each_name(void *ctx, const char *name, bool is_dir)
{
	struct folder *f = ctx;
	struct wal *w = f->w;
	uint64_t seq;
	if (is_dir)
		return RC_OK;
	f->has_id |= strcmp(name, "id") == 0;
	if (parse_name(name, "wal", &seq)) {
		ARRAY_ROOM(f->list, f->count, f->cap);
		f->list[f->count++] = (struct found){ .seq = seq, .bad_copy = -1 };
	} else if (parse_name(name, "aside", &seq)) {
		ARRAY_ROOM(f->sides, f->side_count, f->side_cap);
		f->sides[f->side_count++] = (struct found){ .seq = seq, .bad_copy = -1 };
	} else if (parse_name(name, "spare", &seq) && !w->readonly) {
		spare_push(w, seq, 0);
	} else if (strcmp(name, RESERVE_NAME) == 0 && !w->readonly) {
		spare_push(w, RESERVE_SEQ, 0);
	} else if (parse_name(name, "tmp", &seq) && !w->readonly) {
		AUTO_MEM char *path = segment_path(w, seq, "tmp");
		file_remove(path, NULL);
	}
	return RC_OK;
}

static int by_seq(const void *a, const void *b)
{
	const struct found *x = a, *y = b;
	return (x->seq > y->seq) - (x->seq < y->seq);
}

/* Spare files: sizes, and no more of them than wanted. */
static void count_spares(struct wal *w)
{
	size_t n = w->spare_count;
	w->spare_count = 0;
	w->spare_total = 0;
	for (size_t i = 0; i < n; i++) {
		uint64_t seq = w->spares[i], size = 0;
		AUTO_MEM char *path = spare_path(w, seq);
		if (seq > w->last_seq && seq != RESERVE_SEQ)
			w->last_seq = seq;
		if (file_stat(path, &size, NULL, NULL, NULL) != RC_OK)
			continue;
		if (w->spare_total + size > w->opt.spare_bytes)
			file_remove(path, NULL);
		else
			spare_push(w, seq, size);
	}
}

static rc_t load_header(struct wal *w, struct found *f, const char *suffix, struct err *reterr)
{
	AUTO_MEM char *path = segment_path(w, f->seq, suffix);
	uint8_t two[2 * SEG_HEADER] = { 0 };
	struct seg_header h[2];
	size_t got = 0;
	int fd;
	TRY(file_open(path, FILE_READ, &fd, reterr));
	rc_t rc = file_size(fd, path, &f->size, reterr);
	if (rc == RC_OK)
		rc = file_pread(fd, path, two, sizeof(two), 0, &got, reterr);
	file_close(fd);
	if (rc != RC_OK && rc != RC_EOF)
		return rc;
	rc_t a = seg_header_parse(two, &h[0]), b = seg_header_parse(two + SEG_HEADER, &h[1]);
	if (a == RC_UNSUPPORTED && b == RC_UNSUPPORTED)
		return err_set(reterr, RC_UNSUPPORTED, "%s was written by a newer hydrant: use that one", path);
	f->readable = a == RC_OK || b == RC_OK;
	if (!f->readable)
		return RC_OK;
	f->h = a == RC_OK ? h[0] : h[1];
	f->bad_copy = a != RC_OK ? 0 : b != RC_OK ? 1 : -1;
	if (f->h.seq != f->seq) {
		f->reused = f->is_void = f->h.seq > f->seq && f->h.oldest > f->seq; /* (file_of_trimmed) */
		f->readable = false;
	}
	return RC_OK;
}

/* Marks what the chain from the newest does not reach as void. A segment without a readable header has an unknown predecessor: the one
 * below it is taken. */
static void follow_chain(struct folder *f)
{
	size_t i = f->count;
	while (i > 0 && f->list[i - 1].is_void)
		i--;
	for (size_t k = 0; i && k < f->count; k++) {
		const struct found *s = &f->list[k];
		if (s->reused && s->h.oldest > f->trim && !memcmp(s->h.id, f->list[i - 1].h.id, WAL_ID_LEN))
			f->trim = s->h.oldest;
	}
	while (i > 0) {
		struct found *s = &f->list[--i];
		f->kept = i;
		if (s->readable && s->h.oldest > f->trim)
			f->trim = s->h.oldest;
		if (s->readable && s->h.oldest > f->said)
			f->said = s->h.oldest;
		uint64_t want = s->h.prev_seq;
		for (; i > 0; i--) {
			struct found *p = &f->list[i - 1];
			if (!p->is_void && (!s->readable || p->seq == want))
				break;
			if (p->seq < want && !p->is_void)
				break;
			p->is_void = true;
		}
		bool there = i > 0 && (!s->readable || f->list[i - 1].seq == want);
		if (there)
			continue;
		if (s->readable && want && (!f->missing || want > f->missing))
			f->missing = want;
		if (want < f->trim || i == 0) { /* what is below was trimmed: leftovers */
			for (size_t k = 0; k < i; k++)
				f->list[k].is_void = true;
			return;
		}
	}
}

static rc_t check_ids(struct folder *f, struct err *reterr)
{
	struct wal *w = f->w;
	for (size_t i = 0; i < f->count; i++) {
		const struct found *s = &f->list[i];
		if (s->is_void || !s->readable)
			continue;
		if (w->id[0] && memcmp(w->id, s->h.id, WAL_ID_LEN) != 0)
			return err_set(reterr, RC_CORRUPT, "%s holds segments of two logs (%s and %.8s): move one of them away", w->opt.dir, w->id,
				       s->h.id);
		memcpy(w->id, s->h.id, WAL_ID_LEN);
		if (s->h.epoch > w->epoch)
			w->epoch = s->h.epoch;
	}
	return RC_OK;
}

void damage_push(struct wal *w, struct wal_damage d)
{
	ARRAY_ROOM(w->damages, w->damage_count, w->damage_cap);
	w->damages[w->damage_count++] = d;
}

bool damage_covers(const struct wal *w, const struct segment *s, uint64_t offset)
{
	if (!s->aside && s->h.seq < w->damage_from)
		return true;
	for (size_t i = 0; i < w->damage_count; i++)
		if (w->damages[i].segment == s->h.seq && offset >= w->damages[i].offset && offset < w->damages[i].end)
			return true;
	return false;
}

static bool damage_known(const struct wal *w, const struct wal_damage *d)
{
	for (size_t i = 0; i < w->known_count; i++)
		if (w->known[i].segment == d->segment && w->known[i].offset == d->offset && (!d->first || d->first >= w->known[i].first))
			return true;
	return false;
}

/* --- the last segment: where does it end? --- */

/* An earlier start may have kept it and not got further. If what was not synced went in a power cut since, or if that start did get further and nothing
 * of what it wrote is there, the tail is another one. */
static rc_t keep_copy(struct wal *w, const struct segment *s, uint64_t from, struct slice bytes, struct err *reterr)
{
	AUTO_MEM char *stem = mem_printf("%s/torn-%016llx-%llu", w->opt.dir, (unsigned long long)s->h.seq, (unsigned long long)from);
	for (int i = 1; i < TORN_COPIES; i++) {
		AUTO_BUF struct buf have;
		buf_init(&have, bytes.len + 1);
		free(w->torn_file);
		w->torn_file = i > 1 ? mem_printf("%s-%d.bin", stem, i) : mem_printf("%s.bin", stem);
		rc_t rc = file_create_atomic(w->torn_file, bytes, reterr);
		if (rc != RC_CONFLICT)
			return rc;
		rc = file_read_all(w->torn_file, &have, reterr);
		if (rc == RC_OK && slice_eq(buf_slice(&have), bytes))
			return RC_OK;
		if (rc != RC_OK && rc != RC_LIMIT) /* RC_LIMIT: a longer one */
			return rc;
	}
	return file_replace_atomic(w->torn_file, bytes, reterr);
}

/* What was the tail: counts, and a copy for people. */
static rc_t keep_torn(struct wal *w, struct segment *s, struct scan *sc, uint64_t size, struct err *reterr)
{
	struct wal_recovery *rec = &w->rec;
	uint64_t from = s->append_end, to = from, off = from;
	while (off < size) {
		struct rec_head r;
		enum rec_state state;
		TRY(rec_read_head(&sc->win, &s->h, off, size, &r, &state, reterr));
		if (state != REC_NONE && r.size) {
			rec->torn_records++;
			rec->torn_events += r.count;
			if (r.count && !rec->torn_first)
				rec->torn_first = r.first;
			if (r.count)
				rec->torn_last = r.first + r.count - 1;
			off += r.size;
			to = off < size ? off : size;
			continue;
		}
		if (state == REC_ATTEMPT) {
			rec->torn_records++;
			to = off + TORN_DUMP < size ? off + TORN_DUMP : size;
		}
		rc_t rc = rec_find_attempt(&sc->win, &s->h, off + 8, size, &off, reterr);
		if (rc == RC_NOT_FOUND)
			break;
		TRY(rc);
	}
	rec->torn_bytes = to - from;
	if (w->readonly || to == from)
		return RC_OK;
	struct buf b;
	buf_init(&b, BUF_MAX_DEFAULT);
	rc_t rc = RC_OK;
	for (off = from; off < to && rc == RC_OK;) {
		size_t n = to - off < WINDOW_CHUNK ? to - off : WINDOW_CHUNK, got;
		const uint8_t *p;
		rc = window_get(&sc->win, off, n, &p, &got, reterr);
		if (rc == RC_OK)
			buf_append(&b, p, got);
		off += n;
	}
	if (rc == RC_OK)
		rc = keep_copy(w, s, from, buf_slice(&b), reterr);
	buf_free(&b);
	rec->torn_file = w->torn_file;
	return rc;
}

/* First reading of the last segment: *ret_end = where its records end; *ret_next = the position behind them, which what is behind may tell alone;
 * *ret_torn = something behind was meant to be one. */
static rc_t find_end(struct wal *w, struct segment *s, int fd, uint64_t size, uint64_t expected, uint64_t *ret_end, uint64_t *ret_next, bool *ret_torn,
		     struct err *reterr)
{
	struct scan sc = { .w = w, .s = s, .limit = size, .expected = expected };
	window_init(&sc.win, fd, s->path);
	rc_t rc = scan_segment(&sc, false, reterr);
	if (rc == RC_OK) {
		*ret_end = sc.end;
		*ret_next = sc.expected;
		*ret_torn = sc.attempt;
		for (size_t i = 0; i < sc.hole_count; i++)
			if (sc.holes[i].offset >= sc.claim) {
				*ret_end = sc.holes[i].offset;
				*ret_next = sc.holes[i].first;
				*ret_torn = true;
				break;
			}
	}
	scan_free(&sc);
	return rc;
}

/* Positions from `expected` up to the segment's first are nowhere. */
static void note_gap(struct folder *f, const struct segment *s, uint64_t expected)
{
	struct wal *w = f->w;
	const struct segment *prev = w->segs[w->seg_count - 2];
	struct wal_damage *last = w->damage_count ? &w->damages[w->damage_count - 1] : NULL;
	if (s->h.prev_seq != prev->h.seq) { /* the missing segment had them */
		f->missing_first = expected;
		f->missing_last = s->h.first - 1;
	} else if (last && last->segment == prev->h.seq && last->end == prev->durable_end && last->last < last->first) {
		last->last = s->h.first - 1; /* the hole at its end */
	} else {
		damage_push(w, (struct wal_damage){ prev->h.seq, prev->durable_end, prev->durable_end, expected, s->h.first - 1 });
	}
}

static rc_t read_segment(struct folder *f, struct found *file, struct found *next, uint64_t *expected, struct err *reterr)
{
	struct wal *w = f->w;
	struct segment *s = segment_new(w, file->seq);
	struct scan sc = { .w = w, .s = s, .visit = true };
	int fd;
	segment_push(w, s);
	s->created = true;
	s->written_out = s->disk_bytes = file->size;
	if (!file->readable) {
		s->lost = true;
		s->h.first = *expected;
		uint64_t last = next && next->readable ? next->h.first - 1 : *expected + file->size; /* no event takes under a byte */
		damage_push(w, (struct wal_damage){ file->seq, 0, file->size, *expected, last });
		*expected = last + 1;
		return RC_OK;
	}
	s->h = file->h;
	if (*expected && s->h.first > *expected && !(s->h.flags & SEG_FLAG_SKIPPED))
		note_gap(f, s, *expected);
	if (s->h.first > *expected)
		*expected = s->h.first;
	bool known = next && next->readable && next->h.prev_seq == file->seq, torn = false;
	uint64_t end = known ? next->h.prev_end : 0, behind = 0;
	TRY(file_open(s->path, FILE_READ, &fd, reterr));
	rc_t rc = RC_OK;
	if (!known)
		rc = find_end(w, s, fd, file->size, *expected, &end, &behind, &torn, reterr);
	window_init(&sc.win, fd, s->path);
	sc.limit = end > SEG_DATA ? end : SEG_DATA;
	sc.expected = *expected;
	sc.end = SEG_DATA;
	if (rc == RC_OK)
		rc = scan_segment(&sc, true, reterr);
	if (rc == RC_OK && behind > sc.expected && sc.hole_count && sc.holes[sc.hole_count - 1].end == sc.limit) {
		sc.holes[sc.hole_count - 1].last = behind - 1; /* the hole at its end: these positions are lost, and not given again */
		sc.expected = behind;
	}
	if (rc == RC_OK) {
		s->append_end = s->durable_end = sc.end;
		for (size_t i = 0; i < sc.hole_count; i++)
			damage_push(w, sc.holes[i]);
		*expected = sc.expected;
		w->rec.records += sc.records;
		w->rec.events += sc.events;
		w->rec.bytes += sc.bytes;
		w->rec.clean = !next && sc.sealed && !torn;
		w->rec.truncated |= !next && (file->size % s->h.step != 0 || file->size < s->h.step);
		if (sc.trim > f->trim)
			f->trim = sc.trim;
		if (sc.trim > f->said)
			f->said = sc.trim;
		if (torn && !next)
			rc = keep_torn(w, s, &sc, file->size, reterr);
	}
	scan_free(&sc);
	file_close(fd);
	return rc;
}

/* --- damage --- */

static rc_t judge_damage(struct folder *f, struct err *reterr)
{
	struct wal *w = f->w;
	const struct wal_damage *worst = NULL;
	size_t fresh = 0;
	if (f->missing && f->missing >= f->trim) {
		uint64_t last = f->missing_last ? f->missing_last : w->segs[0]->h.first - 1;
		damage_push(w, (struct wal_damage){ f->missing, 0, 0, f->missing_first, last });
	}
	if (w->segs[0]->h.seq > f->trim && f->trim && f->trim != f->missing) /* the oldest needed one always exists */
		damage_push(w, (struct wal_damage){ f->trim, 0, 0, 0, w->segs[0]->h.first - 1 });
	size_t n = 0;
	for (size_t i = 0; i < w->damage_count; i++)
		if (w->damages[i].segment >= f->trim) /* what was trimmed nobody misses */
			w->damages[n++] = w->damages[i];
	w->damage_count = n;
	w->damage_from = f->trim;
	TRY(aside_recover(w, f->sides, f->side_count, f->trim, reterr));
	for (size_t i = 0; i < w->damage_count; i++)
		if (!damage_known(w, &w->damages[i])) {
			worst = worst ? worst : &w->damages[i];
			fresh++;
		}
	if (!fresh || w->opt.salvage)
		return RC_OK;
	AUTO_MEM char *path = segment_path(w, worst->segment, aside_is_file(w, worst->segment) ? "aside" : "wal");
	if (worst->end == 0)
		return err_set(reterr, RC_CORRUPT, "the log's file %s is missing, and its events were not all committed: put it back, or start "
			       "with --salvage to give them up", path);
	if (worst->last >= worst->first)
		return err_set(reterr, RC_CORRUPT, "%s is damaged at bytes %llu to %llu (positions %llu to %llu; %zu such places in the log): "
			       "restore it from a copy, or start with --salvage to give these events up", path,
			       (unsigned long long)worst->offset, (unsigned long long)worst->end, (unsigned long long)worst->first,
			       (unsigned long long)worst->last, fresh);
	return err_set(reterr, RC_CORRUPT, "%s is damaged at bytes %llu to %llu (no events in it; %zu such places in the log): restore it from a "
		       "copy, or start with --salvage", path, (unsigned long long)worst->offset, (unsigned long long)worst->end, fresh);
}

static rc_t write_down_damage(struct wal *w, struct err *reterr)
{
	struct buf b;
	uint64_t ticket;
	buf_init(&b, WAL_PLAN_MAX);
	for (size_t i = 0; i < w->damage_count; i++) {
		const struct wal_damage *d = &w->damages[i];
		uint64_t v[5] = { d->segment, d->offset, d->end, d->first, d->last };
		if (!damage_known(w, d))
			buf_append(&b, v, sizeof(v));
	}
	rc_t rc = RC_OK;
	if (b.len) {
		pthread_mutex_lock(&w->lock);
		rc = append_control_locked(w, WAL_DAMAGE, slice_of(NULL, 0), buf_slice(&b), &ticket, reterr);
		while (rc == RC_OK && w->settled < ticket)
			flush_once_locked(w);
		if (rc == RC_OK)
			rc = ticket_status_locked(w, ticket, reterr);
		pthread_mutex_unlock(&w->lock);
	}
	buf_free(&b);
	return rc;
}

/* --- putting it in order --- */

rc_t recover_new_segment(struct wal *w, struct err *reterr)
{
	struct segment *last = active(w), *s = segment_new(w, ++w->last_seq);
	s->h.first = w->next_position;
	s->h.prev_seq = last ? last->h.seq : 0;
	s->h.prev_end = last ? last->durable_end : 0;
	s->h.oldest = last ? w->oldest : s->h.seq;
	s->h.flags = last && last->lost ? SEG_FLAG_SKIPPED : 0;
	rc_t rc = segment_create(w, s, true, reterr);
	if (rc != RC_OK) {
		segment_free(s);
		return rc;
	}
	if (last) {
		file_close(last->fd);
		last->fd = -1;
	}
	s->created = true;
	s->disk_bytes = s->written_out;
	segment_push(w, s);
	w->file_seg = s;
	return RC_OK;
}

static rc_t repair_header(struct wal *w, const struct found *s, const char *suffix, struct err *reterr)
{
	if (s->is_void || !s->readable || s->bad_copy < 0)
		return RC_OK;
	w->rec.headers_repaired++;
	if (w->readonly)
		return RC_OK;
	AUTO_MEM char *path = segment_path(w, s->seq, suffix);
	uint8_t header[SEG_HEADER];
	int fd;
	seg_header_write(&s->h, header);
	TRY(file_open(path, FILE_WRITE, &fd, reterr));
	rc_t rc = file_pwrite(fd, path, header, sizeof(header), s->bad_copy ? SEG_HEADER : 0, reterr);
	if (rc == RC_OK)
		rc = file_sync(fd, path, reterr);
	file_close(fd);
	return rc;
}

static rc_t repair_headers(struct folder *f, struct err *reterr)
{
	for (size_t i = f->kept; i < f->count; i++)
		TRY(repair_header(f->w, &f->list[i], "wal", reterr));
	for (size_t i = 0; i < f->side_count; i++)
		TRY(repair_header(f->w, &f->sides[i], "aside", reterr));
	return RC_OK;
}

static rc_t write_id(struct wal *w, struct err *reterr)
{
	AUTO_MEM char *path = mem_printf("%s/id", w->opt.dir);
	AUTO_MEM char *text = mem_printf("hydrant-wal 1\n%s\n%llu\n", w->id, (unsigned long long)w->epoch);
	struct buf old;
	buf_init(&old, 4096);
	rc_t rc = file_read_all(path, &old, NULL);
	bool same = rc == RC_OK && slice_eq_str(buf_slice(&old), text);
	buf_free(&old);
	return same ? RC_OK : file_replace_atomic(path, slice_str(text), reterr);
}

static rc_t make_log(struct folder *f, struct err *reterr)
{
	struct wal *w = f->w;
	w->rec.made = true;
	w->rec.replaced = f->has_id; /* never the old id with positions from 1: tables would take them for committed */
	random_name(w->id, WAL_ID_LEN);
	w->epoch = 1;
	w->next_position = w->durable_next = 1;
	w->rec.clean = true;
	TRY(recover_new_segment(w, reterr));
	w->oldest = w->oldest_logged = active(w)->h.seq;
	fault_point("wal.made");
	return write_id(w, reterr);
}

/* The header of a reused segment stays while nothing else says what it says. */
static void sweep_void(struct folder *f)
{
	for (size_t i = 0; i < f->count; i++)
		if (f->list[i].is_void && !(f->list[i].reused && f->list[i].h.oldest > f->said)) {
			AUTO_MEM char *path = segment_path(f->w, f->list[i].seq, "wal");
			file_remove(path, NULL);
		}
}

static void sweep_void_sides(struct folder *f)
{
	for (size_t i = 0; i < f->side_count; i++)
		if (f->sides[i].is_void) {
			AUTO_MEM char *path = segment_path(f->w, f->sides[i].seq, "aside");
			file_remove(path, NULL);
		}
}

/* After a failed sync the page cache shows bytes that are not on the disk and that no later sync would write: a process that was started anew reads
 * them. Written once more they are what they look like. */
rc_t write_again(const struct segment *last, struct err *reterr)
{
	uint64_t size;
	TRY(file_size(last->fd, last->path, &size, reterr));
	uint8_t *step = mem_alloc(REWRITE_STEP);
	rc_t rc = RC_OK;
	for (uint64_t at = 0; rc == RC_OK && at < size; at += REWRITE_STEP) {
		size_t n = size - at < REWRITE_STEP ? (size_t)(size - at) : REWRITE_STEP;
		rc = file_pread(last->fd, last->path, step, n, at, NULL, reterr);
		if (rc == RC_OK)
			rc = file_pwrite(last->fd, last->path, step, n, at, reterr);
	}
	free(step);
	return rc;
}

static rc_t put_in_order(struct folder *f, struct err *reterr)
{
	struct wal *w = f->w;
	struct segment *last = active(w);
	TRY(repair_headers(f, reterr));
	if (w->readonly)
		return RC_OK;
	/* What was read may still be only in the page cache of a process that was killed. */
	TRY(file_open(last->path, FILE_WRITE, &last->fd, reterr));
	TRY(write_again(last, reterr));
	TRY(file_sync(last->fd, last->path, reterr));
	TRY(dir_sync(w->opt.dir, reterr));
	w->file_seg = last;
	fault_point("wal.recover");
	if (w->rec.torn_bytes || last->lost)
		TRY(recover_new_segment(w, reterr));
	TRY(write_id(w, reterr));
	TRY(write_down_damage(w, reterr));
	sweep_void(f);
	sweep_void_sides(f);
	return RC_OK;
}

static rc_t read_all(struct folder *f, struct err *reterr)
{
	struct wal *w = f->w;
	uint64_t expected = 0;
	for (size_t i = f->kept; i < f->count; i++) {
		size_t n = i + 1;
		if (f->list[i].is_void)
			continue;
		while (n < f->count && f->list[n].is_void)
			n++;
		if (i > f->kept && !expected)
			expected = 1;
		TRY(read_segment(f, &f->list[i], n < f->count ? &f->list[n] : NULL, &expected, reterr));
		w->rec.segments++;
	}
	w->next_position = w->durable_next = expected;
	w->oldest = w->segs[0]->h.seq;
	w->oldest_logged = f->said < w->oldest ? f->said : w->oldest;
	TRY(judge_damage(f, reterr));
	pthread_mutex_lock(&w->lock);
	for (struct map_entry *e = NULL; (e = map_next(&w->collections, e));)
		index_split_locked(w, (struct collection *)e->value);
	pthread_mutex_unlock(&w->lock);
	return RC_OK;
}

rc_t recover(struct wal *w, struct err *reterr)
{
	struct folder f = { .w = w };
	int64_t start = clock_mono_us();
	if (!w->readonly)
		TRY(dir_make(w->opt.dir, reterr));
	rc_t rc = dir_list(w->opt.dir, each_name, &f, reterr);
	if (f.count)
		qsort(f.list, f.count, sizeof(*f.list), by_seq);
	for (size_t i = 0; i < f.count && rc == RC_OK; i++)
		rc = load_header(w, &f.list[i], "wal", reterr);
	if (f.side_count)
		qsort(f.sides, f.side_count, sizeof(*f.sides), by_seq);
	for (size_t i = 0; i < f.side_count && rc == RC_OK; i++)
		rc = load_header(w, &f.sides[i], "aside", reterr);
	if (f.count)
		w->last_seq = f.list[f.count - 1].seq;
	if (f.side_count && f.sides[f.side_count - 1].seq > w->last_seq)
		w->last_seq = f.sides[f.side_count - 1].seq;
	if (rc == RC_OK)
		follow_chain(&f);
	if (rc == RC_OK)
		rc = check_ids(&f, reterr);
	bool any = false;
	for (size_t i = 0; i < f.count; i++)
		any |= !f.list[i].is_void;
	if (rc == RC_OK && !w->readonly)
		count_spares(w);
	if (rc == RC_OK && !any && f.side_count)
		rc = err_set(reterr, RC_CORRUPT, "%s holds side files (*.aside) of a log whose segments are gone: put these back, or move the side files "
			     "away", w->opt.dir);
	else if (rc == RC_OK && !any)
		rc = w->readonly ? err_set(reterr, RC_NOT_FOUND, "there is no log in %s", w->opt.dir) : make_log(&f, reterr);
	else if (rc == RC_OK)
		rc = read_all(&f, reterr);
	if (rc == RC_OK && any)
		rc = put_in_order(&f, reterr);
	free(f.list);
	free(f.sides);
	buf_free(&w->aside_said);
	w->rec.damages = w->damages;
	w->rec.damage_count = w->damage_count;
	w->rec.took_us = clock_mono_us() - start;
	return rc;
}
