/* The hydrate loop: wal.read → shred → parquet → cut → store.put* → table.commit(positions) → wal.trim. Its order is what makes a crash at
 * any step harmless:
 *
 *   1 the cut (a range of positions) is durable in the log      a restart makes the same rows under the same file names
 *   2 new columns are committed to the table                    no file ever uses a column that the table does not know
 *   3 files are stored                                          not yet visible: no table names them
 *   4 one table commit: the files and the position, together    exactly-once; requires the position that the cut started from
 *   5 the log is told, and trims                                what is trimmed is in the table
 *
 * Quarantined events go first, to their own table with its own position: when the collection's position moves, they are safe already.
 */
#include <stdio.h>

#include "base/fault.h"
#include "base/log.h"
#include "os/clock.h"
#include "pipeline/pipeline_internal.h"

#define BUSY_BYTES ((uint64_t)8 << 20)
#define CUT_POSITIONS ((uint64_t)16 << 20) /* a cut spans at most so many: bounds time and memory of one commit */
#define CUT_COMMIT_BYTES 2u                /* … and about so many times commit_bytes: a backlog is trimmed bit by bit, not at its end */
#define CLOCK_BACK_US 1000000 /* less than that is a clock being adjusted */
#define RETRY_FIRST_US 1000000
#define RETRY_MAX_US ((int64_t)60 * 1000000)

static bool stopping(const struct pipeline *p)
{
	return __atomic_load_n(&p->stopping, __ATOMIC_RELAXED);
}

/* How many positions the next cut may span. */
static uint64_t cut_span(const struct pipeline *p, const struct wal_pending *pending)
{
	uint64_t span = pending->last - pending->first + 1, most = p->opts.commit_bytes * CUT_COMMIT_BYTES;
	if (pending->bytes > most)
		span = (uint64_t)((double)span * ((double)most / (double)pending->bytes)); /* as if events were of one size */
	return span > CUT_POSITIONS ? CUT_POSITIONS : span ? span : 1;
}

/* The next cut of the collection: the one the log remembers, or a new one, made durable. RC_EOF: nothing waits. */
static rc_t choose_cut(struct pipeline *p, struct collection *c, uint64_t *ret_after, uint64_t *ret_upto, struct err *reterr)
{
	struct slice name = slice_str(c->name);
	AUTO_BUF struct buf plan;
	buf_init(&plan, WAL_PLAN_MAX);
	rc_t rc = wal_cut_get(p->wal, name, ret_after, ret_upto, &plan, reterr);
	if (rc != RC_NOT_FOUND)
		return rc;
	struct wal_pending pending;
	wal_pending(p->wal, name, &pending);
	if (!pending.events)
		return RC_EOF;
	*ret_after = pending.first - 1;
	*ret_upto = *ret_after + cut_span(p, &pending);
	return wal_cut(p->wal, name, *ret_after, *ret_upto, (struct slice){ 0 }, reterr);
}

/* One cut, whole. RC_EOF: nothing waits. *ret_upto: where it ended. */
static rc_t hydrate_cut(struct pipeline *p, struct collection *c, uint64_t *ret_upto, struct err *reterr)
{
	struct commit commit = { .p = p, .log = wal_id(p->wal), .lock = &c->lock };
	TRY(choose_cut(p, c, &commit.after, &commit.upto, reterr));
	fault_point("hydrate.cut");
	AUTO_MEM char *value = mem_printf("%llu:%llu", (unsigned long long)wal_epoch(p->wal), (unsigned long long)commit.upto);
	commit.value = value;
	struct wal_source source;
	wal_source_init(&source, p->wal, c->name, commit.after, commit.upto);
	commit.source = (struct build_source){ &source, wal_source_rewind, wal_source_next };
	rc_t rc = commit_cut(&commit, c->name, reterr);
	wal_source_free(&source);
	TRY(rc);
	fault_point("hydrate.before_trim");
	pthread_mutex_lock(&c->lock);
	rc = wal_committed(p->wal, slice_str(c->name), commit.upto, reterr);
	pthread_mutex_unlock(&c->lock);
	pthread_mutex_lock(&c->state_lock);
	c->state.commits++;
	c->state.committed_events += commit.events;
	c->state.committed_files += commit.files;
	c->state.committed_bytes += commit.bytes;
	c->state.raw_rows += commit.raw_rows;
	c->state.mismatches += commit.mismatches;
	pthread_mutex_unlock(&c->state_lock);
	*ret_upto = commit.upto;
	return rc;
}

