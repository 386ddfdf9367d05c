/* Bytes of a log that change while nobody looks, and what its start must say: of damage, that record and its positions, nothing else; of a tail
 * that was being written, a file with its bytes. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/clock.h"
#include "sim.h"
#include "wal/format.h"

#define ROTS 64
static struct rot {
	int node;
	uint64_t first, last; /* positions of the record */
	uint64_t seq, at;     /* its segment and place */
	uint64_t tail;        /* the last position that its segment had */
	bool claimed;         /* a record behind it on the platter says that it was durable: it is no torn tail */
} rots[ROTS];
static struct lost {
	char log[WAL_ID_LEN + 1];
	uint64_t first, last;
	int64_t when;
} losts[4 * ROTS];
unsigned rot_count;
static size_t lost_count;

/* ---- looking at a segment's bytes ---- */

struct bytes {
	const uint8_t *data;
	size_t len;
	struct seg_header h;
};

static bool is_side_file(const char *path)
{
	return strstr(path, ".aside");
}

static bool segment_bytes(const char *path, struct bytes *ret)
{
	ret->data = disk_bytes(path, &ret->len);
	return ret->data && ret->len > SEG_DATA &&
	       (seg_header_parse(ret->data, &ret->h) == RC_OK || seg_header_parse(ret->data + SEG_HEADER, &ret->h) == RC_OK) &&
	       strtoull(strrchr(path, '/') + 1, NULL, 16) == ret->h.seq;
}

static bool headers_whole(const char *path)
{
	struct seg_header h;
	size_t len;
	const uint8_t *data = disk_bytes(path, &len);
	return seg_header_parse(data, &h) == RC_OK && seg_header_parse(data + SEG_HEADER, &h) == RC_OK;
}

static bool record_at(const struct bytes *b, uint64_t at, struct rec_head *ret)
{
	return at + REC_HEAD <= b->len && rec_head_parse(&b->h, b->data + at, b->len - at, at, b->len, ret) == REC_VALID &&
	       crc32c(0, b->data + ret->body, pad8(ret->body_len)) == ret->body_crc;
}

static uint64_t records_end(const struct bytes *b)
{
	struct rec_head r;
	uint64_t at = SEG_DATA, expected = b->h.first;
	while (record_at(b, at, &r) && r.first >= expected) {
		at += r.size;
		expected = r.first + r.count;
	}
	return at;
}

size_t rot_torn_head(const uint8_t *data, size_t len, const uint8_t *dirty, size_t sector)
{
	struct seg_header h;
	size_t found = 0, seen = 0;
	if (len <= SEG_DATA || seg_header_parse(data, &h) != RC_OK)
		return 0;
	for (size_t i = SEG_DATA / sector; (i + 1) * sector < len; i++) {
		size_t at = i * sector, end = at + sector;
		while (dirty[i] && at < end && get_u32(data + at) != rec_magic(&h))
			at += 8;
		if (dirty[i] && at < end && at + REC_HEAD > end && chance_below(CHANCE_DISK, ++seen) == 0)
			found = i;
	}
	return found;
}

/* A hole that is known may stand before what is looked for. */
static bool was_rotten(int node)
{
	for (unsigned i = 0; i < rot_count; i++)
		if (rots[i].node == node)
			return true;
	return false;
}

/* ---- cuts ---- */

struct cut {
	const char *collection;
	uint64_t after;
	bool there;
};

static void find_cut(void *ctx, const char *path)
{
	struct cut *c = ctx;
	struct bytes b;
	struct rec_head r;
	if (c->there || !strstr(path, ".wal") || !segment_bytes(path, &b))
		return;
	if (!sim_settings.ack_store) /* else what is durable is in the store */
		b.data = disk_platter(path, &b.len);
	for (uint64_t at = SEG_DATA; b.data && record_at(&b, at, &r); at += r.size) {
		bool ours = r.type == WAL_CUT && slice_eq_str(slice_of(r.name, r.name_len), c->collection);
		c->there |= ours && get_u64(b.data + r.body) <= c->after && c->after < get_u64(b.data + r.body + 8);
	}
}

