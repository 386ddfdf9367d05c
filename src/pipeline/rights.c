/* What the lakes in buckets let us do, looked at while a server runs (store/probe.h): at its start, soon after something was refused (a commit, a
 * listing, the opening of a table), and again until what was lacking is given back; then what waits in the log is committed at once.
 *
 * A few threads of their own ask. Nobody waits for them, and a lake that does not answer holds up one of them; while it is away they alone ask it, and
 * whoever else needs it is told so at once. What is found is the place's, under look_lock, which is held for moments only. */
#include <stdio.h>

#include "base/log.h"
#include "os/clock.h"
#include "os/random.h"
#include "pipeline/pipeline_internal.h"

#define SECOND_US ((int64_t)1000000)
#define LEAST_US (5 * SECOND_US)    /* between two looks at a place, whatever happens to its commits */
#define LACKING_US (15 * SECOND_US) /* until the next look while something is lacking */
#define MINOR_US (900 * SECOND_US)  /* … that only costs money: each look leaves an upload behind */
#define AWAY_FIRST_US (2 * SECOND_US) /* … while the store does not answer, doubling */
#define AWAY_MAX_US (30 * SECOND_US)

/* ---- when ---- */

/* Under look_lock. */
static void look_at(struct pipeline *p, struct place *pl, int64_t at)
{
	if (pl->look_at && pl->look_at <= at)
		return;
	pl->look_at = at;
	pthread_cond_signal(&p->look_wake);
}

static int64_t soonest(const struct place *pl)
{
	int64_t now = clock_mono_us(), least = pl->looked_at ? pl->looked_at + LEAST_US : now;
	return least > now ? least : now;
}

/* Nobody answered, or only to say that nobody is there. */
static bool no_answer(rc_t rc, const struct err *err)
{
	return rc == RC_IO && !err->sys_errno && (err->status == 0 || err->status >= 500);
}

/* The bucket; an object that is not there is RC_NOT_FOUND. */
static bool is_gone(rc_t rc, const struct err *err)
{
	return rc == RC_IO && err->status == 404;
}

void rights_outcome(struct pipeline *p, struct place *pl, rc_t rc, const struct err *err)
{
	bool trouble = rc != RC_OK && (store_refused(err) || err->status == 401 || no_answer(rc, err) || is_gone(rc, err));
	if (!is_bucket(pl) || (rc != RC_OK && !trouble))
		return;
	if (rc != RC_OK && is_gone(rc, err)) /* one made anew is no lake yet */
		__atomic_store_n(&pl->open, false, __ATOMIC_RELEASE);
	pthread_mutex_lock(&p->look_lock);
	if (p->looker_count && (trouble || pl->unsettled))
		look_at(p, pl, soonest(pl));
	pthread_mutex_unlock(&p->look_lock);
}

void rights_look(struct pipeline *p, struct place *pl)
{
	pthread_mutex_lock(&p->look_lock);
	if (p->looker_count && is_bucket(pl))
		look_at(p, pl, clock_mono_us());
	pthread_mutex_unlock(&p->look_lock);
}

/* The next place whose time has come; NULL: the pipeline stops. */
static struct place *next_place(struct pipeline *p)
{
	struct place *due = NULL;
	pthread_mutex_lock(&p->look_lock);
	while (!pipeline_stopping(p)) {
		due = NULL;
		for (struct place *pl = NULL; (pl = place_next(p, pl));)
			if (pl->look_at && !pl->looking && (!due || pl->look_at < due->look_at))
				due = pl;
		if (due && due->look_at <= clock_mono_us())
			break;
		struct timespec ts = { due ? due->look_at / SECOND_US : 0, due ? due->look_at % SECOND_US * 1000 : 0 };
		if (due)
			pthread_cond_timedwait(&p->look_wake, &p->look_lock, &ts);
		else
			pthread_cond_wait(&p->look_wake, &p->look_lock);
		due = NULL;
	}
	if (due) {
		due->looking = true;
		due->look_at = 0;
		due->looked_at = clock_mono_us();
	}
	pthread_mutex_unlock(&p->look_lock);
	return due;
}

/* ---- what was found ---- */

static char *remedy(const struct pipeline *p, const struct place *pl, enum store_right right, const struct store_probe *probe)
{
	char *text = p->opts.remedy ? p->opts.remedy(pl->url, right, &probe->why[right]) : NULL;
	if (!text)
		return mem_strdup(probe->why[right].text);
	if (!probe->all_refused)
		return text;
	char *more = mem_printf("%s (everything is refused: are the keys right?)", text);
	free(text);
	return more;
}

/* The log's objects are removed when tables hold their events. */
static bool needs_delete(const struct pipeline *p, const struct place *pl)
{
	return p->opts.ack_store && pl == p->places;
}

