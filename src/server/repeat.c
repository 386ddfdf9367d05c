/* Requests whose Idempotency-Key is on its way in another request: they wait here until that one's sync is done, and are then looked up once
 * more. One thread does that, in order of arrival, because a look-up reads the log, which the sync thread must not wait for and an HTTP loop
 * need not; it sleeps while nobody waits. A client that retries faster than the disk syncs takes no worker from queries, and no more than
 * REPEATS_MAX places here. */
#include <string.h>

#include "server/server_internal.h"

#define REPEATS_MAX 1024

struct repeat { /* in the request's memory */
	struct http_request *req;
	uint64_t ticket;
	struct repeat *next;
};

void repeat_wait(struct server *s, struct http_request *req, uint64_t ticket)
{
	struct repeats *r = &s->repeats;
	struct repeat *one = http_request_alloc(req, sizeof *one);
	*one = (struct repeat){ .req = req, .ticket = ticket };
	pthread_mutex_lock(&r->lock);
	bool full = r->count == REPEATS_MAX;
	if (!full) {
		*r->tail = one;
		r->tail = &one->next;
		r->count++;
		pthread_cond_signal(&r->wake);
	}
	pthread_mutex_unlock(&r->lock);
	if (full)
		http_respond_error(req, 503, 1, "busy",
				   "%d requests wait already for others with the same Idempotency-Key to be on disk; try again in a second", REPEATS_MAX);
}

static void *repeat_thread(void *arg)
{
	struct server *s = arg;
	struct repeats *r = &s->repeats;
	pthread_mutex_lock(&r->lock);
	while (!r->stopping || r->first) {
		if (!r->first) {
			pthread_cond_wait(&r->wake, &r->lock);
			continue;
		}
		struct repeat one = *r->first;
		r->first = one.next;
		if (!r->first)
			r->tail = &r->first;
		pthread_mutex_unlock(&r->lock);
		ingest_again(s, one.req, one.ticket);
		pthread_mutex_lock(&r->lock);
		r->count--;
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

rc_t repeat_start(struct server *s, struct err *reterr)
{
	struct repeats *r = &s->repeats;
	r->tail = &r->first;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->wake, NULL);
	int failed = pthread_create(&r->thread, NULL, repeat_thread, s);
	if (failed)
		return err_set(reterr, RC_IO, "cannot start a thread: %s", strerror(failed));
	r->started = true;
	return RC_OK;
}

void repeat_stop(struct server *s)
{
	struct repeats *r = &s->repeats;
	if (!r->started)
		return;
	pthread_mutex_lock(&r->lock);
	r->stopping = true;
	pthread_cond_signal(&r->wake);
	pthread_mutex_unlock(&r->lock);
	pthread_join(r->thread, NULL);
	pthread_mutex_destroy(&r->lock);
	pthread_cond_destroy(&r->wake);
	r->started = false;
}
