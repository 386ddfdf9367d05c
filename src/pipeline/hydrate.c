/* The hydrate loop: wal.read → shred → parquet → cut → store.put* → table.commit(positions) → wal.trim. Its order is what makes a crash at
 * any step harmless:
 *
 *   1 the cut (a range of positions) is durable in the log      a restart makes the same rows
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

#define CUT_POSITIONS ((uint64_t)16 << 20) /* a cut spans at most so many: bounds time and memory of one commit */
#define CUT_COMMIT_BYTES 2u                /* … and about so many times commit_bytes: a backlog is trimmed bit by bit, not at its end */
#define RETRY_FIRST_US 1000000
#define RETRY_MAX_US ((int64_t)60 * 1000000)

/* How many positions the next cut may span. */
static uint64_t cut_span(const struct pipeline *p, const struct wal_pending *pending)
{
	uint64_t span = pending->last - pending->first + 1, most = p->opts.commit_bytes * CUT_COMMIT_BYTES;
	if (pending->bytes > most)
		span = (uint64_t)((double)span * ((double)most / (double)pending->bytes)); /* as if events were of one size */
	return span > CUT_POSITIONS ? CUT_POSITIONS : span ? span : 1;
}

/* The next cut of the collection: the one the log remembers, or a new one, made durable. RC_EOF: nothing waits. */
static rc_t choose_cut(struct pipeline *p, struct wal *wal, struct collection *c, uint64_t *ret_after, uint64_t *ret_upto, struct err *reterr)
{
	struct slice name = slice_str(c->name);
	AUTO_BUF struct buf plan;
	buf_init(&plan, WAL_PLAN_MAX);
	rc_t rc = wal_cut_get(wal, name, ret_after, ret_upto, &plan, reterr);
	if (rc != RC_NOT_FOUND)
		return rc;
	struct wal_pending pending;
	wal_pending(wal, name, &pending);
	if (!pending.events)
		return RC_EOF;
	*ret_after = pending.first - 1;
	*ret_upto = *ret_after + cut_span(p, &pending);
	return wal_cut(wal, name, *ret_after, *ret_upto, (struct slice){ 0 }, reterr);
}

/* One cut, whole. RC_EOF: nothing waits. *ret_upto: where it ended. */
static rc_t hydrate_cut(struct pipeline *p, struct wal *wal, uint64_t epoch, struct collection *c, uint64_t *ret_upto, struct err *reterr)
{
	struct commit commit = { .p = p, .log = wal_id(wal) };
	TRY(choose_cut(p, wal, c, &commit.after, &commit.upto, reterr));
	fault_point("hydrate.cut");
	AUTO_MEM char *value = mem_printf("%llu:%llu", (unsigned long long)epoch, (unsigned long long)commit.upto);
	commit.value = value;
	struct wal_source source;
	wal_source_init(&source, wal, c->name, commit.after, commit.upto);
	commit.source = (struct build_source){ &source, wal_source_rewind, wal_source_next };
	rc_t rc = commit_cut(&commit, c->name, reterr);
	wal_source_free(&source);
	TRY(rc);
	fault_point("hydrate.before_trim");
	pthread_mutex_lock(&c->lock);
	rc = wal_committed(wal, slice_str(c->name), commit.upto, reterr);
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
rc_t hydrate_cuts(struct pipeline *p, struct wal *wal, uint64_t epoch, struct collection *c, struct err *reterr)
{
	struct wal_pending pending;
	wal_pending(wal, slice_str(c->name), &pending);
	uint64_t upto = 0;
	rc_t rc;
	do
		rc = hydrate_cut(p, wal, epoch, c, &upto, reterr);
	while (rc == RC_OK && upto < pending.last && !pipeline_stopping(p));
	return rc == RC_EOF ? RC_OK : rc;
}

static void note_outcome(struct pipeline *p, struct collection *c, rc_t rc, const struct err *err)
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
	wal_aside(p->wal, slice_str(c->name), rc != RC_OK);
	if (rc != RC_OK)
		log_error("cannot commit %s, its events stay in the log: %s", c->name, err->text);
	else if (failures)
		log_info("commits of %s work again", c->name);
	rights_outcome(p, place_with(p, c->name), rc, err);
}

rc_t hydrate_collection(struct pipeline *p, struct collection *c, struct err *reterr)
{
	struct err err = { 0 };
	int64_t start = clock_mono_us();
	pthread_mutex_lock(&c->commit);
	uint64_t before = c->state.committed_events; /* changes under `commit` only */
	rc_t rc = hydrate_cuts(p, p->wal, wal_epoch(p->wal), c, &err);
	uint64_t events = c->state.committed_events - before;
	note_outcome(p, c, rc, &err);
	pthread_mutex_unlock(&c->commit);
	if (rc != RC_OK && reterr)
		*reterr = err;
	if (events)
		log_info("committed %s events=%llu ms=%lld", c->name, (unsigned long long)events, (long long)((clock_mono_us() - start) / 1000));
	return rc;
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
