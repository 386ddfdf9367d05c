/* Taking over the log of a server that is gone (`ack: store`). The order is what makes it safe, whoever still lives:
 *
 *   1 no sign of life for adopt_after, all of it seen with our own eyes, or half of it if the store's clock says so, too: a store that was away for
 *     all is no death
 *   2 a seal, created at the next number             its owner can ack nothing more; if it was faster, it lives
 *   3 the objects from `low` on, restored            the same log: same positions, same bytes
 *   4 its cuts, committed as our own are             each requires the position that the table has: an owner that wakes up, or another adopter,
 *                                                    commits the same events at the same positions, and one of two wins
 *   5 another seal behind it says so                 whoever is at 3 meanwhile does not take what is missing for damage
 *   6 the objects below the first are removed        not before every event is in a table
 *
 * A crash between any two: the objects are there, and the next who looks goes on, with a seal of its own behind the last. The seals stay for a month, so that an owner that was stopped for
 * long still meets the first. */
#include <stdio.h>

#include "base/fault.h"
#include "base/log.h"
#include "os/clock.h"
#include "os/file.h"
#include "pipeline/pipeline_internal.h"

#define LOGS_MAX 65536
#define SEAL_TRIES 1000 /* of our own earlier log: numbers that late puts took */
#define FORGET_US ((int64_t)30 * 86400 * 1000000)
#define DAMAGED_AGAIN_US ((int64_t)3600 * 1000000)

/* A log in the lake, as a look found it. */
struct found {
	char id[WAL_ID_LEN + 1];
	uint64_t first, last;
	int64_t newest; /* when `last` was put, by the store's clock */
};
struct looking {
	struct found *list;
	size_t count, cap;
};

/* What earlier looks saw. */
struct seen {
	char id[WAL_ID_LEN + 1];
	uint64_t last;
	int64_t since;    /* clock_mono_us: all looks from then on saw the same */
	int64_t again_at; /* … not before, after a failure */
};

static rc_t find_one(void *ctx, const struct store_entry *entry, struct err *reterr)
{
	struct looking *l = ctx;
	char id[WAL_ID_LEN + 1];
	uint64_t number;
	if (entry->is_folder || !ack_key_parse(entry->key, id, &number))
		return RC_OK;
	struct found *f = NULL;
	for (size_t i = l->count; i-- > 0 && !f;) /* stores list in order, mostly */
		if (!strcmp(l->list[i].id, id))
			f = &l->list[i];
	if (!f) {
		if (l->count == LOGS_MAX)
			return err_set(reterr, RC_LIMIT, "the lake has more than %d logs below " ACK_FOLDER, LOGS_MAX);
		if (l->count == l->cap) {
			l->cap = l->cap ? l->cap * 2 : 16;
			l->list = mem_realloc(l->list, l->cap * sizeof *l->list);
		}
		f = &l->list[l->count++];
		*f = (struct found){ .first = number };
		memcpy(f->id, id, sizeof f->id);
	}
	f->first = number < f->first ? number : f->first;
	if (number >= f->last) {
		f->last = number;
		f->newest = entry->mtime;
	}
	return RC_OK;
}

/* What was seen of it before, or now for the first time. */
static struct seen *seen_of(struct pipeline *p, const struct found *f)
{
	struct ack *a = &p->ack;
	for (size_t i = 0; i < a->seen_count; i++) {
		struct seen *s = &a->seen[i];
		if (strcmp(s->id, f->id) != 0)
			continue;
		if (s->last != f->last)
			*s = (struct seen){ .last = f->last, .since = clock_mono_us() };
		memcpy(s->id, f->id, sizeof s->id);
		return s;
	}
	if (!(a->seen_count & (a->seen_count - 1)))
		a->seen = mem_realloc(a->seen, (a->seen_count ? a->seen_count * 2 : 1) * sizeof *a->seen);
	struct seen *s = &a->seen[a->seen_count++];
	*s = (struct seen){ .last = f->last, .since = clock_mono_us() };
	memcpy(s->id, f->id, sizeof s->id);
	return s;
}

