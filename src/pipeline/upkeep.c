/* What tables need beside their commits: days that are over leave them (retention). One thread looks every hour at the collections that have such a
 * setting, so that those go, too, that get no events any more. Any number of servers may do it at once: each commit of it is one table commit. */
#include "base/log.h"
#include "os/clock.h"
#include "os/file.h"
#include "pipeline/pipeline_internal.h"

#define SECOND_US ((int64_t)1000000)
#define FIRST_US (60 * SECOND_US) /* after the start: not in the way of what waited meanwhile */
#define EVERY_US (3600 * SECOND_US)
#define SWEEP_EVERY 24            /* looks: a sweep reads all manifests and lists the folder */
#define GRACE_US (3 * DAY_US)     /* a file that nobody names may be of a commit that has been failing since */

static rc_t expire_one(struct pipeline *p, struct place *pl, const char *name, int64_t retention_us, bool sweep, struct expiry *sum,
		       struct err *reterr)
{
	AUTO(table) *t = NULL;
	struct store *store;
	struct table_retired gone = { 0 };
	uint64_t removed = 0;
	TRY(place_open(p, pl, &store, reterr));
	TRY(table_open(store, name, &t, reterr));
	if (retention_us)
		TRY(table_retire(t, time_day(store_now(store) - retention_us), &gone, reterr));
	sum->files += gone.files;
	sum->events += gone.records;
	sum->bytes += gone.bytes;
	if (gone.files)
		log_info("%s: %llu files with %llu events are over, and left the table", name, (unsigned long long)gone.files,
			 (unsigned long long)gone.records);
	if (!sweep)
		return RC_OK;
	struct table_keep keep = table_keep_default();
	keep.grace = GRACE_US;
	keep.data = true;
	keep.cancel = &p->stopping; /* an end does not wait for thousands of deletes */
	if (retention_us) /* else an earlier snapshot would keep what has to go */
		keep.snapshots_min = 1;
	TRY(table_expire(t, &keep, &removed, reterr));
	sum->removed += removed;
	return RC_OK;
}

/* The collection whose quarantine this is; NULL: it is none. Caller frees. */
static char *base_of(const char *collection)
{
	size_t n = strlen(collection), suffix = sizeof QUARANTINE_SUFFIX - 1;
	bool quarantine = n > suffix && !strcmp(collection + n - suffix, QUARANTINE_SUFFIX);
	return quarantine ? mem_printf("%.*s", (int)(n - suffix), collection) : NULL;
}

rc_t pipeline_expire(struct pipeline *p, const char *collection, bool sweep, struct expiry *ret, struct err *reterr)
{
	struct collection_settings s;
	AUTO_MEM char *base = base_of(collection);
	if (base && collection_exists(p, base, base))
		return err_set(reterr, RC_NOT_FOUND, "%s is expired with %s", collection, base);
	collection = base ? base : collection;
	AUTO_MEM char *quarantine = mem_printf("%s" QUARANTINE_SUFFIX, collection);
	*ret = (struct expiry){ 0 };
	collection_settings_get(p, collection, &s);
	rc_t rc = expire_one(p, s.place, collection, s.retention_us, sweep, ret, reterr);
	rc_t second = rc == RC_OK || rc == RC_NOT_FOUND ? expire_one(p, s.place, quarantine, s.retention_us, sweep, ret, rc == RC_OK ? reterr : NULL) : rc;
	collection_settings_clear(&s);
	if (rc == RC_NOT_FOUND) /* all of its events may be quarantined ones */
		return second == RC_OK ? RC_OK : rc;
	return second == RC_NOT_FOUND ? RC_OK : second;
}

/* ---- the thread ---- */

/* The local clock is a folder lake's only one, and a day that it calls over goes. Set ahead by mistake it shall not be believed before somebody had the
 * time to see it: whenever it jumps by more than a day, or has come on more than a week since a server of this folder last looked at it, it
 * must then run evenly for a day. */
#define CLOCK_JUMP_US DAY_US
#define CLOCK_AWAY_US (7 * DAY_US)

void clock_watch_begin(struct clock_watch *w, int64_t wall, int64_t mono, int64_t last_wall)
{
	bool away = last_wall && wall - last_wall > CLOCK_AWAY_US;
	*w = (struct clock_watch){ .offset = wall - mono, .even_since = away ? mono : mono - DAY_US };
}