/* Cuts up to what waits now, and no further: what comes in meanwhile is due later, or else a busy collection would be committed without
 * end, in small files, and keep the others waiting. */
static rc_t hydrate_cuts(struct pipeline *p, struct collection *c, struct err *reterr)
{
	struct wal_pending pending;
	wal_pending(p->wal, slice_str(c->name), &pending);
	uint64_t upto = 0;
	rc_t rc;
	do
		rc = hydrate_cut(p, c, &upto, reterr);
	while (rc == RC_OK && upto < pending.last && !stopping(p));
	return rc == RC_EOF ? RC_OK : rc;
}

static void note_outcome(struct collection *c, rc_t rc, const struct err *err)
{
	pthread_mutex_lock(&c->state_lock);
	unsigned failures = c->failures_in_row;
	if (rc == RC_OK) {
		c->failures_in_row = 0;
		c->retry_at = 0;
		c->error[0] = 0;
	} else {
		c->state.failures++;
		int64_t wait = RETRY_FIRST_US << (failures < 6 ? failures : 6);
		c->retry_at = clock_mono_us() + (wait < RETRY_MAX_US ? wait : RETRY_MAX_US);
		c->failures_in_row++;
		snprintf(c->error, sizeof c->error, "%s", err->text);
	}
	pthread_mutex_unlock(&c->state_lock);
	if (rc != RC_OK)
		log_error("cannot commit %s, its events stay in the log: %s", c->name, err->text);
	else if (failures)
		log_info("commits of %s work again", c->name);
}

static rc_t hydrate_collection(struct pipeline *p, struct collection *c, struct err *reterr)
{
	struct err err = { 0 };
	int64_t start = clock_mono_us();
	pthread_mutex_lock(&c->commit);
	uint64_t before = c->state.committed_events; /* changes under `commit` only */
	rc_t rc = hydrate_cuts(p, c, &err);
	uint64_t events = c->state.committed_events - before;
	note_outcome(c, rc, &err);
	pthread_mutex_unlock(&c->commit);
	if (rc != RC_OK && reterr)
		*reterr = err;
	if (events)
		log_info("committed %s events=%llu ms=%lld", c->name, (unsigned long long)events, (long long)((clock_mono_us() - start) / 1000));
	return rc;
}

/* ---- when ---- */

struct schedule {
	struct pipeline *p;
	int64_t next; /* clock_mono_us of the earliest deadline; INT64_MAX = none */
	char **due;
	size_t due_count, due_cap;
	uint64_t bytes;
};

static rc_t schedule_one(void *ctx, struct slice name, const struct wal_pending *pending)
{
	struct schedule *s = ctx;
	struct pipeline *p = s->p;
	s->bytes += pending->bytes;
	AUTO_MEM char *text = mem_printf("%.*s", SLICE_ARG(name));
	struct collection *c = collection_get(p, text);
	int64_t now = clock_mono_us();
	int64_t interval = pending->bytes >= BUSY_BYTES ? p->opts.commit_busy_us : p->opts.commit_idle_us;
	int64_t age = pending->oldest ? clock_wall_us() - pending->oldest : 0;
	if (age < -CLOCK_BACK_US)
		age = interval; /* the clock was set back: nobody knows how long they have waited */
	int64_t due = now + interval - (age > 0 ? age : 0);
	if (pending->bytes >= p->opts.commit_bytes)
		due = now;
	pthread_mutex_lock(&c->state_lock);
	if (c->retry_at > due)
		due = c->retry_at;
	pthread_mutex_unlock(&c->state_lock);
	if (due > now) {
		s->next = due < s->next ? due : s->next;
		return RC_OK;
	}
	if (s->due_count == s->due_cap) {
		s->due_cap = s->due_cap ? s->due_cap * 2 : 16;
		s->due = mem_realloc(s->due, s->due_cap * sizeof *s->due);
	}
	s->due[s->due_count++] = mem_strdup(text);
	return RC_OK;
}

/* So much more than at the last look is worth another look at the schedule. */
static bool much_came_in(struct pipeline *p, uint64_t bytes)
{
	struct wal_stats stats;
	wal_stats(p->wal, &stats);
	return stats.pending_bytes > bytes + p->opts.commit_bytes / 2;
}

static bool anything_came_in(struct pipeline *p, uint64_t bytes)
{
	struct wal_stats stats;
	wal_stats(p->wal, &stats);
	return stats.pending_bytes > bytes;
}

