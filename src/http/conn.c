/* A connection: bytes in, requests out to the handler, deadlines, the end. */
#include "http/http_internal.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/clock.h"

enum {
	LINGER_US = 2 * 1000 * 1000, /* after our last answer: so long may the client still talk into the void before it has read it */
	ANSWERS_MAX = 64 * 1024,            /* bytes of answers that one connection has not read */
	ANSWERS_ALL_MAX = 64 * 1024 * 1024, /* of all together: then each may have one */
	BLANK_LINES = 8              /* before a request line: RFC 9112 section 2.2 asks to pass over at least one */
};

static const struct http_refusal too_slow = { 408, "timeout", "the request did not arrive in time: send it faster, or in smaller ones" };
static const struct http_refusal broken_off = { 400, "bad_request", "the sender closed the connection in the middle of this request" };
static const struct http_refusal long_target = { 414, "uri_too_long", "the request target is too long: put large values into the body" };
static const struct http_refusal long_head = { 431, "header_too_large", "the headers are too large altogether" };

static void conn_ready(void *ctx, unsigned events);
static void conn_timer(struct loop_timer *t);

void loop_enter(struct http_loop *l)
{
	l->now = clock_mono_us();
	while (l->graves) {
		struct conn *c = l->graves;
		l->graves = c->next;
		free(c);
	}
}

/* False: no memory for it. */
static bool start_tls(struct conn *c)
{
	struct http_server *s = c->l->server;
	pthread_mutex_lock(&s->tls_lock);
	if (s->tls)
		c->tls = tls_open(s->tls, c->fd);
	bool fine = !s->tls == !c->tls;
	pthread_mutex_unlock(&s->tls_lock);
	c->handshake = c->tls != NULL;
	c->started = c->handshake ? c->l->now : 0;
	return fine;
}

void conn_start(struct http_loop *l, int fd, const struct sockaddr *peer, size_t peer_len)
{
	struct conn *c = NEW(struct conn);
	c->l = l;
	c->fd = fd;
	c->timer.fire = conn_timer;
	c->progress = l->now;
	buf_init(&c->in, BUF_MAX_DEFAULT);
	memcpy(&c->peer, peer, peer_len < sizeof(c->peer) ? peer_len : sizeof(c->peer));
	c->next = l->conns;
	if (l->conns)
		l->conns->prev = c;
	l->conns = c;
	if ((l->server->options.tls && !start_tls(c)) ||
	    loop_add(l->loop, fd, LOOP_READ, conn_ready, c, &c->watch, NULL) != RC_OK) {
		conn_abort(c);
		return;
	}
	conn_update(c);
}

/* Takes it out of the list once nobody needs it; the memory goes at the next loop_enter, because callers are still using it. */
void conn_release(struct conn *c)
{
	struct http_loop *l = c->l;
	if (!c->dead || c->first)
		return;
	if (c->prev)
		c->prev->next = c->next;
	else
		l->conns = c->next;
	if (c->next)
		c->next->prev = c->prev;
	c->next = l->graves;
	l->graves = c;
}

/* The budgets' side of c->in. */
static void input_release(struct conn *c)
{
	body_release(c->l->server, c->in_charged);
	extra_release(c->l->server, c->in_extra);
	c->in_charged = c->in_extra = 0;
}

void conn_abort(struct conn *c)
{
	struct http_loop *l = c->l;
	struct http_server *s = l->server;
	if (c->dead)
		return;
	c->dead = true;
	c->stop = true;
	if (c->watch)
		loop_remove(l->loop, c->watch);
	loop_timer_clear(l->loop, &c->timer);
	wait_end(c);
	tls_close(c->tls);
	c->tls = NULL;
	close(c->fd);
	c->fd = -1;
	c->reading = NULL;
	input_release(c);
	buf_free(&c->in);
	for (struct http_request *r = c->first, *next; r; r = next) {
		next = r->next;
		atomic_store(&r->gone, true);
		bool over = r->state != REQUEST_HANDED;
		if (!over && stream_cancel(r)) {
			over = true;
			stat_add(&l->in_work, (uint64_t)-1);
		}
		if (!over)
			continue;
		stat_add(&l->responses[0], 1);
		request_unlink(r);
		request_free(r);
	}
	conn_release(c);
	atomic_fetch_sub(&l->connections, 1);
	if (atomic_load(&s->draining)) {
		pthread_mutex_lock(&s->drain_lock);
		pthread_cond_broadcast(&s->drain_cond);
		pthread_mutex_unlock(&s->drain_lock);
	}
}