void rot_check_cut(int node, const char *key)
{
	char prefix[32], collection[64];
	const char *name = strrchr(key, '/'), *stem = name ? strchr(name, '-') : NULL;
	if (node < 0 || was_rotten(node) || !stem || !strstr(key, "/data/") || !strstr(key, ".parquet"))
		return;
	snprintf(collection, sizeof collection, "%.*s", (int)strcspn(key, "/_"), key); /* a quarantine's cut is its collection's */
	snprintf(prefix, sizeof prefix, "/n%d/data/", node); /* its own log's, or one that it took over */
	struct cut c = { collection, strtoull(stem + 1, NULL, 16), false };
	disk_each(prefix, find_cut, &c);
	if (!c.there)
		violated("node %d puts %s, and its log has no durable cut of it", node, key);
}

/* ---- a bit changes ---- */

struct choice {
	const char *path;
	uint64_t at;
	struct rec_head r;
	unsigned seen;
};

void rot_wiped(int node)
{
	for (unsigned i = 0; i < rot_count; i++)
		if (rots[i].node == node)
			rots[i].node = WORLD;
	nodes[node].rotten = false;
}

static void choose(void *ctx, const char *path)
{
	struct choice *c = ctx;
	struct bytes b;
	struct rec_head r;
	if ((!strstr(path, ".wal") && !is_side_file(path)) || !segment_bytes(path, &b))
		return;
	for (uint64_t at = SEG_DATA; record_at(&b, at, &r); at += r.size)
		if (r.type != WAL_SEAL && chance_below(CHANCE_DISK, ++c->seen) == 0)
			c->path = path, c->at = at, c->r = r;
}

/* What stands behind the chosen record. */
static struct rot describe(int node, const struct choice *c)
{
	struct bytes b;
	struct rec_head r;
	segment_bytes(c->path, &b);
	struct rot rot = { node, c->r.first, c->r.first + c->r.count - 1, b.h.seq, c->at, 0, false };
	for (uint64_t at = c->at; !is_side_file(c->path) && record_at(&b, at, &r); at += r.size) {
		rot.tail = r.first + r.count - 1;
		nodes[node].forgot_trim |= r.type == WAL_TRIM || r.type == WAL_ASIDE; /* it may go with a torn tail */
		nodes[node].forgot |= r.type == WAL_KEYS || (r.flags & REC_FLAG_KEY);
	}
	b.data = disk_platter(c->path, &b.len);
	for (uint64_t at = c->at; b.data && !is_side_file(c->path) && record_at(&b, at, &r); at += r.size)
		rot.claimed |= r.durable > c->at && at > c->at;
	return rot;
}

/* An earlier start may have put it aside, and crashed. */
static bool put_aside(const struct rot *rot)
{
	size_t len;
	AUTO_MEM char *path = mem_printf("/n%d/data/log/torn-%016llx-%llu.bin", rot->node, (unsigned long long)rot->seq, (unsigned long long)rot->at);
	return disk_bytes(path, &len) != NULL;
}

void rot_log(int node)
{
	char prefix[32];
	struct choice c = { 0 };
	snprintf(prefix, sizeof prefix, "/n%d/data/log/", node);
	disk_each(prefix, choose, &c);
	if (!c.path || rot_count == ROTS)
		return;
	uint8_t bit = (uint8_t)(1u << chance_below(CHANCE_DISK, 8));
	if (chance_of(CHANCE_DISK, 10)) { /* a segment's header, which stands there twice: nothing is lost */
		uint64_t at = chance_below(CHANCE_DISK, 2 * SEG_HEADER);
		if (!headers_whole(c.path)) /* no start has mended the other copy since: both would be gone, and with them the segment */
			return;
		story("bit rot: a header of %s", c.path);
		disk_flip(c.path, at, bit);
		return;
	}
	bool head = chance_of(CHANCE_DISK, 70);
	uint64_t at = head ? c.at + chance_below(CHANCE_DISK, REC_HEAD + c.r.name_len) : c.r.body + chance_below(CHANCE_DISK, c.r.body_len);
	story("bit rot: record of type %u, positions %llu to %llu, byte %llu of the %s, at %llu of %s", c.r.type, (unsigned long long)c.r.first,
	      (unsigned long long)c.r.first + c.r.count - 1, (unsigned long long)(at - (head ? c.at : c.r.body)), head ? "head" : "body",
	      (unsigned long long)at, c.path);
	rots[rot_count++] = describe(node, &c);
	disk_flip(c.path, at, bit);
	nodes[node].rotten = true;
}