bool clock_watch_trusts(struct clock_watch *w, int64_t wall, int64_t mono)
{
	int64_t jump = wall - mono - w->offset;
	w->offset += jump;
	if (jump > CLOCK_JUMP_US || jump < -CLOCK_JUMP_US)
		w->even_since = mono;
	return mono - w->even_since >= DAY_US;
}

/* When a server of this data folder last trusted its clock; 0: never. */
static char *clock_path(const struct pipeline *p)
{
	return mem_printf("%s/clock", p->data_dir);
}

static int64_t clock_last(const struct pipeline *p)
{
	AUTO_MEM char *path = clock_path(p);
	AUTO_BUF struct buf b;
	buf_init(&b, 64);
	return file_read_all(path, &b, NULL) == RC_OK ? strtoll(buf_cstr(&b), NULL, 10) : 0;
}

static void clock_note(const struct pipeline *p, int64_t wall)
{
	AUTO_MEM char *path = clock_path(p), *text = mem_printf("%lld", (long long)wall);
	struct err err;
	if (file_replace_atomic(path, slice_str(text), &err) != RC_OK)
		log_warn("%s", err.text);
}

struct upkeep {
	struct pipeline *p;
	bool sweep;
};

static rc_t look_after(void *ctx, const char *collection, struct err *reterr)
{
	struct upkeep *u = ctx;
	struct collection_settings s;
	struct expiry e;
	struct err err;
	if (pipeline_stopping(u->p))
		return err_set(reterr, RC_CANCELLED, "the server ends");
	collection_settings_get(u->p, collection, &s);
	bool wanted = s.retention_us > 0;
	collection_settings_clear(&s);
	if (!wanted)
		return RC_OK;
	rc_t rc = pipeline_expire(u->p, collection, u->sweep, &e, &err);
	if (rc != RC_OK && rc != RC_NOT_FOUND && !pipeline_stopping(u->p))
		log_warn("what is over in %s cannot leave it now, and is tried again in an hour: %s", collection, err.text);
	return RC_OK;
}

void upkeep_look(struct pipeline *p, struct clock_watch *w, int64_t wall, int64_t mono, bool sweep)
{
	if (!clock_watch_trusts(w, wall, mono)) {
		log_warn("the clock has jumped, or come on more than a week while no server ran: retention waits until it has run evenly for a day; "
			 "`hydrant expire` does not wait");
		return;
	}
	clock_note(p, wall);
	struct upkeep u = { p, sweep };
	pipeline_collections(p, look_after, &u, NULL);
}

static void *upkeep_thread(void *arg)
{
	struct pipeline *p = arg;
	struct clock_watch watch;
	int64_t next = clock_mono_us() + FIRST_US;
	clock_watch_begin(&watch, clock_wall_us(), clock_mono_us(), clock_last(p));
	for (unsigned looks = 0; !pipeline_stopping(p);) {
		pthread_mutex_lock(&p->lock);
		struct timespec ts = { next / SECOND_US, next % SECOND_US * 1000 };
		if (!pipeline_stopping(p))
			pthread_cond_timedwait(&p->upkeep_wake, &p->lock, &ts);
		pthread_mutex_unlock(&p->lock);
		if (pipeline_stopping(p) || clock_mono_us() < next)
			continue;
		next = clock_mono_us() + EVERY_US;
		if (!__atomic_load_n(&p->retention_declared, __ATOMIC_RELAXED))
			continue;
		upkeep_look(p, &watch, clock_wall_us(), clock_mono_us(), looks++ % SWEEP_EVERY == 0);
	}
	return NULL;
}

void upkeep_begin(struct pipeline *p)
{
	p->upkeep_runs = pthread_create(&p->upkeep, NULL, upkeep_thread, p) == 0;
	if (!p->upkeep_runs)
		log_warn("no thread can be started that looks after tables: retention has to wait for `hydrant expire`");
}

void upkeep_end(struct pipeline *p)
{
	if (p->upkeep_runs)
		pthread_join(p->upkeep, NULL);
	p->upkeep_runs = false;
}