/* Sleeps until the next deadline, or until much has come in. Without deadline until the first durable group. What became durable between
 * the look at the schedule (it saw `bytes`) and here woke nobody: hence the second look, after on_durable can see that we sleep. */
static void sleep_until(struct pipeline *p, int64_t next, uint64_t bytes)
{
	pthread_mutex_lock(&p->lock);
	__atomic_store_n(&p->bytes_at_check, bytes, __ATOMIC_SEQ_CST);
	__atomic_store_n(&p->asleep_for_good, next == INT64_MAX, __ATOMIC_SEQ_CST);
	if (stopping(p) || (next == INT64_MAX ? anything_came_in(p, bytes) : much_came_in(p, bytes))) {
		/* look again at once */
	} else if (next == INT64_MAX) {
		pthread_cond_wait(&p->wake, &p->lock);
	} else {
		struct timespec ts = { next / 1000000, next % 1000000 * 1000 };
		pthread_cond_timedwait(&p->wake, &p->lock, &ts);
	}
	__atomic_store_n(&p->asleep_for_good, false, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&p->lock);
}

/* On the log's sync thread, after each group: wakes the hydrate thread when it has no deadline yet, or when enough came in to commit early. */
static void on_durable(void *ctx, uint64_t settled)
{
	struct pipeline *p = ctx;
	(void)settled;
	if (!__atomic_load_n(&p->asleep_for_good, __ATOMIC_SEQ_CST) &&
	    !much_came_in(p, __atomic_load_n(&p->bytes_at_check, __ATOMIC_SEQ_CST)))
		return;
	pthread_mutex_lock(&p->lock);
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
}

static void *hydrate_thread(void *arg)
{
	struct pipeline *p = arg;
	while (!stopping(p)) {
		struct schedule s = { .p = p, .next = INT64_MAX };
		wal_collections(p->wal, schedule_one, &s);
		for (size_t i = 0; i < s.due_count; i++) {
			if (!stopping(p))
				hydrate_collection(p, collection_get(p, s.due[i]), NULL);
			free(s.due[i]);
		}
		free(s.due);
		if (!s.due_count)
			sleep_until(p, s.next, s.bytes);
	}
	return NULL;
}

rc_t pipeline_start(struct pipeline *p, struct err *reterr)
{
	TRY(wal_on_durable(p->wal, on_durable, p, reterr));
	int failed = pthread_create(&p->thread, NULL, hydrate_thread, p);
	if (failed)
		return err_set(reterr, RC_IO, "cannot start the hydrate thread: %s", strerror(failed));
	p->running = true;
	return RC_OK;
}

void pipeline_stop(struct pipeline *p)
{
	if (!p->running)
		return;
	pthread_mutex_lock(&p->lock);
	__atomic_store_n(&p->stopping, true, __ATOMIC_RELAXED);
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
	pthread_join(p->thread, NULL);
	wal_remove_on_durable(p->wal, on_durable, p);
	p->running = false;
}

struct flush {
	struct pipeline *p;
	char **names;
	size_t count;
};

static rc_t flush_name(void *ctx, struct slice name, const struct wal_pending *pending)
{
	struct flush *f = ctx;
	(void)pending;
	f->names = mem_realloc(f->names, (f->count + 1) * sizeof *f->names);
	f->names[f->count++] = mem_printf("%.*s", SLICE_ARG(name));
	return RC_OK;
}

rc_t pipeline_flush(struct pipeline *p, const char *collection, struct err *reterr)
{
	if (collection) {
		AUTO_MEM char *base = mem_strdup(collection); /* a quarantine is committed with its collection */
		char *suffix = strstr(base, QUARANTINE_SUFFIX);
		if (suffix)
			*suffix = 0;
		if (!collection_exists(p, base, collection))
			return err_set(reterr, RC_NOT_FOUND, "there is no collection '%s'; `hydrant collections` lists those there are",
				       collection);
		return hydrate_collection(p, collection_get(p, base), reterr);
	}
	struct flush f = { .p = p };
	wal_collections(p->wal, flush_name, &f);
	rc_t rc = RC_OK;
	for (size_t i = 0; i < f.count; i++) {
		rc_t one = hydrate_collection(p, collection_get(p, f.names[i]), reterr);
		if (one != RC_OK)
			rc = one;
		free(f.names[i]);
	}
	free(f.names);
	return rc;
}