/* Logs that are gone from the lake are forgotten. */
static void seen_sweep(struct pipeline *p, const struct looking *l)
{
	size_t kept = 0;
	for (size_t i = 0; i < p->ack.seen_count; i++)
		for (size_t k = 0; k < l->count; k++)
			if (!strcmp(p->ack.seen[i].id, l->list[k].id)) {
				p->ack.seen[kept++] = p->ack.seen[i];
				break;
			}
	if (!kept) {
		free(p->ack.seen);
		p->ack.seen = NULL;
	} else { /* the array's room is told by its count */
		size_t cap = 1;
		while (cap < kept)
			cap *= 2;
		p->ack.seen = mem_realloc(p->ack.seen, cap * sizeof *p->ack.seen);
	}
	p->ack.seen_count = kept;
}

void adopt_free(struct pipeline *p)
{
	free(p->ack.seen);
	p->ack.seen = NULL;
	p->ack.seen_count = 0;
}

/* ---- one log ---- */

static rc_t get_object(struct pipeline *p, const char *id, uint64_t number, struct buf *b, struct wal_object *ret, struct err *reterr)
{
	struct err err;
	buf_reset(b);
	TRY(ack_ops.get(p, id, number, b, reterr));
	rc_t rc = wal_object_parse(buf_slice(b), ret, &err);
	if (rc == RC_OK && (strcmp(ret->log, id) != 0 || ret->number != number))
		rc = err_set(&err, RC_CORRUPT, "it is another object, number %llu of the log %s", (unsigned long long)ret->number, ret->log);
	if (rc != RC_OK)
		return err_set(reterr, rc, ACK_FOLDER "/%s/%020llu: %s", id, (unsigned long long)number, err.text);
	return RC_OK;
}

/* A log's end, and where we stand with it. */
struct ending {
	uint64_t end;  /* number of the first seal */
	uint64_t mine; /* of ours: the last object */
	bool done;     /* all below `end` is in tables already */
};

/* Puts our seal. RC_CONFLICT: its owner lives, or another server is at it. A seal that is seen may not be durable: ours behind it makes it so. */
static rc_t seal(struct pipeline *p, const struct found *f, struct ending *ret, struct err *reterr)
{
	AUTO_BUF struct buf b, mark;
	struct wal_object o;
	bool forced = !strcmp(f->id, p->ack.forced);
	buf_init(&b, WAL_OBJECT_HEAD + WAL_OBJECT_CHUNK);
	buf_init(&mark, WAL_OBJECT_HEAD);
	uint64_t epoch = 1, number = f->last;
	for (int i = 0; i < SEAL_TRIES; i++) {
		rc_t rc = get_object(p, f->id, number, &b, &o, reterr);
		if (rc != RC_OK && rc != RC_CORRUPT)
			return rc;
		bool sealed = rc == RC_OK && o.kind == WAL_OBJECT_SEAL;
		epoch = rc != RC_OK ? epoch : sealed ? o.epoch : o.epoch + 1;
		*ret = (struct ending){ sealed ? o.position : number + 1, number + 1, sealed && o.low == number };
		if (ret->done)
			return RC_OK;
		if (sealed && forced) {
			p->ack.forced[0] = 0; /* another server took it from us: it will finish, or we, as with any other */
			return err_set(reterr, RC_CONFLICT, "the log %s is being taken over", f->id);
		}
		buf_reset(&mark);
		wal_object_seal(&mark, f->id, ++number, ret->end, epoch, wal_id(p->wal), false);
		fault_point("adopt.seal");
		rc = ack_ops.put(p, f->id, number, buf_slice(&mark), reterr);
		fault_point("adopt.sealed");
		if (rc != RC_CONFLICT || !forced)
			return rc;
	}
	return err_set(reterr, RC_CONFLICT, "the log %s is being written", f->id);
}

/* The number from which on objects are needed. What the newest says counts; any older one that can be read says less. */
static rc_t find_low(struct pipeline *p, const char *id, uint64_t first, uint64_t end, struct buf *b, uint64_t *ret_low, uint64_t *ret_epoch,
		     struct err *reterr)
{
	struct wal_object o;
	*ret_low = first;
	*ret_epoch = 1;
	for (uint64_t n = end; n-- > first;) {
		rc_t rc = get_object(p, id, n, b, &o, reterr);
		if (rc == RC_OK) {
			*ret_low = wal_object_at_rest(&o) ? n + 1 : o.low;
			*ret_epoch = o.epoch;
			return RC_OK;
		}
		if (rc != RC_NOT_FOUND && rc != RC_CORRUPT)
			return rc;
	}
	return RC_OK;
}