/* Each change is told once. Under look_lock. True if commits may go better now. */
static bool take_findings(struct pipeline *p, struct place *pl, const struct store_probe *probe)
{
	bool lacks = false, minor = true, was_unsettled = pl->unsettled, first = !pl->looked;
	for (int i = 0; i < STORE_RIGHTS; i++) {
		enum store_right right = (enum store_right)i;
		bool lacking = probe->found[i] == STORE_LACKS, told = pl->missing[i] != NULL;
		if (lacking && right == STORE_RIGHT_DELETE && !needs_delete(p, pl)) { /* asked for by who wants upkeep */
			AUTO_MEM char *text = remedy(p, pl, right, probe);
			if (first)
				log_info("%s: %s", pl->url, text);
		} else if (lacking && !told) {
			pl->missing[i] = remedy(p, pl, right, probe);
			log_error("%s: %s", pl->url, pl->missing[i]);
		} else if (told && probe->found[i] == STORE_HAS) {
			free(pl->missing[i]);
			pl->missing[i] = NULL;
		}
		if (probe->found[i] != STORE_UNKNOWN)
			pl->found[i] = probe->found[i];
		lacks |= pl->missing[i] != NULL;
		minor &= !pl->missing[i] || right == STORE_RIGHT_ABORT || right == STORE_RIGHT_DELETE;
	}
	pl->looked = true;
	pl->away_looks = 0;
	pl->look_error[0] = 0;
	pl->unsettled = lacks;
	if (lacks)
		look_at(p, pl, clock_mono_us() + (minor ? MINOR_US : LACKING_US));
	else if (first || was_unsettled)
		log_info("%s: every right that is needed is there", pl->url);
	return was_unsettled && (!lacks || minor);
}

/* Under look_lock. away: not even a listing was answered. Otherwise something is odd, and commits go on as they can. */
static void take_failure(struct pipeline *p, struct place *pl, bool away, const struct err *err)
{
	int64_t most = away ? AWAY_MAX_US : MINOR_US, wait = AWAY_FIRST_US << (pl->away_looks < 10 ? pl->away_looks : 10);
	if (!pl->look_error[0])
		log_warn("what %s lets us do cannot be tried now: %s", pl->url, err->text);
	snprintf(pl->look_error, sizeof pl->look_error, "%s", err->text);
	pl->unsettled = true;
	pl->away_looks++;
	look_at(p, pl, clock_mono_us() + (wait < most ? wait : most));
}

rc_t rights_away(struct pipeline *p, struct place *pl, struct err *reterr)
{
	rc_t rc = RC_OK;
	pthread_mutex_lock(&p->look_lock);
	if (pl->away)
		rc = err_set(reterr, RC_IO, "%s", pl->look_error);
	pthread_mutex_unlock(&p->look_lock);
	return rc;
}

static void look(struct pipeline *p, struct place *pl)
{
	struct err err = { 0 };
	struct store *store;
	struct store_probe *probe = NEW(struct store_probe);
	uint64_t random;
	random_bytes(&random, sizeof random);
	place_patience(p, pl, true); /* whoever opens it now holds it up otherwise */
	rc_t rc = place_reach(p, pl, &store, &err);
	place_patience(p, pl, true);
	if (rc == RC_OK)
		rc = store_probe(store, probe, &err);
	if (rc == RC_OK && needs_delete(p, pl))
		store_probe_delete(store, ACK_FOLDER, probe);
	bool away = rc != RC_OK && no_answer(rc, &err) && probe->found[STORE_RIGHT_LIST] == STORE_UNKNOWN;
	place_patience(p, pl, away);
	pthread_mutex_lock(&p->look_lock);
	bool better = false;
	pl->away = away;
	if (rc == RC_OK)
		better = take_findings(p, pl, probe);
	else if (rc == RC_CONFLICT) /* another server's look at the same moment */
		look_at(p, pl, clock_mono_us() + LEAST_US + (int64_t)(random % (uint64_t)LEAST_US));
	else
		take_failure(p, pl, away, &err);
	pl->looking = false;
	pthread_mutex_unlock(&p->look_lock);
	if (better)
		schedule_again(p, pl);
	free(probe);
}

static void *looker_thread(void *arg)
{
	struct pipeline *p = arg;
	for (struct place *pl; (pl = next_place(p));)
		look(p, pl);
	return NULL;
}

/* ---- life ---- */

void rights_begin(struct pipeline *p)
{
	unsigned buckets = 0;
	pthread_mutex_lock(&p->look_lock);
	for (struct place *pl = NULL; (pl = place_next(p, pl));) {
		if (!is_bucket(pl))
			continue;
		buckets++;
		if (!pl->looked_at && !pl->look_at)
			look_at(p, pl, clock_mono_us());
	}
	while (p->looker_count < buckets && p->looker_count < LOOKERS && !pipeline_stopping(p)) {
		if (pthread_create(&p->lookers[p->looker_count], NULL, looker_thread, p) != 0)
			break; /* commits do without */
		p->looker_count++;
	}
	pthread_mutex_unlock(&p->look_lock);
}

void rights_end(struct pipeline *p)
{
	pthread_mutex_lock(&p->look_lock);
	unsigned count = p->looker_count;
	p->looker_count = 0; /* nothing is asked for any more */
	pthread_cond_broadcast(&p->look_wake);
	pthread_mutex_unlock(&p->look_lock);
	while (count)
		pthread_join(p->lookers[--count], NULL);
}

void pipeline_lake_states(struct pipeline *p, void (*each)(void *ctx, const struct lake_state *s), void *ctx)
{
	pthread_mutex_lock(&p->look_lock);
	for (struct place *pl = NULL; (pl = place_next(p, pl));) {
		struct lake_state s = { pl->url, pl->looked, pl->found, (const char *const *)pl->missing, pl->look_error[0] ? pl->look_error : NULL };
		if (is_bucket(pl))
			each(ctx, &s);
	}
	pthread_mutex_unlock(&p->look_lock);
}
