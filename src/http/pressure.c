/* The pace of bodies and of who reads answers, and who pays when memory for them gets short.
 *
 * Whatever a body sent fast before, it may stand still, or come at less than a 16th of body_rate, for body_time only: what it holds is not let
 * for hours to who once sent much. When memory gets short, those pay who are slow now: requests that hold a lot of it and have come in at less
 * than body_rate for the last second or two are answered 408 at once. So neither a crowd that sends a byte now and then nor a few that hold
 * everything can keep others waiting, and nobody who is merely far away notices before memory is short. Whoever reads an answer has idle_time in
 * the same way: what makes it for him (a query's process) is not his for as long as he takes a byte now and then. Only answers that were given a
 * patience of their own, of which there are few, wait that long for each next byte.
 */
#include "http/http_internal.h"

#include <sys/ioctl.h>

enum {
	GRACE_US = 1000 * 1000,     /* from the first byte of a head or body; beyond it body_rate must have been kept */
	AHEAD_US = 2 * 1000 * 1000, /* what a body can have in hand by having been faster */
	LEAST_PART = 16,            /* of body_rate: the least rate */
	LOOK_EVERY_US = 50 * 1000,  /* between two looks at all connections */
	WORTH = 8 * 1024            /* who holds less is not the trouble */
};

void pace_begin(struct conn *c)
{
	c->started = c->l->now;
	c->fast_until = c->started + GRACE_US;
	c->moving_until = c->started + c->l->server->options.limits.body_time_us;
}

/* Bytes at that rate make the time longer, but never reach further than `most` from now. */
static int64_t longer(const struct conn *c, int64_t until, uint64_t bytes, uint64_t rate, int64_t most)
{
	until += (int64_t)(bytes * 1000000 / (rate ? rate : 1));
	return until < c->l->now + most ? until : c->l->now + most;
}

void pace_got(struct conn *c, uint64_t bytes)
{
	const struct http_limits *limits = &c->l->server->options.limits;
	c->fast_until = longer(c, c->fast_until, bytes, limits->body_rate, AHEAD_US);
	c->moving_until = longer(c, c->moving_until, bytes, limits->body_rate / LEAST_PART, limits->body_time_us);
}

void pace_waited(struct conn *c, int64_t us)
{
	c->started += us;
	c->fast_until += us;
	c->moving_until += us;
}

void pace_sent(struct conn *c, uint64_t bytes)
{
	const struct http_limits *limits = &c->l->server->options.limits;
	struct http_request *r = c->first;
	int64_t patience = r && atomic_load(&r->stream) ? r->patience : 0;
	if (!c->blocked)
		c->reads_until = 0;
	else if (patience && (bytes || !c->reads_until))
		c->reads_until = c->l->now + patience;
	else if (patience)
		return;
	else if (!c->reads_until)
		c->reads_until = c->l->now + limits->idle_time_us;
	else
		c->reads_until = longer(c, c->reads_until, bytes, limits->body_rate / LEAST_PART, limits->idle_time_us);
}

static bool short_of_memory(const struct http_server *s)
{
	return atomic_load_explicit(&s->body_memory, memory_order_relaxed) > s->options.body_memory / 2;
}

/* What the kernel has of it was sent in time: we are the ones who are late. */
static bool has_sent(const struct conn *c)
{
	int n = 0;
	return ioctl(c->fd, FIONREAD, &n) == 0 && n > 0;
}

static bool pays(const struct conn *c)
{
	if (c->dead || c->stop || c->waiting || !c->started || c->handshake)
		return false;
	if (c->l->now < (c->reading ? c->fast_until : c->started + GRACE_US))
		return false;
	return (c->reading ? c->reading->charged > WORTH : c->in.len > WORTH && !c->paused) && !has_sent(c);
}

static void give_up_the_slow(void *ctx)
{
	struct http_loop *l = ctx;
	loop_enter(l);
	for (struct conn *c = l->conns, *next; c && short_of_memory(l->server); c = next) {
		next = c->next;
		if (pays(c))
			conn_give_up(c);
	}
}

void pressure_look(struct http_loop *l)
{
	struct http_server *s = l->server;
	int64_t last = atomic_load_explicit(&s->pressure_looked, memory_order_relaxed);
	if (atomic_load_explicit(&s->body_memory, memory_order_relaxed) < s->options.body_memory / 4 * 3 || l->now - last < LOOK_EVERY_US ||
	    !atomic_compare_exchange_strong(&s->pressure_looked, &last, l->now))
		return;
	for (unsigned i = 0; i < s->loop_count; i++)
		loop_post(s->loops[i].loop, give_up_the_slow, &s->loops[i]);
}