/* Says behind our seal that all below the first is in tables. RC_CONFLICT: another server took over from us. */
static rc_t say_done(struct pipeline *p, const char *id, const struct ending *e, uint64_t epoch, struct err *reterr)
{
	AUTO_BUF struct buf mark;
	buf_init(&mark, WAL_OBJECT_HEAD);
	wal_object_seal(&mark, id, e->mine + 1, e->end, epoch, wal_id(p->wal), true);
	return ack_ops.put(p, id, e->mine + 1, buf_slice(&mark), reterr);
}

/* Another server was faster. */
static bool is_done(struct pipeline *p, const char *id, struct buf *b)
{
	struct wal_object o;
	uint64_t first, whole, last;
	return ack_ops.range(p, id, &first, &whole, &last, NULL) == RC_OK && get_object(p, id, last, b, &o, NULL) == RC_OK && o.kind == WAL_OBJECT_SEAL &&
	       o.low == last;
}

bool adopt_is_over(struct pipeline *p, const char *id)
{
	AUTO_BUF struct buf b;
	struct wal_object o;
	uint64_t first, whole, last;
	buf_init(&b, WAL_OBJECT_HEAD + WAL_OBJECT_CHUNK);
	rc_t rc = ack_ops.range(p, id, &first, &whole, &last, NULL);
	if (rc != RC_OK)
		return rc == RC_NOT_FOUND;
	return get_object(p, id, last, &b, &o, NULL) == RC_OK && (wal_object_at_rest(&o) || (o.kind == WAL_OBJECT_SEAL && o.low == last));
}

struct adoption {
	const char *id;
	uint64_t first, low, end, epoch;
	uint64_t seal;    /* ours */
	uint64_t missing; /* objects that are needed and not there, or damaged */
	bool any;         /* something was restored */
	char *dir;
	uint64_t events, collections;
};

/* `number` is not there. Does an object behind it say that it was? RC_EOF: no; then nothing from it on was acked. One that is damaged may have
 * said so; and a store that does not know our seal either is away, whatever it says. */
static rc_t was_there(struct pipeline *p, const struct adoption *a, uint64_t number, struct buf *b, struct err *reterr)
{
	struct wal_object o;
	bool damaged = false;
	for (uint64_t n = a->end; n-- > number + 1;) {
		rc_t rc = get_object(p, a->id, n, b, &o, reterr);
		if (rc == RC_OK && o.sure >= number)
			return RC_OK;
		if (rc != RC_OK && rc != RC_NOT_FOUND && rc != RC_CORRUPT)
			return rc;
		damaged |= rc == RC_CORRUPT;
	}
	rc_t rc = get_object(p, a->id, a->seal, b, &o, reterr);
	if (rc != RC_OK)
		return err_set(reterr, RC_IO, "the lake does not show the seal of the log %s, number %llu, which is there", a->id, (unsigned long long)a->seal);
	return damaged ? RC_OK : RC_EOF;
}

static rc_t restore(struct pipeline *p, struct adoption *a, struct buf *b, struct err *reterr)
{
	struct wal_restore r = { .dir = a->dir };
	struct wal_object o;
	struct err why = { 0 };
	TRY(dir_remove_tree(a->dir, reterr));
	TRY(dir_make(a->dir, reterr));
	for (uint64_t n = a->low; n < a->end; n++) {
		if (pipeline_stopping(p))
			return err_set(reterr, RC_CANCELLED, "the server ends");
		rc_t rc = get_object(p, a->id, n, b, &o, reterr);
		if (rc == RC_NOT_FOUND) {
			rc = was_there(p, a, n, b, reterr);
			if (rc == RC_EOF) {
				log_warn("objects of the log %s from number %llu on were never acked, and are dropped", a->id, (unsigned long long)n);
				break;
			}
			TRY(rc);
			rc = RC_NOT_FOUND;
		}
		if (rc == RC_NOT_FOUND || rc == RC_CORRUPT) {
			if (!a->missing++)
				err_set(&why, RC_CORRUPT, ACK_FOLDER "/%s/%020llu is %s", a->id, (unsigned long long)n, rc == RC_CORRUPT ? "damaged" : "missing");
			continue;
		}
		TRY(rc);
		TRY(wal_restore_object(&r, &o, reterr));
	}
	a->any = r.filled;
	if (a->missing && is_done(p, a->id, b))
		return err_set(reterr, RC_CONFLICT, "another server took the log %s over", a->id);
	if (a->missing && !p->opts.salvage)
		return err_set(reterr, RC_CORRUPT, "%s (%llu such objects), and tables do not hold all of its events: put it back, or start a server with "
			       "--salvage to give them up; nothing of this log is touched until then", why.text, (unsigned long long)a->missing);
	if (a->missing)
		log_error("%s (%llu such objects of this log), given up by --salvage", why.text, (unsigned long long)a->missing);
	return RC_OK;
}