/* Before server_free only: whatever is left, in whatever state. */
void conn_free(struct conn *c)
{
	for (struct http_request *r = c->first, *next; r; r = next) {
		next = r->next;
		request_unlink(r);
		request_free(r);
	}
	tls_close(c->tls);
	if (c->fd >= 0) /* the loop never ran, or was not the one to stop it */
		close(c->fd);
	buf_free(&c->in);
	free(c);
}

void conn_refuse(struct conn *c, const struct http_refusal *refusal)
{
	struct http_request *r = c->reading;
	if (c->stop)
		return;
	if (r && r->responded) { /* the answer is under way already: only the rest of the body is missing */
		r->wire_done = true;
		r->close = true;
		c->reading = NULL;
		c->stop = true;
		return;
	}
	if (!r)
		r = request_new(c);
	r->close = true;
	c->reading = NULL;
	c->stop = true;
	body_drop(r); /* now, not when its sender has read the answers before */
	respond_refusal(r, refusal);
}

/* Are there enough answers that it does not read, or any while everybody's are too many? Then it gets no more work. */
static bool answers_wait(const struct conn *c)
{
	uint64_t own = atomic_load_explicit(&c->answers, memory_order_relaxed);
	return own > ANSWERS_MAX || (own && atomic_load_explicit(&c->l->server->answers, memory_order_relaxed) > ANSWERS_ALL_MAX);
}

/* A head at the front of the input? Returns the bytes used, 0 = not yet, or waiting for memory, or refused (c->stop). */
static size_t take_head(struct conn *c, struct slice in, bool *ret_blocked)
{
	struct http_server *s = c->l->server;
	const struct http_limits *limits = &s->options.limits;
	struct http_refusal refusal = { 0 };
	if (in.len >= 2 && in.data[0] == '\r' && in.data[1] == '\n' && c->blank_lines < BLANK_LINES) {
		c->blank_lines++;
		c->scanned = 0;
		return 2;
	}
	if (in.len == 1 && in.data[0] == '\r' && c->blank_lines < BLANK_LINES)
		return 0;
	size_t len = http_head_scan(in.data, in.len, &c->scanned, &refusal);
	if (!len && !refusal.status) {
		size_t target_end = limits->target_bytes + 64; /* the method, and " HTTP/1.1" */
		if (in.len > target_end && !memchr(in.data, '\n', target_end))
			refusal = long_target;
		else if (in.len > limits->header_bytes)
			refusal = long_head;
	} else if (len > limits->header_bytes) {
		bool line = memchr(in.data, '\n', limits->header_bytes) == NULL;
		refusal = line ? long_target : long_head;
	}
	if (refusal.status) {
		conn_refuse(c, &refusal);
		return 0;
	}
	if (!len)
		return 0;
	if (!body_charge(s, len)) {
		c->scanned = 0;
		wait_begin(c, true);
		*ret_blocked = true;
		return 0;
	}
	c->waiting_since = 0;
	c->scanned = 0;
	c->blank_lines = 0;
	c->progress = c->l->now;
	struct http_request *r = request_new(c);
	r->charged = len;
	buf_append(&r->head_bytes, in.data, len);
	http_head_parse(r->head_bytes.data, len, limits, &r->head, r->headers, &r->refusal);
	if (!r->refusal.status) {
		request_take_bearer(r, in);
		request_segments(r);
	}
	if (r->refusal.status) {
		explicit_bzero(r->head_bytes.data, len); /* whatever it was */
		explicit_bzero((uint8_t *)(uintptr_t)in.data, len);
		r->close = true;
		c->stop = true;
		respond_refusal(r, &r->refusal);
		return len;
	}
	body_begin(c, r);
	return len;
}

