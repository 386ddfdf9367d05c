/* When collections are committed, and by whom: one thread looks at deadlines and volume and hands what is due to a few workers, so that a
 * store that is slow, or that refuses one collection for a while, does not keep the others waiting. Building is done by one worker at a time
 * (commit.c): it needs the memory and a core; the others wait for the network meanwhile. */
#include <stdio.h>

#include "os/clock.h"
#include "pipeline/pipeline_internal.h"

#define BUSY_BYTES ((uint64_t)8 << 20)
#define HANGS_US ((int64_t)120 * 1000000) /* a commit that takes so long keeps its events from leaving: they are moved aside */
#define CLOCK_BACK_US 1000000 /* less than that is a clock being adjusted */

bool pipeline_stopping(const struct pipeline *p)
{
	return __atomic_load_n(&p->stopping, __ATOMIC_RELAXED);
}

struct schedule {
	struct pipeline *p;
	int64_t next; /* clock_mono_us of the earliest deadline; INT64_MAX = none */
	uint64_t bytes;
};

/* Hands the collection to a worker. */
static void take(struct pipeline *p, struct collection *c)
{
	pthread_mutex_lock(&p->lock);
	c->taken = true;
	c->taken_at = clock_mono_us();
	c->next_due = NULL;
	if (p->due_first)
		p->due_last->next_due = c;
	else
		p->due_first = c;
	p->due_last = c;
	pthread_cond_signal(&p->due_some);
	pthread_mutex_unlock(&p->lock);
}

static bool is_taken(struct pipeline *p, const struct collection *c, bool *ret_hangs)
{
	pthread_mutex_lock(&p->lock);
	bool taken = c->taken;
	*ret_hangs = taken && clock_mono_us() - c->taken_at > HANGS_US;
	pthread_mutex_unlock(&p->lock);
	return taken;
}

/* Each look passes every collection that waits: their settings are read again only if some have changed. */
static void read_intervals(struct pipeline *p, struct collection *c)
{
	unsigned version = __atomic_load_n(&p->settings_version, __ATOMIC_ACQUIRE);
	if (c->settings_version == version)
		return;
	struct collection_settings settings;
	collection_settings_get(p, c->name, &settings);
	collection_settings_clear(&settings);
	c->commit_busy_us = settings.commit_busy_us;
	c->commit_idle_us = settings.commit_idle_us;
	c->settings_version = version;
}