struct names {
	char **list;
	size_t count;
};

static rc_t name_one(void *ctx, struct slice name, const struct wal_pending *pending)
{
	struct names *n = ctx;
	if (!pending->events)
		return RC_OK;
	if (!(n->count & (n->count - 1)))
		n->list = mem_realloc(n->list, (n->count ? n->count * 2 : 1) * sizeof *n->list);
	n->list[n->count++] = mem_printf("%.*s", SLICE_ARG(name));
	return RC_OK;
}

static rc_t commit_one(struct pipeline *p, struct adoption *a, struct wal *log, const char *name, struct err *reterr)
{
	struct collection *c = collection_get(p, name);
	struct wal_pending pending;
	pthread_mutex_lock(&c->commit);
	uint64_t before = c->state.committed_events;
	rc_t rc = hydrate_cuts(p, log, a->epoch + 1, c, reterr);
	a->events += c->state.committed_events - before;
	pthread_mutex_unlock(&c->commit);
	TRY(rc);
	wal_pending(log, slice_str(name), &pending);
	if (pending.events)
		return err_set(reterr, RC_CANCELLED, "the server ends");
	a->collections++;
	return RC_OK;
}

static rc_t commit_all(struct pipeline *p, struct adoption *a, struct err *reterr)
{
	struct wal_options wo = { .dir = a->dir, .max_bytes = UINT64_MAX / 4, .key_window_us = 1, .spare_bytes = 1, .salvage = p->opts.salvage,
				  .manual_sync = true };
	AUTO(wal) *log = NULL;
	TRY(wal_open(&wo, &log, reterr));
	const struct wal_recovery *r = wal_recovery(log);
	if (r->torn_bytes)
		log_warn("the end of the log %s was on its way when its server died: %llu bytes were never acked, and are dropped", a->id,
			 (unsigned long long)r->torn_bytes);
	for (size_t i = 0; i < r->damage_count; i++)
		log_error("the log %s lost positions %llu to %llu, given up by --salvage", a->id, (unsigned long long)r->damages[i].first,
			  (unsigned long long)r->damages[i].last);
	struct names n = { 0 };
	wal_collections(log, name_one, &n);
	rc_t rc = RC_OK;
	for (size_t i = 0; i < n.count; i++) {
		struct err one;
		rc_t done = rc == RC_CANCELLED ? rc : commit_one(p, a, log, n.list[i], &one); /* one that cannot be committed keeps no other waiting */
		if (done != RC_OK && rc == RC_OK && reterr)
			*reterr = one;
		rc = done != RC_OK && rc != RC_CANCELLED ? done : rc;
		free(n.list[i]);
	}
	free(n.list);
	return rc;
}

static rc_t remove_objects(struct pipeline *p, const char *id, uint64_t first, uint64_t end, struct err *reterr)
{
	for (uint64_t n = first; n < end; n++) {
		if (pipeline_stopping(p))
			return err_set(reterr, RC_CANCELLED, "the server ends");
		TRY(ack_ops.remove(p, id, n, reterr));
		fault_point("adopt.removed");
	}
	return RC_OK;
}

