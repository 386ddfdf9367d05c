/* Bodies: transfer coding and inflation undone, within the request's limit and the server's memory budget. */
#include "http/http_internal.h"

#include "os/clock.h"

enum {
	FIRST_RESERVE = 16 * 1024,        /* of a body of unknown length */
	LEAST_RESERVE = 4 * 1024,         /* of a body of known length; then it grows with what arrives: a length alone costs its sender nothing */
	INFLATE_TURN = 4 * 1024 * 1024,   /* output after which other connections have their turn */
	SKIP_MAX = 256 * 1024,            /* an unwanted body up to here is read and dropped to keep the connection */
	WAIT_POLL_US = 10 * 1000,         /* how often waiting connections look for memory */
	REFUSE_EVERY_US = 50 * 1000       /* between two that are sent away */
};

static const struct http_refusal too_large = {
	413, "body_too_large", "the body is larger than the limit (after decompression): send it in several requests, cut between two events "
			       "(for a file with one event a line: split -C 16m FILE)"
};

struct http_inflater *inflater_take(struct http_loop *l, enum http_coding coding)
{
	for (unsigned i = 0; i < l->inflater_count; i++) {
		struct http_inflater *f = l->inflaters[i];
		if (http_inflater_coding(f) == coding) {
			l->inflaters[i] = l->inflaters[--l->inflater_count];
			http_inflater_reset(f);
			return f;
		}
	}
	return http_inflater_new(coding);
}

void inflater_give(struct http_loop *l, struct http_inflater *f)
{
	if (f && l->inflater_count < sizeof(l->inflaters) / sizeof(l->inflaters[0]))
		l->inflaters[l->inflater_count++] = f;
	else
		http_inflater_free(f);
}

const struct http_refusal overloaded = { 503, "overloaded",
					 "the server is out of memory for request bodies: send this again a little later" };

void body_drop(struct http_request *r)
{
	struct http_loop *l = r->conn->l;
	inflater_give(l, r->inflater);
	r->inflater = NULL;
	buf_free(&r->body);
	buf_init(&r->body, BUF_MAX_DEFAULT);
	body_release(l->server, r->charged - r->head_bytes.len);
	r->charged = r->head_bytes.len;
	r->body_reserved = 0;
}

static void refuse(struct conn *c, struct http_request *r, const struct http_refusal *refusal)
{
	r->close = true;
	c->stop = true;
	c->reading = NULL;
	body_drop(r);
	respond_refusal(r, refusal);
}

static void hand_over(struct conn *c, struct http_request *r)
{
	struct http_server *s = c->l->server;
	r->wire_done = true;
	c->reading = NULL;
	c->started = 0;
	c->progress = c->l->now;
	inflater_give(c->l, r->inflater);
	r->inflater = NULL;
	if (r->discard)
		return;
	if (!r->head.keep_alive)
		c->stop = true;
	r->state = REQUEST_HANDED;
	stat_add(&c->l->in_work, 1);
	s->options.handle(s->options.ctx, r);
}

/* The answer is on its way and the body is not wanted: read past it if it is small and surely coming, else end the connection. */
static void skip_body(struct conn *c, struct http_request *r)
{
	r->discard = true;
	r->wire_left = r->head.chunked ? 0 : r->head.content_length;
	if (r->close || !r->head.keep_alive) {
		c->stop = true;
		r->wire_done = true;
	} else if (r->wire_left) {
		c->reading = r;
		pace_begin(c);
	} else {
		r->wire_done = true;
	}
}

void body_begin(struct conn *c, struct http_request *r)
{
	struct http_server *s = c->l->server;
	bool has_body = r->head.chunked || r->head.content_length;
	struct http_refusal refusal = { 0 };
	/* respond.c reads it: an answer now must say whether the connection ends. */
	r->in_check = true;
	r->close = has_body && (r->head.chunked || r->head.expect_continue || r->head.content_length > SKIP_MAX);
	if (s->options.check)
		s->options.check(s->options.ctx, r);
	if (!r->responded) {
		if (r->head.expect_unknown)
			refusal = (struct http_refusal){ 417, "expectation_failed", "the only Expect known here is 100-continue" };
		else if (has_body && r->head.coding == HTTP_CODING_UNKNOWN)
			refusal = (struct http_refusal){ 415, "unsupported_encoding",
							 "this Content-Encoding is not supported: use gzip, zstd or identity, only one of them" };
		else if (r->head.content_length > r->body_limit)
			refusal = too_large;
		if (refusal.status)
			respond_refusal(r, &refusal);
	}
	r->in_check = false;
	if (r->responded) {
		if (r->state == REQUEST_READING) { /* check's answer, not a refusal of ours */
			r->state = REQUEST_HANDED;
			stat_add(&c->l->in_work, 1);
		}
		skip_body(c, r);
		return;
	}
	r->close = false;
	if (!has_body) {
		hand_over(c, r);
		return;
	}
	r->wire_left = r->head.content_length;
	if (r->head.expect_continue)
		r->interim = "HTTP/1.1 100 Continue\r\n\r\n";
	if (r->head.coding != HTTP_CODING_NONE)
		r->inflater = inflater_take(c->l, r->head.coding);
	c->reading = r;
	pace_begin(c);
}