/* Takes what it can from the input and returns how much; sets c->paused when the rest must wait for answers to go out. */
static size_t consume(struct conn *c, struct slice in)
{
	struct http_server *s = c->l->server;
	size_t used = 0;
	bool blocked = false;
	c->paused = false;
	while (!blocked) {
		if (c->stop)
			return in.len; /* thrown away */
		if (c->reading) {
			if (used == in.len && !c->reading->inflate_pending)
				break;
			used += body_feed(c, c->reading, slice_skip(in, used), &blocked);
			continue;
		}
		if (used == in.len)
			break;
		if (atomic_load_explicit(&s->draining, memory_order_relaxed) || c->blocked || c->count >= s->options.limits.pipelined ||
		    answers_wait(c)) {
			c->paused = true;
			break;
		}
		if (!c->started)
			c->started = c->l->now;
		size_t n = take_head(c, slice_skip(in, used), &blocked);
		used += n;
		if (!n)
			break;
		if (!c->reading)
			c->started = 0;
	}
	return c->stop ? in.len : used;
}

/* Keeps what is left of `in`, which may be c->in itself. */
static void keep_rest(struct conn *c, struct slice in, size_t used)
{
	struct http_server *s = c->l->server;
	size_t left = in.len - used;
	input_release(c);
	if (!left) {
		buf_free(&c->in);
		buf_init(&c->in, BUF_MAX_DEFAULT);
		return;
	}
	if (c->in.len == in.len && c->in.data == in.data) {
		memmove(c->in.data, c->in.data + used, left);
		c->in.len = left;
		explicit_bzero(c->in.data + left, used); /* heads with tokens may have stood there */
	} else {
		buf_reset(&c->in);
		buf_append(&c->in, in.data + used, left);
		explicit_bzero((uint8_t *)(uintptr_t)in.data + used, left);
	}
	pressure_look(c->l);
	if (body_charge(s, left)) {
		c->in_charged = left;
	} else if (extra_charge(s, left)) {
		c->in_extra = left;
	} else {
		wait_end(c);
		buf_free(&c->in);
		buf_init(&c->in, BUF_MAX_DEFAULT);
		conn_refuse(c, &overloaded);
	}
}

void conn_resume(struct conn *c)
{
	if (!c->dead && !c->waiting && (c->in.len || c->reading)) {
		struct slice in = buf_slice(&c->in);
		size_t used = consume(c, in);
		keep_rest(c, in, used);
	}
	conn_update(c);
}

static void conn_linger(struct conn *c)
{
	if (c->tls && !c->handshake)
		tls_goodbye(c->tls);
	if (c->eof || shutdown(c->fd, SHUT_WR) < 0) {
		conn_abort(c);
		return;
	}
	c->lingering = true;
	c->progress = c->l->now;
}

static int64_t conn_deadline(const struct conn *c)
{
	const struct http_limits *limits = &c->l->server->options.limits;
	int64_t idle = c->reads_until ? c->reads_until : c->progress + limits->idle_time_us;
	if (c->lingering)
		return c->progress + LINGER_US;
	if (c->handshake)
		return c->started + limits->header_time_us;
	if (c->waiting)
		return c->blocked && c->first ? idle : 0;
	if (c->reading) {
		int64_t by = c->started + limits->body_time_us + (int64_t)(c->reading->wire_got * 1000000 / limits->body_rate);
		by = by < c->moving_until ? by : c->moving_until;
		return c->blocked && idle < by ? idle : by;
	}
	if (c->blocked && c->first)
		return idle;
	if (c->in.len && !c->paused)
		return c->started + limits->header_time_us;
	return c->first ? 0 : idle;
}

void conn_update(struct conn *c)
{
	if (c->dead)
		return;
	bool draining = atomic_load_explicit(&c->l->server->draining, memory_order_relaxed);
	if (!c->first && !c->lingering && (c->stop || c->eof || draining)) {
		c->stop = true;
		conn_linger(c);
		if (c->dead)
			return;
	}
	bool want_read = c->lingering || (!c->eof && !c->stop && !c->waiting && !c->paused && !(c->handshake && c->blocked));
	unsigned events = (want_read ? LOOP_READ : 0) | (c->blocked ? LOOP_WRITE : 0);
	if (loop_modify(c->l->loop, c->watch, events, NULL) != RC_OK) {
		conn_abort(c);
		return;
	}
	c->deadline = conn_deadline(c);
	if (c->deadline && (!c->timer.due || c->timer.due > c->deadline))
		loop_timer_set(c->l->loop, &c->timer, c->deadline);
}

