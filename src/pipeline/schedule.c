/* When collections are committed, and by whom: one thread looks at deadlines and volume and hands what is due to a few workers, so that a
 * store that is slow, or that refuses one collection for a while, does not keep the others waiting. Building is done by one worker at a time
 * (commit.c): it needs the memory and a core; the others wait for the network meanwhile. */
#include "os/clock.h"
#include "pipeline/pipeline_internal.h"

#define BUSY_BYTES ((uint64_t)8 << 20)
#define CLOCK_BACK_US 1000000 /* less than that is a clock being adjusted */

bool pipeline_stopping(const struct pipeline *p)
{
	return __atomic_load_n(&p->stopping, __ATOMIC_RELAXED);
}

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
	if (pipeline_stopping(p) || (next == INT64_MAX ? anything_came_in(p, bytes) : much_came_in(p, bytes))) {
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
	while (!pipeline_stopping(p)) {
		struct schedule s = { .p = p, .next = INT64_MAX };
		wal_collections(p->wal, schedule_one, &s);
		for (size_t i = 0; i < s.due_count; i++) {
			if (!pipeline_stopping(p))
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