/* ---- what the start said ---- */

static void note_lost(const char *log, uint64_t first, uint64_t last)
{
	for (size_t i = 0; i < lost_count; i++) /* said again by each start; or given once more, after a torn tail, and lost again */
		if (losts[i].first == first && losts[i].last == last && !strcmp(losts[i].log, log)) {
			losts[i].when = sim_now();
			return;
		}
	if (lost_count == sizeof losts / sizeof *losts)
		violated("the log reports damage without end");
	struct lost *l = &losts[lost_count++];
	*l = (struct lost){ .first = first, .last = last, .when = sim_now() };
	snprintf(l->log, sizeof l->log, "%s", log);
}

static bool was_acked(const char *log, uint64_t pos)
{
	for (size_t i = 0; i < sim_sent_count; i++) {
		const struct sent *s = &sim_sent[i];
		if (s->acked && !strcmp(s->log, log) && pos <= s->position && pos + s->count + s->bad > s->position)
			return true;
	}
	return false;
}

/* Said once, maybe: the segment may go, and the start may fail later on. */
static void hear(int node, const struct wal *w)
{
	const struct wal_recovery *r = wal_recovery(w);
	const char *log = wal_id(w);
	static char known[NODES][WAL_ID_LEN + 1];
	nodes[node].forgot |= known[node][0] && strcmp(known[node], log) != 0; /* (ack_store) the one before it had keys */
	snprintf(known[node], sizeof known[node], "%s", log);
	for (size_t i = 0; i < r->damage_count; i++) {
		const struct wal_damage *d = &r->damages[i];
		uint64_t pos = d->first;
		story("node %d: gave up positions %llu to %llu at %llu to %llu of %llx", node, (unsigned long long)d->first, (unsigned long long)d->last,
		      (unsigned long long)d->offset, (unsigned long long)d->end, (unsigned long long)d->segment);
		AUTO_MEM char *side = mem_printf("/n%d/data/log/%016llx.aside", node, (unsigned long long)d->segment);
		size_t len;
		unsigned hits = 0;
		for (unsigned k = 0; k < rot_count; k++)
			hits += rots[k].node == node && rots[k].seq == d->segment && rots[k].at >= d->offset && rots[k].at < d->end;
		if (hits > 1 && disk_bytes(side, &len)) /* neighbours: what lies between their positions is others' */
			pos = d->last + 1;
		for (unsigned k = 0; k < rot_count && pos <= d->last; k++)
			if (rots[k].node == node && pos >= rots[k].first && pos <= rots[k].last) {
				pos = rots[k].last + 1;
				k = UINT_MAX; /* begins anew */
			}
		/* Behind it a group may have been on its way, of which a power cut left the last record alone: what was before that is in the same hole. */
		uint64_t others = pos;
		while (hits && pos <= d->last && !was_acked(log, pos))
			pos++;
		if (pos > others)
			note_lost(log, others, pos - 1);
		/* Without the record that says that a segment or a side file is not needed, it is missed. */
		if (pos <= d->last && !nodes[node].forgot_trim)
			violated("node %d gave up positions %llu to %llu, which nobody has damaged", node, (unsigned long long)d->first,
				 (unsigned long long)d->last);
		for (unsigned k = 0; k < rot_count; k++)
			if (rots[k].node == node && rots[k].first <= d->last && rots[k].last >= d->first)
				note_lost(log, rots[k].first, rots[k].last);
	}
	/* The end of the log was hit: that record, and what was synced with it. */
	for (unsigned k = 0; nodes[node].rotten && k < rot_count; k++)
		if (rots[k].node == node && put_aside(&rots[k])) {
			if (rots[k].claimed)
				violated("node %d took the damage at position %llu for a torn tail", node, (unsigned long long)rots[k].first);
			uint64_t tail = rots[k].tail; /* others behind it went with it */
			for (unsigned j = 0; j < rot_count; j++)
				if (rots[j].node == node && rots[j].seq == rots[k].seq && rots[j].at > rots[k].at && rots[j].tail > tail)
					tail = rots[j].tail;
			note_lost(log, rots[k].first, tail);
		}
}