void conn_give_up(struct conn *c)
{
	conn_refuse(c, &too_slow);
	keep_rest(c, buf_slice(&c->in), c->in.len);
	conn_flush(c);
	conn_update(c);
}

static void conn_timer(struct loop_timer *t)
{
	struct conn *c = (struct conn *)((char *)t - offsetof(struct conn, timer));
	loop_enter(c->l);
	if (!c->deadline)
		return;
	if (c->l->now < c->deadline) {
		loop_timer_set(c->l->loop, t, c->deadline);
		return;
	}
	bool request = c->reading || (c->in.len && !c->paused);
	if (c->lingering || c->handshake || (c->blocked && c->first) || !request) {
		conn_abort(c);
		return;
	}
	conn_give_up(c);
}

static void conn_eof(struct conn *c)
{
	c->eof = true;
	for (struct http_request *r = c->first; r; r = r->next)
		atomic_store_explicit(&r->peer_closed, true, memory_order_relaxed);
	if (c->reading || (c->in.len && !c->paused)) {
		conn_refuse(c, &broken_off);
		keep_rest(c, buf_slice(&c->in), c->in.len);
	}
}

static void conn_read(struct conn *c)
{
	struct http_loop *l = c->l;
	size_t kept = c->lingering ? 0 : c->in.len;
	if (kept)
		memcpy(l->scratch, c->in.data, kept);
	size_t room = l->scratch_len - kept;
	ssize_t n = c->tls && !c->lingering ? tls_recv(c->tls, l->scratch + kept, room) : recv(c->fd, l->scratch + kept, room, MSG_DONTWAIT);
	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			conn_abort(c);
		return;
	}
	stat_add(&l->bytes_in, (uint64_t)n);
	if (c->lingering) {
		if (n == 0)
			conn_abort(c);
		return;
	}
	if (n == 0) {
		conn_eof(c);
		return;
	}
	struct slice in = slice_of(l->scratch, kept + (size_t)n);
	size_t used = consume(c, in);
	if (used < in.len || kept)
		keep_rest(c, in, used);
}

/* The client speaks plain HTTP to a port that speaks TLS: it can read why it gets nothing. */
static void tell_plain(struct conn *c)
{
	static const char text[] = "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
				   "{\"error\":{\"code\":\"https\",\"message\":\"this port speaks TLS: use https://\"}}\n";
	if (send(c->fd, text, sizeof(text) - 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return; /* then it does not */
	shutdown(c->fd, SHUT_WR);
	uint8_t rest[4096];
	while (recv(c->fd, rest, sizeof rest, MSG_DONTWAIT) > 0)
		; /* unread bytes would make the close a reset, and take the answer with them */
}

/* True: it is done, and requests may come. */
static bool conn_handshake(struct conn *c)
{
	enum tls_step step = tls_handshake(c->tls);
	if (step == TLS_PLAIN)
		tell_plain(c);
	if (step == TLS_PLAIN || step == TLS_FAILED) {
		conn_abort(c);
		return false;
	}
	c->handshake = step != TLS_DONE;
	c->blocked = step == TLS_WRITE;
	if (!c->handshake) {
		c->started = 0;
		c->progress = c->l->now;
	}
	return !c->handshake;
}

static void conn_ready(void *ctx, unsigned events)
{
	struct conn *c = ctx;
	loop_enter(c->l);
	if (events & LOOP_HANGUP) {
		conn_abort(c);
		return;
	}
	if (c->handshake && !c->lingering && !conn_handshake(c)) {
		conn_update(c);
		return;
	}
	if (events & LOOP_WRITE) {
		c->blocked = false;
		conn_flush(c);
		conn_resume(c);
	}
	if (events & LOOP_READ && !c->dead && (c->lingering || (!c->eof && !c->stop && !c->waiting && !c->paused)))
		conn_read(c);
	if (!c->dead)
		conn_flush(c); /* "100 Continue", and what waited for a body to be skipped */
	conn_update(c);
}
