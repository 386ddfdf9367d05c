/* Acks of a collection whose backlog grows are slowed, so that its senders go as fast as events can be committed, instead of running into a
 * full share and standing still: no delay up to the soft limit, then in proportion up to DELAY_MAX_US at a full share. The events are durable
 * already; only the answer waits. */
#include "os/clock.h"
#include "server/server_internal.h"

#define DELAY_MAX_US 1000000

/* How long the ack of an event of this collection waits, µs. */
static int64_t delay_of(struct server *s, struct slice collection)
{
	struct wal_pending pending;
	wal_pending(s->wal, collection, &pending);
	if (pending.bytes <= s->opts.soft_bytes)
		return 0;
	double over = (double)(pending.bytes - s->opts.soft_bytes) / (double)(s->opts.share_bytes - s->opts.soft_bytes);
	return (int64_t)((over < 1 ? over : 1) * DELAY_MAX_US);
}

/* ---- a heap by due time ---- */

static void heap_push(struct pace *p, struct delayed d)
{
	if (p->count == p->cap) {
		p->cap = p->cap ? p->cap * 2 : 256;
		p->heap = mem_realloc(p->heap, p->cap * sizeof *p->heap);
	}
	size_t i = p->count++;
	for (; i && p->heap[(i - 1) / 2].due > d.due; i = (i - 1) / 2)
		p->heap[i] = p->heap[(i - 1) / 2];
	p->heap[i] = d;
}

static struct delayed heap_pop(struct pace *p)
{
	struct delayed top = p->heap[0], last = p->heap[--p->count];
	size_t i = 0;
	for (size_t child; (child = 2 * i + 1) < p->count; i = child) {
		if (child + 1 < p->count && p->heap[child + 1].due < p->heap[child].due)
			child++;
		if (last.due <= p->heap[child].due)
			break;
		p->heap[i] = p->heap[child];
	}
	p->heap[i] = last;
	return top;
}

/* ---- the thread that sends what is due; it sleeps while nothing is delayed ---- */

static void *pace_thread(void *arg)
{
	struct server *s = arg;
	struct pace *p = &s->pace;
	pthread_mutex_lock(&p->lock);
	while (!p->stopping || p->count) {
		int64_t now = clock_mono_us();
		if (!p->count) {
			pthread_cond_wait(&p->wake, &p->lock);
		} else if (p->heap[0].due > now && !p->stopping) {
			struct timespec ts = { p->heap[0].due / 1000000, p->heap[0].due % 1000000 * 1000 };
			pthread_cond_timedwait(&p->wake, &p->lock, &ts);
		} else {
			struct delayed d = heap_pop(p);
			pthread_mutex_unlock(&p->lock);
			ingest_accepted(s, &d.waiting);
			pthread_mutex_lock(&p->lock);
		}
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

rc_t pace_start(struct server *s, struct err *reterr)
{
	struct pace *p = &s->pace;
	pthread_condattr_t monotonic;
	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&p->wake, &monotonic);
	pthread_condattr_destroy(&monotonic);
	int failed = pthread_create(&p->thread, NULL, pace_thread, s);
	if (failed)
		return err_set(reterr, RC_IO, "cannot start a thread: %s", strerror(failed));
	p->started = true;
	return RC_OK;
}

void pace_stop(struct server *s)
{
	struct pace *p = &s->pace;
	if (!p->started)
		return;
	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
	pthread_join(p->thread, NULL);
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->wake);
	free(p->heap);
	p->started = false;
}

bool pace_delays(struct server *s)
{
	struct wal_stats stats;
	wal_stats(s->wal, &stats);
	return s->opts.soft_bytes && stats.pending_bytes > s->opts.soft_bytes;
}

void pace_ack(struct server *s, const struct waiting *w)
{
	struct pace *p = &s->pace;
	int64_t delay = delay_of(s, http_request_segment(w->req, 2));
	if (!delay) {
		ingest_accepted(s, w);
		return;
	}
	__atomic_add_fetch(&s->delayed_acks, 1, __ATOMIC_RELAXED);
	pthread_mutex_lock(&p->lock);
	heap_push(p, (struct delayed){ clock_mono_us() + delay, *w });
	if (p->heap[0].waiting.req == w->req)
		pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
}