static rc_t schedule_one(void *ctx, struct slice name, const struct wal_pending *pending)
{
	struct schedule *s = ctx;
	struct pipeline *p = s->p;
	s->bytes += pending->bytes;
	char text[256];
	snprintf(text, sizeof text, "%.*s", SLICE_ARG(name));
	struct collection *c = collection_get(p, text);
	int64_t now = clock_mono_us();
	read_intervals(p, c);
	int64_t interval = pending->bytes >= BUSY_BYTES ? c->commit_busy_us : c->commit_idle_us;
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
	bool hangs = false;
	if (due <= now && !is_taken(p, c, &hangs)) {
		take(p, c);
		return RC_OK;
	}
	if (hangs)
		wal_aside(p->wal, name, true);
	if (due <= now)
		due = now + interval; /* its worker tells when it is done */
	s->next = due < s->next ? due : s->next;
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

/* Sleeps until the next deadline, until much has come in, or a worker is done. Without deadline until the first durable group. What became
 * durable between the look at the schedule (it saw `bytes`) and here woke nobody: hence the second look, after on_durable can see that we sleep. */
static void sleep_until(struct pipeline *p, int64_t next, uint64_t bytes)
{
	pthread_mutex_lock(&p->lock);
	__atomic_store_n(&p->bytes_at_check, bytes, __ATOMIC_SEQ_CST);
	__atomic_store_n(&p->asleep_for_good, next == INT64_MAX, __ATOMIC_SEQ_CST);
	if (pipeline_stopping(p) || p->look_again || (next == INT64_MAX ? anything_came_in(p, bytes) : much_came_in(p, bytes))) {
		/* look again at once */
	} else if (next == INT64_MAX) {
		pthread_cond_wait(&p->wake, &p->lock);
	} else {
		struct timespec ts = { next / 1000000, next % 1000000 * 1000 };
		pthread_cond_timedwait(&p->wake, &p->lock, &ts);
	}
	p->look_again = false;
	__atomic_store_n(&p->asleep_for_good, false, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&p->lock);
}

/* On the log's sync thread, after each group: wakes the scheduler when it has no deadline yet, or when enough came in to commit early. */
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

/* What comes in meanwhile may have a shorter interval than all that waits now, or than one that failed is given until it is tried again. */
static int64_t soonest(const struct pipeline *p, int64_t next)
{
	int64_t shortest = __atomic_load_n(&p->shortest_us, __ATOMIC_RELAXED);
	if (next == INT64_MAX)
		return next;
	shortest = p->opts.commit_busy_us < shortest ? p->opts.commit_busy_us : shortest;
	shortest = p->opts.commit_idle_us < shortest ? p->opts.commit_idle_us : shortest;
	int64_t look = clock_mono_us() + shortest;
	return look < next ? look : next;
}

static void *scheduler_thread(void *arg)
{
	struct pipeline *p = arg;
	while (!pipeline_stopping(p)) {
		struct schedule s = { .p = p, .next = INT64_MAX };
		wal_collections(p->wal, schedule_one, &s);
		sleep_until(p, soonest(p, s.next), s.bytes);
	}
	return NULL;
}

/* The next collection that is due; NULL: the pipeline stops. */
static struct collection *next_due(struct pipeline *p)
{
	pthread_mutex_lock(&p->lock);
	while (!p->due_first && !pipeline_stopping(p))
		pthread_cond_wait(&p->due_some, &p->lock);
	struct collection *c = pipeline_stopping(p) ? NULL : p->due_first;
	if (c)
		p->due_first = c->next_due;
	pthread_mutex_unlock(&p->lock);
	return c;
}

static void *worker_thread(void *arg)
{
	struct pipeline *p = arg;
	for (struct collection *c; (c = next_due(p));) {
		hydrate_collection(p, c, NULL);
		pthread_mutex_lock(&p->lock);
		c->taken = false;
		p->look_again = true;
		pthread_cond_signal(&p->wake);
		pthread_mutex_unlock(&p->lock);
	}
	return NULL;
}

void schedule_again(struct pipeline *p, const struct place *pl)
{
	size_t count;
	AUTO_MEM struct collection **list = known_collections(p, &count);
	for (size_t i = 0; i < count; i++) {
		if (!place_holds(p, pl, list[i]->name))
			continue;
		pthread_mutex_lock(&list[i]->state_lock);
		list[i]->retry_at = 0;
		pthread_mutex_unlock(&list[i]->state_lock);
	}
	pthread_mutex_lock(&p->lock);
	p->look_again = true;
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
}

rc_t pipeline_start(struct pipeline *p, struct err *reterr)
{
	TRY(wal_on_durable(p->wal, on_durable, p, reterr));
	int failed = pthread_create(&p->scheduler, NULL, scheduler_thread, p);
	if (failed) {
		wal_remove_on_durable(p->wal, on_durable, p);
		return err_set(reterr, RC_IO, "cannot start the thread that schedules commits: %s", strerror(failed));
	}
	p->running = true;
	while (!failed && p->worker_count < HYDRATE_WORKERS) {
		failed = pthread_create(&p->workers[p->worker_count], NULL, worker_thread, p);
		p->worker_count += !failed;
	}
	if (!p->worker_count) { /* fewer are as good, only slower */
		pipeline_stop(p);
		return err_set(reterr, RC_IO, "cannot start a thread that commits: %s", strerror(failed));
	}
	rights_begin(p);
	upkeep_begin(p);
	ack_begin(p);
	return RC_OK;
}

void pipeline_stop(struct pipeline *p)
{
	if (!p->running)
		return;
	pthread_mutex_lock(&p->lock);
	__atomic_store_n(&p->stopping, true, __ATOMIC_RELAXED);
	pthread_cond_signal(&p->wake);
	pthread_cond_broadcast(&p->due_some);
	pthread_cond_broadcast(&p->upkeep_wake);
	pthread_mutex_unlock(&p->lock);
	lakes_hurry(p);
	rights_end(p);
	upkeep_end(p);
	ack_end(p);
	pthread_join(p->scheduler, NULL);
	while (p->worker_count)
		pthread_join(p->workers[--p->worker_count], NULL);
	wal_remove_on_durable(p->wal, on_durable, p);
	p->running = false;
}
