/* Whoever asks for a long answer may go away; a server that ends cannot wait for hours. One thread looks after all such requests: it sleeps
 * while there are none. */
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "os/clock.h"
#include "server/server_internal.h"

#define LOOK_US 250000

static void cancel(struct server *s, struct watch *w)
{
	static const uint64_t one = 1;
	if (__atomic_exchange_n(&w->cancel, true, __ATOMIC_RELAXED))
		return;
	pthread_cond_broadcast(&s->sql_ended); /* it may be waiting for its turn */
	if (w->fd >= 0 && write(w->fd, &one, sizeof one) < 0)
		return; /* its counter is full: it is readable */
}

static void *watch_thread(void *arg)
{
	struct server *s = arg;
	pthread_mutex_lock(&s->workers_lock);
	for (;;) {
		for (struct watch *w = s->watches; w; w = w->next)
			if (s->ending || http_request_peer_closed(w->req))
				cancel(s, w);
		if (s->ending)
			break;
		if (s->watches) {
			int64_t until = clock_mono_us() + LOOK_US;
			struct timespec ts = { until / 1000000, until % 1000000 * 1000 };
			pthread_cond_timedwait(&s->watch_changed, &s->workers_lock, &ts);
		} else {
			pthread_cond_wait(&s->watch_changed, &s->workers_lock);
		}
	}
	pthread_mutex_unlock(&s->workers_lock);
	return NULL;
}

void watch_begin(struct server *s, struct watch *w, struct http_request *req)
{
	*w = (struct watch){ .req = req, .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
	pthread_mutex_lock(&s->workers_lock);
	if (s->ending)
		cancel(s, w);
	bool first = !s->watches;
	w->next = s->watches;
	s->watches = w;
	if (first)
		pthread_cond_signal(&s->watch_changed);
	pthread_mutex_unlock(&s->workers_lock);
}

void watch_end(struct server *s, struct watch *w)
{
	pthread_mutex_lock(&s->workers_lock);
	struct watch **at = &s->watches;
	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	pthread_mutex_unlock(&s->workers_lock);
	if (w->fd >= 0)
		close(w->fd);
}

rc_t watch_start(struct server *s, struct err *reterr)
{
	int failed = pthread_create(&s->watch_thread, NULL, watch_thread, s);
	if (failed)
		return err_set(reterr, RC_IO, "cannot start the watch thread: %s", strerror(failed));
	s->watch_running = true;
	return RC_OK;
}

void watch_stop(struct server *s)
{
	if (!s->watch_running)
		return;
	pthread_mutex_lock(&s->workers_lock);
	s->ending = true;
	pthread_cond_signal(&s->watch_changed);
	pthread_mutex_unlock(&s->workers_lock);
	pthread_join(s->watch_thread, NULL);
	s->watch_running = false;
}