static rc_t adopt(struct pipeline *p, const struct found *f, struct seen *s, struct err *reterr)
{
	AUTO_MEM char *dir = mem_printf("%s/adopt/%s", p->data_dir, f->id);
	struct adoption a = { .id = f->id, .first = f->first, .dir = dir };
	AUTO_BUF struct buf b;
	buf_init(&b, WAL_OBJECT_HEAD + WAL_OBJECT_CHUNK);
	int64_t start = clock_mono_us();
	struct ending e = { 0 };
	TRY(seal(p, f, &e, reterr));
	a.end = e.end;
	a.seal = e.mine;
	s->last = e.mine; /* it is no sign of life */
	if (e.done)
		return remove_objects(p, f->id, a.first, a.end, reterr);
	TRY(find_low(p, f->id, a.first, a.end, &b, &a.low, &a.epoch, reterr));
	rc_t rc = a.low < a.end ? restore(p, &a, &b, reterr) : RC_OK;
	if (rc == RC_OK && a.any)
		rc = commit_all(p, &a, reterr);
	dir_remove_tree(dir, NULL);
	__atomic_add_fetch(&p->ack.events, a.events, __ATOMIC_RELAXED);
	TRY(rc);
	fault_point("adopt.committed");
	TRY(say_done(p, f->id, &e, a.epoch + 1, reterr));
	TRY(remove_objects(p, f->id, a.first, a.end, reterr));
	__atomic_add_fetch(&p->ack.logs, 1, __ATOMIC_RELAXED);
	log_info("took over the log %s of a server that is gone: events=%llu collections=%llu objects=%llu ms=%lld", f->id, (unsigned long long)a.events,
		 (unsigned long long)a.collections, (unsigned long long)(a.end - a.first), (long long)((clock_mono_us() - start) / 1000));
	return RC_OK;
}

/* ---- all logs ---- */

/* Is there anything to take over, or to forget? RC_EOF: no. */
static rc_t judge(struct pipeline *p, const struct found *f, int64_t age, struct err *reterr)
{
	AUTO_BUF struct buf b;
	struct wal_object o;
	buf_init(&b, WAL_OBJECT_HEAD + WAL_OBJECT_CHUNK);
	rc_t rc = get_object(p, f->id, f->last, &b, &o, reterr);
	if (rc == RC_CORRUPT)
		return RC_OK;
	TRY(rc);
	bool alone = o.kind == WAL_OBJECT_SEAL && o.low == f->last && f->first >= o.position;
	if (!alone && !wal_object_at_rest(&o))
		return RC_OK;
	if (age > FORGET_US)
		TRY(remove_objects(p, f->id, f->first, f->last + 1, reterr));
	return RC_EOF;
}

static void look_at(struct pipeline *p, const struct found *f)
{
	int64_t after = ack_adopt_after(p), now = clock_mono_us();
	int64_t age = store_now(p->ack.store) - f->newest;
	bool forced = !strcmp(f->id, p->ack.forced);
	struct seen *s = seen_of(p, f);
	struct err err = { 0 };
	bool silent = now - s->since >= after || (now - s->since >= after / 2 && age >= after);
	if (now < s->again_at || (!forced && !silent))
		return;
	rc_t rc = forced ? RC_OK : judge(p, f, age, &err);
	if (rc == RC_OK) {
		rc = adopt(p, f, s, &err);
		rc = rc == RC_EOF ? RC_IO : rc; /* of a file: not "nothing to take over", of which nobody is told */
	}
	if (rc == RC_OK && forced)
		p->ack.forced[0] = 0;
	if (rc == RC_EOF)
		s->again_at = now + DAMAGED_AGAIN_US; /* it stands as it is; a new object makes it new */
	if (rc == RC_OK || rc == RC_EOF || rc == RC_CANCELLED)
		return;
	s->since = now;
	if (rc == RC_CONFLICT) /* it lives */
		return;
	s->again_at = now + (rc == RC_CORRUPT ? DAMAGED_AGAIN_US : 0);
	__atomic_add_fetch(&p->ack.failures, 1, __ATOMIC_RELAXED);
	log_error("the log %s of a server that is gone cannot be taken over now: %s", f->id, err.text);
}

void adopt_look(struct pipeline *p)
{
	struct looking l = { 0 };
	struct err err;
	rc_t rc = store_list(p->ack.store, ACK_FOLDER, find_one, &l, &err);
	if (rc != RC_OK) {
		adopt_free(p); /* silence counts from the next look that succeeds */
		__atomic_add_fetch(&p->ack.failures, 1, __ATOMIC_RELAXED);
		if (!pipeline_stopping(p))
			log_warn("logs of other servers in the lake cannot be looked for now: %s", err.text);
	}
	for (size_t i = 0; rc == RC_OK && i < l.count && !pipeline_stopping(p); i++)
		if (strcmp(l.list[i].id, wal_id(p->wal)) != 0)
			look_at(p, &l.list[i]);
	if (rc == RC_OK)
		seen_sweep(p, &l);
	free(l.list);
}