/* What the request holds of the budget becomes `bytes` more. */
static bool charge(struct conn *c, struct http_request *r, size_t bytes)
{
	pressure_look(c->l);
	if (!body_charge(c->l->server, bytes))
		return false;
	r->charged += bytes;
	if (c->waiting_since) /* that time was ours, not its sender's */
		pace_waited(c, c->l->now - c->waiting_since);
	c->waiting_since = 0;
	return true;
}

/* Room for a body of `need` bytes altogether. */
static bool reserve(struct conn *c, struct http_request *r, size_t need)
{
	if (need <= r->body_reserved)
		return true;
	size_t want = r->body_reserved * 2 > FIRST_RESERVE ? r->body_reserved * 2 : FIRST_RESERVE;
	size_t top = r->body_limit + 1; /* one byte more tells "at the limit" from "over it" */
	if (!r->head.chunked && !r->inflater) {
		want = r->body_reserved * 2 > LEAST_RESERVE ? r->body_reserved * 2 : LEAST_RESERVE;
		top = (size_t)r->head.content_length;
	}
	want = want > top ? top : want;
	want = want < need ? need : want;
	if (!charge(c, r, want - r->body_reserved)) {
		want = need;
		if (!charge(c, r, want - r->body_reserved))
			return false;
	}
	r->body_reserved = want;
	r->body.max = want; /* the buffer takes what was charged, not the next power of two */
	buf_reserve(&r->body, want - r->body.len);
	return true;
}

static bool charge_inflater(struct conn *c, struct http_request *r)
{
	size_t memory = http_inflater_memory(r->inflater), charged = r->charged - r->body_reserved;
	return memory <= charged || charge(c, r, memory - charged);
}

static size_t put_inflated(struct conn *c, struct http_request *r, struct slice in, bool *ret_blocked)
{
	struct http_refusal refusal = { 0 };
	size_t used_all = 0, made_all = 0;
	r->inflate_pending = false;
	for (;;) {
		size_t used, made;
		if (!charge_inflater(c, r))
			break;
		size_t need = r->body.len + 1 > FIRST_RESERVE ? r->body.len + 1 : FIRST_RESERVE;
		if (!reserve(c, r, need > r->body_limit + 1 ? r->body_limit + 1 : need))
			break;
		size_t room = r->body_reserved - r->body.len;
		if (!http_inflate(r->inflater, in, r->body.data + r->body.len, room, &used, &made, &refusal)) {
			refuse(c, r, &refusal);
			return used_all;
		}
		charge_inflater(c, r); /* its window may be there only now; if there is no room, that is told with the next bytes */
		r->body.len += made;
		used_all += used;
		made_all += made;
		in = slice_skip(in, used);
		if (r->body.len > r->body_limit) {
			refuse(c, r, &too_large);
			return used_all;
		}
		if (made < room && !in.len)
			return used_all;
		if (made_all > INFLATE_TURN) {
			r->inflate_pending = true;
			wait_begin(c, false);
			*ret_blocked = true;
			return used_all;
		}
	}
	r->inflate_pending = true;
	wait_begin(c, true);
	*ret_blocked = true;
	return used_all;
}

static size_t put(struct conn *c, struct http_request *r, struct slice in, bool *ret_blocked)
{
	if (r->discard)
		return in.len;
	if (r->inflater)
		return put_inflated(c, r, in, ret_blocked);
	if (in.len > r->body_limit - r->body.len) {
		refuse(c, r, &too_large);
		return 0;
	}
	if (!reserve(c, r, r->body.len + in.len)) {
		wait_begin(c, true);
		*ret_blocked = true;
		return 0;
	}
	buf_append_slice(&r->body, in);
	return in.len;
}

