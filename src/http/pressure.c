/* When memory for bodies gets short, those pay who are slow: requests that hold a lot of it and have come in at less than body_rate for over a
 * second are answered 408 now, not only after body_time. So a crowd that sends a byte now and then cannot keep others waiting, and nobody
 * who is merely far away notices before memory is short. */
#include "http/http_internal.h"

enum {
	GRACE_US = 1000 * 1000,     /* from the first byte of a head or body; beyond it body_rate must have been kept */
	LOOK_EVERY_US = 50 * 1000,  /* between two looks at all connections */
	WORTH = 8 * 1024            /* who holds less is not the trouble */
};

static bool short_of_memory(const struct http_server *s)
{
	return atomic_load_explicit(&s->body_memory, memory_order_relaxed) > s->options.body_memory / 2;
}

static bool pays(const struct conn *c)
{
	const struct http_limits *limits = &c->l->server->options.limits;
	if (c->dead || c->stop || c->waiting || !c->started || c->handshake)
		return false;
	uint64_t got = c->reading ? c->reading->wire_got : 0;
	if (c->l->now < c->started + GRACE_US + (int64_t)(got * 1000000 / limits->body_rate))
		return false;
	return c->reading ? c->reading->charged > WORTH : c->in.len > WORTH && !c->paused;
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