bool rot_excuses(const char *log, uint64_t position, int64_t acked_at)
{
	for (size_t i = 0; i < lost_count; i++)
		if (!strcmp(losts[i].log, log) && position >= losts[i].first && position <= losts[i].last && acked_at <= losts[i].when)
			return true;
	return false;
}

/* ---- a torn tail is kept ---- */

struct tail {
	char path[128];
	uint64_t seq, end, last_attempt; /* offset of the last bytes that were meant to be a record */
	bool attempt;
	uint8_t *copy;
	size_t len;
};

static void newest(void *ctx, const char *path)
{
	struct tail *t = ctx;
	uint64_t seq = strtoull(strrchr(path, '/') + 1, NULL, 16);
	if (strstr(path, ".wal") && seq >= t->seq) {
		t->seq = seq;
		snprintf(t->path, sizeof t->path, "%s", path);
	}
}

static void look_at_tail(const char *dir, struct tail *t)
{
	struct bytes b;
	AUTO_MEM char *prefix = mem_printf("%s/", dir);
	disk_each(prefix, newest, t);
	if (!t->path[0] || !segment_bytes(t->path, &b))
		return;
	t->end = records_end(&b);
	t->copy = mem_alloc(b.len);
	t->len = b.len;
	memcpy(t->copy, b.data, b.len);
	for (uint64_t at = t->end; at + 8 <= b.len; at += 8)
		if (get_u32(b.data + at) == rec_magic(&b.h)) {
			t->attempt = true;
			t->last_attempt = at;
		}
}

static void check_tail(const struct tail *t, const struct wal_recovery *r)
{
	size_t len;
	const uint8_t *kept = r->torn_file ? disk_bytes(r->torn_file, &len) : NULL;
	if (!t->attempt)
		return;
	if (!r->torn_bytes || !kept)
		violated("the tail of %s from byte %llu on was dropped silently", t->path, (unsigned long long)t->end);
	if (t->last_attempt >= t->end + r->torn_bytes || len != r->torn_bytes || memcmp(kept, t->copy + t->end, len) != 0)
		violated("%s does not hold the tail of %s from byte %llu on", r->torn_file, t->path, (unsigned long long)t->end);
}

rc_t __real_wal_open(const struct wal_options *options, struct wal **ret, struct err *reterr);
rc_t __wrap_wal_open(const struct wal_options *options, struct wal **ret, struct err *reterr);
/* Small segments, so that a thousand events rotate, trim and recycle them. */
rc_t __wrap_wal_open(const struct wal_options *options, struct wal **ret, struct err *reterr)
{
	struct wal_options o = *options;
	struct tail t = { 0 };
	o.segment_bytes = 64 << 10;
	o.write_buffer_bytes = sim_settings.write_buffer;
	o.index_max = sim_settings.index_max;
	o.aside_after_us = o.key_hold_bytes = sim_settings.aside ? 1 : 0; /* as much as possible is moved */
	if (!was_rotten(task_node()))
		look_at_tail(o.dir, &t);
	rc_t rc = __real_wal_open(&o, ret, reterr);
	if (rc == RC_OK) {
		check_tail(&t, wal_recovery(*ret));
		if (o.replica || !sim_settings.ack_store) /* else another node's log */
			hear(task_node(), *ret);
	}
	free(t.copy);
	return rc;
}