static size_t feed_plain(struct conn *c, struct http_request *r, struct slice in, bool *ret_blocked)
{
	if (in.len > r->wire_left)
		in.len = (size_t)r->wire_left;
	size_t used = put(c, r, in, ret_blocked);
	r->wire_left -= used;
	r->wire_done = r->wire_left == 0;
	return used;
}

static size_t feed_chunked(struct conn *c, struct http_request *r, struct slice in, bool *ret_blocked)
{
	struct http_refusal refusal = { 0 };
	size_t used = 0;
	while (used < in.len && !r->wire_done && !*ret_blocked && !c->stop) {
		struct slice data;
		size_t n = http_chunked_feed(&r->chunked, &c->l->server->options.limits, slice_skip(in, used), &data, &r->wire_done,
					     &refusal);
		if (refusal.status) {
			refuse(c, r, &refusal);
			return used;
		}
		if (r->chunked.left + data.len > r->body_limit && !r->discard) { /* it need not be sent first */
			refuse(c, r, &too_large);
			return used;
		}
		if (data.len) {
			size_t taken = put(c, r, data, ret_blocked);
			if (c->stop)
				return used;
			http_chunked_unread(&r->chunked, data.len - taken);
			n -= data.len - taken;
		}
		used += n;
	}
	return used;
}

size_t body_feed(struct conn *c, struct http_request *r, struct slice in, bool *ret_blocked)
{
	static const struct http_refusal cut_off = { 400, "corrupt_body",
						     "the compressed body ends in the middle: it was cut off before it was sent" };
	size_t used = 0;
	if (r->inflate_pending)
		put_inflated(c, r, slice_of(NULL, 0), ret_blocked);
	if (!*ret_blocked && !c->stop && !r->wire_done && in.len) {
		if (r->interim && *r->interim == 'H' && !c->midway) /* the client did not wait for it, and nothing of it was sent */
			r->interim = NULL;
		used = r->head.chunked ? feed_chunked(c, r, in, ret_blocked) : feed_plain(c, r, in, ret_blocked);
		r->wire_got += used;
		pace_got(c, used);
	}
	if (c->stop || *ret_blocked || !r->wire_done || r->inflate_pending)
		return used;
	if (r->inflater && !http_inflate_finished(r->inflater))
		refuse(c, r, &cut_off);
	else
		hand_over(c, r);
	return used;
}

static void resume_waiting(struct http_loop *l)
{
	struct conn *list = l->waiting, *c;
	int64_t patience = l->server->options.limits.memory_wait_us;
	if (!list)
		return;
	struct conn *last = list->wait_prev; /* circular: handle those that wait now, not those that begin to wait again */
	bool more = true;
	while (more && (c = l->waiting)) {
		more = c != last;
		wait_end(c);
		if (c->waiting_since && l->now - c->waiting_since > patience && l->now - l->last_refused > REFUSE_EVERY_US) {
			l->last_refused = l->now; /* one at a time: what it held may be all that the others lack */
			conn_refuse(c, &overloaded);
		}
		conn_resume(c);
	}
}

static void resume_posted(void *ctx)
{
	struct http_loop *l = ctx;
	l->resume_posted = false;
	loop_enter(l);
	resume_waiting(l);
}

void wait_fired(struct loop_timer *t)
{
	struct http_loop *l = (struct http_loop *)((char *)t - offsetof(struct http_loop, wait_timer));
	loop_enter(l);
	resume_waiting(l);
}

void wait_begin(struct conn *c, bool memory)
{
	struct http_loop *l = c->l;
	if (memory && !c->waiting_since)
		c->waiting_since = l->now;
	if (!c->waiting) {
		c->waiting = true;
		if (!l->waiting) {
			c->wait_prev = c->wait_next = c;
			l->waiting = c;
		} else {
			c->wait_next = l->waiting;
			c->wait_prev = l->waiting->wait_prev;
			c->wait_prev->wait_next = c;
			l->waiting->wait_prev = c;
		}
	}
	if (memory && !l->wait_timer.due)
		loop_timer_set(l->loop, &l->wait_timer, l->now + WAIT_POLL_US);
	if (!memory && !l->resume_posted) {
		l->resume_posted = true;
		loop_post(l->loop, resume_posted, l);
	}
}

void wait_end(struct conn *c)
{
	struct http_loop *l = c->l;
	if (!c->waiting)
		return;
	c->waiting = false;
	if (c->wait_next == c) {
		l->waiting = NULL;
	} else {
		c->wait_prev->wait_next = c->wait_next;
		c->wait_next->wait_prev = c->wait_prev;
		if (l->waiting == c)
			l->waiting = c->wait_next;
	}
	c->wait_prev = c->wait_next = NULL;
}
